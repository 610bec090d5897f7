"""Conduct: violations of a lab's rules counted in points per organisation, and what follows: a word, a look, a bar."""
