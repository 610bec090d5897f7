"""What the calendar of working days asks of those who live by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

__all__ = ["Follower"]


class Follower(Protocol):
    """Hears of days that have just been written, in the writer's transaction; an error undoes the change.

    `accepts` are what the person has seen of its consequences and lets happen.
    """

    def __call__(self, *, days: Sequence[date], accepts: Sequence[str], now: datetime) -> None: ...
