"""What proposals ask of a reader of PDF, and of those who know which visits have ended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from scheduler.proposals.rules import PastVisit

__all__ = ["PagesOf", "PastVisits"]


class PagesOf(Protocol):
    """Counts pages."""

    def __call__(self, content: bytes) -> int | None:
        """Return how many pages a PDF has; None for what is no PDF, is encrypted or cannot be read."""
        ...


class PastVisits(Protocol):
    """Knows what people did with their beam time."""

    def __call__(self, user_ids: Collection[int], *, facility_id: int) -> Sequence[PastVisit]:
        """Return the ended visits at a facility of proposals these people lead, confidential ones left out."""
        ...
