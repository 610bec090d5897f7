"""The calendar of working days: the State Council's, and what a department adds to it."""
