"""Schedules drafted by OR-Tools CP-SAT (Apache-2.0), in this process, with a limit of time."""
