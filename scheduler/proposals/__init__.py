"""Proposals for beam time: calls, forms with limits, teams, and what has to be there before one is sent."""
