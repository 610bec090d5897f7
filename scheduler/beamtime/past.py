"""Know the ended visits of people and their reports: answers `scheduler.proposals.ports.PastVisits`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from portal.kernel.errors import NotFound
from scheduler.beamtime import reporting, visit_access
from scheduler.beamtime.models import BeamVisit, VisitReport
from scheduler.beamtime.rules import VisitState
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import InvitationState, PastVisit
from vouchers.evidence.models import EvidenceFile

__all__ = ["Paper", "paper_file", "papers", "past_visits"]

MOST: Final = 50
"""Most earlier visits that are shown beside a proposal, the latest."""


@dataclass(frozen=True, slots=True)
class Paper:
    """An earlier visit beside a new proposal: its report, or that none was handed in yet, and whether it is owed."""

    visit: BeamVisit
    report: VisitReport | None
    is_owed: bool


def _ended(user_ids: Collection[int], facility_id: int) -> QuerySet[BeamVisit]:
    """Return the visits that ended at a facility of proposals these people lead.

    Confidential ones are nobody else's business, not even by their number.
    """
    return BeamVisit.objects.filter(
        state__in=[VisitState.DONE.value, VisitState.CLOSED.value],
        report_due__isnull=False,
        beamline__facility_id=facility_id,
        allocation__request__proposal__is_confidential=False,
        allocation__request__proposal__team__is_leader=True,
        allocation__request__proposal__team__user_id__in=list(user_ids),
    )


def _earlier(proposal: BeamProposal) -> QuerySet[BeamVisit]:
    joined = proposal.team.filter(state=InvitationState.JOINED.value, user__isnull=False)
    return _ended(list(joined.values_list("user_id", flat=True)), proposal.facility_id)


def papers(proposal: BeamProposal, *, now: datetime) -> list[Paper]:
    """Return what the people of a proposal's team made of their earlier beam time there, the latest first. Two queries."""
    found = _earlier(proposal).select_related(*visit_access.RELATED).order_by("-during", "-pk")[:MOST]
    return [Paper(one, report, report is None and _is_late(one, now)) for one, report in _with_reports(found)]


def _with_reports(found: QuerySet[BeamVisit]) -> list[tuple[BeamVisit, VisitReport | None]]:
    return [(one, getattr(one, "report", None)) for one in found]


def _is_late(visit: BeamVisit, now: datetime) -> bool:
    return visit.state == VisitState.DONE.value and visit.report_due is not None and visit.report_due <= now


def paper_file(proposal: BeamProposal, number: str) -> EvidenceFile:
    """Return the file of an earlier visit's report; the proposal is the caller's to judge. Raises NotFound."""
    visit = _earlier(proposal).filter(number=number, report__isnull=False).select_related("report").first()
    if visit is None or not visit.report.file:
        raise NotFound
    return reporting.file_of(visit)


def past_visits(user_ids: Collection[int], *, facility_id: int) -> list[PastVisit]:
    """Return the visits that ended at a facility of proposals these people lead, oldest due first. One query."""
    return [
        PastVisit(visit.number, visit.report_due, visit.state == VisitState.CLOSED.value or hasattr(visit, "report"))
        for visit in _ended(user_ids, facility_id).select_related("report").order_by("report_due", "pk")
        if visit.report_due is not None
    ]
