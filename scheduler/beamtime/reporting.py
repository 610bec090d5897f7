"""Hand in reports of visits, and find those that are due. One report of a block allocation stands for all its visits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.beamtime import gathering, rules, visit_rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamAllocation, BeamVisit, VisitReport
from scheduler.facilities.models import FacilityCourse
from scheduler.proposals import finishing
from scheduler.proposals.models import BeamProposal
from vouchers.evidence import access as evidence
from vouchers.evidence import rules as files_rules
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile

__all__ = ["PURPOSE", "ReportGiven", "file_of", "hand_in", "overdue"]

S = rules.VisitState
PURPOSE = "report"
GOING_ON = (S.OFFERED.value, S.SCHEDULED.value, S.READY.value, S.RUNNING.value, S.DONE.value)


@dataclass(frozen=True, slots=True)
class ReportGiven:
    """A report as it is handed in: text of up to 3,000 letters, what was published, and a PDF or none."""

    summary: str
    publications: str = ""
    upload: files.Upload | None = None


def subject_of(visit: BeamVisit) -> str:
    return f"beam_visit:{visit.number}"


def file_of(visit: BeamVisit) -> EvidenceFile:
    """Return the file of a visit's report; the visit is the actor's to see. Raises NotFound."""
    found = evidence.files_of(subject_of(visit)).filter(purpose=PURPOSE).first()
    if found is None:
        raise NotFound
    return found


def _same_report(visit: BeamVisit) -> QuerySet[BeamVisit]:
    """Return which ended visits one report stands for: of a block allocation, those due at once with it."""
    proposal, facility = visit.allocation.request.proposal, visit.beamline.facility
    if not FacilityCourse.objects.filter(facility=facility, kind=proposal.kind, report_months__gt=0).exists():
        return BeamVisit.objects.none()
    due = BeamVisit.objects.filter(
        allocation__request__proposal=proposal,
        beamline__facility=facility,
        state=S.DONE.value,
        report_due=visit.report_due,
    )
    return due.order_by("pk")


@transaction.atomic
def hand_in(*, actor: Actor, visit: BeamVisit, given: ReportGiven, now: datetime) -> BeamVisit:
    """Hand in the report of a visit, as one of its team: the visit is closed, with the last one its proposal.

    Raises ReportMissing, BadFile with every ground, InvalidTransition unless the visit waits for it, Forbidden.
    """
    actor.require(Permission.PROPOSAL_SUBMIT)
    if not access.is_team(actor, visit):
        raise Forbidden
    summary = given.summary.strip()
    if not summary or len(summary) > 3000:
        raise visit_rules.ReportMissing(field="summary")
    # All in one order: two of a team may hand in at once.
    ids = {visit.pk, *_same_report(visit).values_list("pk", flat=True)}
    held = {pk: visits.lock(BeamVisit(pk=pk)) for pk in sorted(ids)}
    locked = held.pop(visit.pk)
    visits.move(locked, rules.VisitAction.REPORT)
    others = [one for one in held.values() if one.state == S.DONE.value]
    kept = None
    if given.upload is not None:
        kept = files.store(
            actor=actor,
            subject=subject_of(locked),
            purpose=PURPOSE,
            upload=given.upload,
            now=now,
            kinds=(files_rules.PDF,),
        )
    for one in (locked, *others):
        if one is not locked:
            visits.move(one, rules.VisitAction.REPORT)
        _keep(one, summary=summary, given=given, kept=kept if one is locked else None, actor=actor, now=now)
    close_over(proposal=locked.allocation.request.proposal, actor=actor, now=now)
    return locked


def _keep(
    visit: BeamVisit, *, summary: str, given: ReportGiven, kept: EvidenceFile | None, actor: Actor, now: datetime
) -> None:
    VisitReport.objects.create(
        visit=visit,
        summary=summary,
        publications=given.publications.strip()[:1000],
        file="" if kept is None else subject_of(visit),
        name="" if kept is None else kept.name,
        size=0 if kept is None else kept.size,
        sha256="" if kept is None else kept.sha256,
        by_id=actor.person,
        at=now,
    )
    visit.save()
    visits.record(visit, action="visit.reported", actor=actor, now=now)


def close_over(*, proposal: BeamProposal, actor: Actor, now: datetime) -> None:
    """Close a proposal none of whose time is still to come or to be reported of."""
    rest = BeamVisit.objects.filter(allocation__request__proposal=proposal, state__in=GOING_ON)
    had = BeamVisit.objects.exclude(state__in=gathering.NOT_HAD).values("allocation")
    given = BeamAllocation.objects.filter(request__proposal=proposal, ended_at__isnull=True)
    waiting = given.exclude(pk__in=had)
    if not rest.exists() and not waiting.exists():
        finishing.close(proposal=proposal, actor=actor, now=now)


def overdue(*, now: datetime) -> QuerySet[BeamVisit]:
    """Return ended visits whose report is due and was not handed in, the longest owed first."""
    late = BeamVisit.objects.filter(state=S.DONE.value, report_due__lte=now)
    return late.select_related(*access.RELATED).order_by("report_due", "pk")
