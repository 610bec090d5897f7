"""What facilities ask of those who know what was asked for and given in their shifts. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["ShiftsPromised"]


class ShiftsPromised(Protocol):
    """Knows who counts on shifts as they are, without a place in the calendar yet."""

    def __call__(self, facility_id: int, *, now: datetime) -> int:
        """Return how many requests of a facility wait for a decision or a visit, in shifts they were told."""
        ...
