"""A lab's whole catalogue at once: its list taken in from a table, and given out in the national platform's columns."""
