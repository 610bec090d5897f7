"""A lab's own calendars: read from a file, their busy time blocks the instrument."""
