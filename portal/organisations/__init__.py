"""Organisations, members, roles and what each role may do."""
