"""Checking in at the bench: a printed code by the instrument with which its users begin and end their use themselves."""
