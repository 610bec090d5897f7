"""Who is told about orders that are paid in advance: answered above vouchers, where people have a place to read it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from portal.kernel.money import Money

__all__ = ["News", "Teller"]


class News(StrEnum):
    """What happened to the own share of an order that is paid in advance."""

    ASKED = "asked"
    PAID = "paid"
    LAPSED = "lapsed"
    """Not paid in time: the order has ended."""
    AGAIN = "again"
    """Paid late: the same was ordered again."""
    GONE = "gone"
    """Paid late, and it could not be ordered again: the money goes back."""


class Teller(Protocol):
    """Tell who placed an order, in the transaction in which it happens. `amount` is the own share."""

    def __call__(self, *, order: Any, news: News, amount: Money, again: Any, now: datetime) -> None: ...
