"""Large science facilities: the shifts of a run, what the machine does in them, and who has which share of the time."""
