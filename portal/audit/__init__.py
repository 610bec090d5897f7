"""Append-only record of every action: who did what to which thing, when, on which request."""
