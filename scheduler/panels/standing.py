"""Answer `scheduler.facilities.ports.GradesStand`: requests that are still ranked by the grades they have."""

from __future__ import annotations

from datetime import datetime

from scheduler.panels.rules import GradingState
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import RequestState

__all__ = ["grades_stand"]

WAITING = [RequestState.OPEN.value, RequestState.RESERVE.value]


def grades_stand(facility_id: int, *, now: datetime) -> int:
    """Return how many requests of cycles not over at `now` have grades and no time yet. One query."""
    rows = BeamRequest.objects.filter(
        cycle__facility_id=facility_id,
        cycle__during__endswith__gt=now,
        state__in=WAITING,
        proposal__gradings__state=GradingState.GRADED.value,
    )
    return rows.distinct().count()
