"""Cells of tables that people open in spreadsheets. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["FORMULA", "inert"]

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of something to compute (OWASP, CSV injection)."""


def inert(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula: an apostrophe goes before one; None is empty."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
