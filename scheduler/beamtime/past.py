"""Answer `scheduler.proposals.ports.PastVisits`: the ended visits of people, and whether their reports were handed in."""

from __future__ import annotations

from collections.abc import Collection

from scheduler.beamtime.models import BeamVisit
from scheduler.beamtime.rules import VisitState
from scheduler.proposals.rules import PastVisit

__all__ = ["past_visits"]


def past_visits(user_ids: Collection[int], *, facility_id: int) -> list[PastVisit]:
    """Return the visits that ended at a facility of proposals these people lead, oldest due first. One query.

    Confidential ones are nobody else's business, not even by their number.
    """
    found = BeamVisit.objects.filter(
        state__in=[VisitState.DONE.value, VisitState.CLOSED.value],
        report_due__isnull=False,
        beamline__facility_id=facility_id,
        allocation__request__proposal__is_confidential=False,
        allocation__request__proposal__team__is_leader=True,
        allocation__request__proposal__team__user_id__in=list(user_ids),
    ).order_by("report_due", "pk")
    return [
        PastVisit(visit.number, visit.report_due, visit.state == VisitState.CLOSED.value or hasattr(visit, "report"))
        for visit in found.select_related("report")
        if visit.report_due is not None
    ]
