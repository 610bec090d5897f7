"""Dry runs: what a programme's rules, published or only drafted, would have decided on applications of the past."""
