"""Endpoints of visits: who comes, what is there, check-in, beam, its end, reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from ninja import File, Form, Query, Router, Schema, UploadedFile
from pydantic import Field

from portal.http import explain_reason
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    Line,
    Moment,
    Number,
    PageOut,
    PeriodOut,
    ReasonOut,
    StrictIn,
    Whole,
    paged,
    problems,
    span,
)
from scheduler.beamtime import ending, reporting, rules, visit_rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamVisit
from vouchers.evidence import services as files
from vouchers.evidence.rules import MAX_BYTES

router = Router(tags=["visits"])

Because = Annotated[Block, Field(max_length=2000)]
PersonId = Annotated[Whole, Field(ge=1, le=2**31 - 1)]


class ParticipantsIn(StrictIn):
    """Users of the team who come; the list replaces the one before."""

    participants: Annotated[list[PersonId], Field(max_length=60)]


class VisitFormIn(StrictIn):
    """Which form is approved: `sample` by beamline staff, `safety` by safety staff."""

    form: Literal["sample", "safety"]


class VisitReasonIn(StrictIn):
    """Why; the team reads it."""

    reason: Because


class BeamTrainingIn(StrictIn):
    """Until when (local day of the facility, exclusive) the training of a team member, known by mail, counts."""

    email: Annotated[Line, Field(max_length=160)]
    until: Day


class VisitEndIn(StrictIn):
    """When the beam ended; null: now."""

    ended_at: Moment | None = None


class VisitReportIn(Schema):
    """What came out of it, and what was published."""

    summary: Block
    publications: Annotated[Block, Field(max_length=1000)] = ""


class VisitFilter(Cursor):
    """Which visits: at a facility, in a state."""

    facility: Line | None = None
    state: rules.VisitState | None = None


class VisitRowOut(Schema):
    """One visit. Minutes are null until it has ended; `report_due` until then, too."""

    number: str
    proposal: str
    title: str
    organisation: str
    facility: str
    beamline: str
    cycle: str
    period: PeriodOut
    zone: str
    shifts: int
    state: rules.VisitState
    state_label: str
    answer_by: datetime
    had_min: int | None
    lost_min: int | None
    own_lost_min: int | None
    report_due: datetime | None


class VisitMemberOut(Schema):
    """A member of the team: whether she comes, and until which local day (exclusive) she is trained."""

    user: int
    email: str
    name: str
    is_leader: bool
    comes: bool
    trained_until: Day | None


class VisitOut(VisitRowOut):
    """A visit whole: `missing` is everything that keeps it from being ready.

    Whose a confidential visit is, and who is in its team, is told to the team and the staff who serve it; to others
    `team` is empty. Addresses are for the team and the staff who enter training, else empty.
    """

    team: list[VisitMemberOut]
    missing: list[ReasonOut]
    sample_approved_at: datetime | None
    safety_approved_at: datetime | None
    late_reason: str
    checked_in_at: datetime | None
    ended_at: datetime | None
    cancel_reason: str
    report: str
    publications: str
    report_file: str


def row(visit: BeamVisit) -> dict[str, Any]:
    """Return a visit as the API lists it; it is the caller's to see. Whose a confidential one is only who serves it reads."""
    request, told = visit.allocation.request, getattr(visit, "is_told", False)
    names = ("number", "shifts", "state", "answer_by", "had_min", "lost_min", "own_lost_min", "report_due")
    return {
        **{name: getattr(visit, name) for name in names},
        "proposal": request.proposal.number,
        "title": request.proposal.title if told else gettext("（不公开）"),
        "organisation": request.proposal.organisation.name if told else gettext("（不公开）"),
        "facility": visit.beamline.facility.code,
        "beamline": visit.beamline.code,
        "cycle": request.cycle.code,
        "period": span(visits.period_of(visit)),
        "zone": visit.beamline.facility.zone,
        "state_label": visit.get_state_display(),
    }


def shown(request: ActorRequest, number: str) -> dict[str, Any]:
    """Return a visit whole."""
    visit = access.get_visit(request.actor, number)
    told, mails = bool(getattr(visit, "is_told", False)), access.knows_addresses(request.actor, visit)
    team = list(access.team_of(visit)) if told else []
    coming = set(visit.participants.values_list("user_id", flat=True))
    known = access.trainings_of(visit.beamline.facility, [one.user_id for one in team if one.user_id])
    pending = visit.state in {rules.VisitState.SCHEDULED.value, rules.VisitState.READY.value}
    missing = visits.not_ready(visit=visit) if pending else []
    names = ("sample_approved_at", "safety_approved_at", "late_reason", "checked_in_at", "ended_at", "cancel_reason")
    report = getattr(visit, "report", None) if told else None
    return {
        **row(visit),
        **{name: getattr(visit, name) for name in names},
        "team": [
            {
                "user": one.user_id,
                "name": one.name,
                "email": one.email if mails else "",
                "is_leader": one.is_leader,
                "comes": one.user_id in coming,
                "trained_until": known[one.user_id].until if one.user_id in known else None,
            }
            for one in team
        ],
        "missing": [explain_reason(one) for one in (missing if told else visit_rules.unnamed(missing))],
        "report": report.summary if report else "",
        "publications": report.publications if report else "",
        "report_file": report.name if report else "",
    }


def _act(request: ActorRequest, number: str, act: Callable[..., object], **more: Any) -> dict[str, Any]:
    act(actor=request.actor, visit=access.get_visit(request.actor, number), now=timezone.now(), **more)
    return shown(request, number)


@router.get("", response={200: PageOut[VisitRowOut], **problems()})
def list_visits(request: ActorRequest, wanted: Query[VisitFilter]) -> dict[str, Any]:
    """List the visits of the caller's teams and those at its own facilities."""
    rows = access.visible_to(request.actor)
    if wanted.facility:
        rows = rows.filter(beamline__facility__code=wanted.facility)
    if wanted.state:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, row)


@router.get("/{number}", response={200: VisitOut, **problems(404)})
def get_visit(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one visit with everything that is missing before its beam."""
    return shown(request, number)


@router.post("/{number}/participants", response={200: VisitOut, **problems(404, 409)})
def confirm_participants(request: ActorRequest, number: Number, payload: ParticipantsIn) -> dict[str, Any]:
    """Say who comes: the leader for all of the team, others for themselves."""
    return _act(request, number, visits.confirm, user_ids=payload.participants)


@router.post("/{number}/approve", response={200: VisitOut, **problems(404, 409)})
def approve_form(request: ActorRequest, number: Number, payload: VisitFormIn) -> dict[str, Any]:
    """Approve the samples or the safety of a visit; the first time counts."""
    return _act(request, number, visits.approve, form=payload.form)


@router.post("/{number}/accept-late", response={200: VisitOut, **problems(404, 409)})
def accept_late_forms(request: ActorRequest, number: Number, payload: VisitReasonIn) -> dict[str, Any]:
    """Take forms that were approved too late, with a reason."""
    return _act(request, number, visits.accept_late, reason=payload.reason)


@router.post("/{number}/training", response={200: VisitOut, **problems(404, 409)})
def enter_training(request: ActorRequest, number: Number, payload: BeamTrainingIn) -> dict[str, Any]:
    """Enter until when a member of the team is trained at the facility."""
    member = access.get_member(access.get_visit(request.actor, number), payload.email)
    return _act(request, number, visits.train, member=member, until=payload.until)


@router.post("/{number}/ready", response={200: VisitOut, **problems(404, 409)})
def make_ready(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Say that everything is there. 409 `visit.not_ready` carries every reason."""
    return _act(request, number, visits.make_ready)


@router.post("/{number}/not-ready", response={200: VisitOut, **problems(404, 409)})
def undo_ready(request: ActorRequest, number: Number, payload: VisitReasonIn) -> dict[str, Any]:
    """Say that a visit is not ready after all."""
    return _act(request, number, visits.undo_ready, reason=payload.reason)


@router.post("/{number}/check-in", response={200: VisitOut, **problems(404, 409)})
def check_in(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Check the team in, from a day before its beam."""
    return _act(request, number, visits.check_in)


@router.post("/{number}/start", response={200: VisitOut, **problems(404, 409)})
def start_beam(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give the beam to a team that is checked in."""
    return _act(request, number, visits.start)


@router.post("/{number}/finish", response={200: VisitOut, **problems(404, 409)})
def finish_visit(request: ActorRequest, number: Number, payload: VisitEndIn) -> dict[str, Any]:
    """End a visit: minutes are counted, lost beam is listed, the report becomes due."""
    return _act(request, number, ending.finish, ended_at=payload.ended_at)


@router.post("/{number}/cancel", response={200: VisitOut, **problems(404, 409)})
def cancel_visit(request: ActorRequest, number: Number, payload: VisitReasonIn) -> dict[str, Any]:
    """Cancel a visit as the facility; promised beam is listed for compensation."""
    return _act(request, number, ending.cancel, reason=payload.reason)


@router.post("/{number}/miss", response={200: VisitOut, **problems(404, 409)})
def miss_visit(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Say that nobody came, once the time is over."""
    return _act(request, number, visits.miss)


@router.post("/{number}/report", response={200: VisitOut, **problems(404, 409)})
def hand_in_report(
    request: ActorRequest, number: Number, payload: Form[VisitReportIn], file: File[UploadedFile | None] = None
) -> dict[str, Any]:
    """Hand in the report of a visit, as one of its team: a text, and a PDF or none."""
    upload = None if file is None else files.Upload(file.name or "file", file.read(MAX_BYTES + 1))
    given = reporting.ReportGiven(payload.summary, payload.publications, upload)
    return _act(request, number, reporting.hand_in, given=given)


@router.get("/{number}/report/file", response={200: bytes, **problems(404)})
def read_report(request: ActorRequest, number: Number) -> HttpResponse:
    """Return the file of a report, for the team and the staff of the facility."""
    file = reporting.file_of(access.get_confided(request.actor, number))
    response = HttpResponse(files.read(file=file), content_type=file.media_type)
    response["Content-Disposition"] = f'attachment; filename="{number}.pdf"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
