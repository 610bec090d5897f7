"""Answer `scheduler.facilities.ports.ShiftsPromised`: requests and allocations that are counted in shifts of today's length."""

from __future__ import annotations

from datetime import datetime

from scheduler.beamtime.gathering import NOT_HAD
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import BeamProposalState, RequestState

__all__ = ["shifts_promised"]

ENDED = [
    one.value
    for one in (
        BeamProposalState.NOT_FEASIBLE,
        BeamProposalState.REFUSED,
        BeamProposalState.WITHDRAWN,
        BeamProposalState.CLOSED,
    )
]
WAITING = [RequestState.OPEN.value, RequestState.RESERVE.value]


def shifts_promised(facility_id: int, *, now: datetime) -> int:
    """Return how many requests of a facility stand in shifts that no calendar holds yet. Two queries.

    Those sent (and so those quoted) for a cycle that is not over, and those given shifts they have no visit for.
    """
    waiting = BeamRequest.objects.filter(
        cycle__facility_id=facility_id,
        cycle__during__endswith__gt=now,
        state__in=WAITING,
        proposal__sent_at__isnull=False,
    ).exclude(proposal__state__in=ENDED)
    visited = BeamVisit.objects.exclude(state__in=NOT_HAD).values("allocation")
    given = BeamAllocation.objects.filter(request__cycle__facility_id=facility_id, ended_at__isnull=True)
    given = given.exclude(pk__in=visited)
    return len(set(waiting.values_list("pk", flat=True)) | set(given.values_list("request", flat=True)))
