"""Recoveries: value that was granted or paid and must come back, from the breach to the money, the bar and the notice."""
