"""Rounds: close an intake, divide its pool in the published order, decided by two persons."""
