"""Cells of tables that people open in spreadsheets. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from portal.kernel.money import Money

__all__ = ["FORMULA", "inert"]

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of something to compute (OWASP, CSV injection)."""


def inert(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula: an apostrophe goes before one; None is empty.

    A number is no formula, also one below zero, and money is a number of yuan.
    """
    if isinstance(value, Money):
        return value.yuan()
    if isinstance(value, int | float | Decimal):
        return str(value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
