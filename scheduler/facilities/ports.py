"""What facilities ask of those who know what was asked for, judged and given by their rules. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["GradesStand", "ShiftsPromised"]


class ShiftsPromised(Protocol):
    """Knows who counts on shifts as they are, without a place in the calendar yet."""

    def __call__(self, facility_id: int, *, now: datetime) -> int:
        """Return how many requests of a facility wait for a decision or a visit, in shifts they were told."""
        ...


class GradesStand(Protocol):
    """Knows what was graded on a facility's scale and is still ranked by it."""

    def __call__(self, facility_id: int, *, now: datetime) -> int:
        """Return how many requests with grades wait for a decision or are on a reserve list."""
        ...
