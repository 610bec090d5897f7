"""What proposals ask of a reader of PDF, and of those who keep visits. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from portal.kernel.actors import Actor
from scheduler.proposals.rules import PastVisit

__all__ = ["LeftTeam", "PagesOf", "PastVisits"]


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


class LeftTeam(Protocol):
    """Keeps who comes to a proposal's visits."""

    def __call__(self, proposal_id: int, *, user_id: int, actor: Actor, now: datetime) -> None:
        """Take somebody who left the team off its visits that have not begun, in the caller's transaction."""
        ...
