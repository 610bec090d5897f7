"""Disputes over what a use was charged for: open, answered, decided by a second person or the department, settled."""
