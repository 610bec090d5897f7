"""Who waits for time on an instrument, and what is offered them when some becomes free: time really held, one at a time."""
