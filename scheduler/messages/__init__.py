"""What happened to somebody's bookings without their doing: told once, on a page and by mail, in the reader's language."""
