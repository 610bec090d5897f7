"""Flags: what a control noticed, with the facts side by side, for a person to decide."""
