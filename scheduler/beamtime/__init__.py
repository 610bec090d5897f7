"""Beam time: a schedule drafted for a run cycle, offers, visits, what was delivered and what was lost."""
