"""Secret addresses under which calendars are subscribed to: of an instrument, or of a person's own bookings."""
