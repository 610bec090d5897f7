"""Endpoints of lost beam and of what is given back for it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.errors import NotFound
from portal.kernel.period import Period
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Moment,
    Number,
    PageOut,
    PeriodOut,
    StrictIn,
    Whole,
    paged,
    problems,
    span,
)
from scheduler.beamtime import compensating, losses, rules
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamLoss, Compensation

router = Router(tags=["visits"])
by_visit = Router(tags=["visits"])

Reasoned = Annotated[Block, Field(max_length=2000)]
LossId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class BeamLossIn(StrictIn):
    """When a beamline had no beam, and why; the end may be up to a week ahead."""

    beamline: Number
    starts_at: Moment
    ends_at: Moment
    cause: rules.LossCause
    note: Annotated[Block, Field(max_length=300)] = ""


class BeamLossOut(Schema):
    """A logged loss; `void_at` tells when it was taken out."""

    id: int
    beamline: str
    period: PeriodOut
    cause: rules.LossCause
    cause_label: str
    note: str
    at: datetime
    void_at: datetime | None


class CompensationAskIn(StrictIn):
    """What the lost beam meant and what is still needed."""

    note: Reasoned


class CompensationIn(StrictIn):
    """Shifts given back, with the reason; 0: none."""

    shifts: Annotated[Whole, Field(ge=0, le=999)]
    note: Reasoned


class CompensationOut(Schema):
    """A visit that lost beam and what was decided; `shifts` are those given back, null while undecided."""

    visit: str
    beamline: str
    state: rules.CompensationState
    state_label: str
    is_cancelled: bool
    lost_min: int
    asked_note: str
    decision_note: str
    decided_at: datetime | None
    shifts: int | None


class CompensationListOut(Schema):
    """What waits for a decision, in the order in which time is given back."""

    items: list[CompensationOut]


def _loss(one: BeamLoss) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("cause", "note", "at", "void_at")},
        "id": one.pk,
        "beamline": one.beamline.code,
        "period": span(Period(one.during.lower, one.during.upper)),
        "cause_label": one.get_cause_display(),
    }


def _listed(one: Compensation, *, shifts: int | None = None) -> dict[str, Any]:
    names = ("state", "is_cancelled", "lost_min", "asked_note", "decision_note", "decided_at")
    return {
        **{name: getattr(one, name) for name in names},
        "visit": one.visit.number,
        "beamline": one.visit.beamline.code,
        "state_label": one.get_state_display(),
        "shifts": shifts,
    }


def _decided(request: ActorRequest, number: str) -> dict[str, Any]:
    found = access.get_compensation(request.actor, number)
    given = found.visit.made_up_by.first()
    decided = found.state != rules.CompensationState.LISTED.value
    return _listed(found, shifts=given.shifts if given else 0 if decided else None)


@router.get("/{code}/losses", response={200: PageOut[BeamLossOut], **problems(404)})
def list_losses(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what was logged at a facility the caller works for, the newest first."""
    facility = access.get_facility(request.actor, code)
    return paged(BeamLoss.objects.filter(beamline__facility=facility).select_related("beamline"), wanted, _loss)


@router.post("/{code}/losses", response={201: BeamLossOut, **problems(404, 409)})
def log_loss(request: ActorRequest, code: Number, payload: BeamLossIn) -> Status[dict[str, Any]]:
    """Log a span without beam; the same one again is the same. Visits that have ended are counted again."""
    line = access.get_line(access.get_facility(request.actor, code), payload.beamline)
    lost = losses.Lost(Period(payload.starts_at, payload.ends_at), payload.cause, payload.note)
    return Status(201, _loss(losses.log(actor=request.actor, line=line, lost=lost, now=timezone.now())))


@router.post("/{code}/losses/{loss_id}/void", response={200: BeamLossOut, **problems(404, 409)})
def void_loss(request: ActorRequest, code: Number, loss_id: LossId) -> dict[str, Any]:
    """Take out what was logged in error."""
    loss = access.get_loss(request.actor, loss_id)
    if loss.beamline.facility.code != code:
        raise NotFound
    return _loss(losses.void(actor=request.actor, loss=loss, now=timezone.now()))


@router.get("/{code}/compensations", response={200: CompensationListOut, **problems(404)})
def list_compensations(request: ActorRequest, code: Number) -> dict[str, Any]:
    """List what waits for a decision: cancelled beam first, then by grade, then what can be mailed in."""
    facility = access.get_facility(request.actor, code)
    return {"items": [_listed(one) for one in compensating.ordered(facility=facility)]}


@by_visit.get("/{number}/compensation", response={200: CompensationOut, **problems(404)})
def get_compensation(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return what is listed for a visit that lost beam, for its team and the staff."""
    return _decided(request, number)


@by_visit.post("/{number}/compensation/ask", response={200: CompensationOut, **problems(404, 409)})
def ask_compensation(request: ActorRequest, number: Number, payload: CompensationAskIn) -> dict[str, Any]:
    """Say, as the team, what is still needed; it credits nothing."""
    visit = access.get_visit(request.actor, number)
    compensating.ask(actor=request.actor, visit=visit, note=payload.note, now=timezone.now())
    return _decided(request, number)


@by_visit.post("/{number}/compensation", response={200: CompensationOut, **problems(404, 409)})
def decide_compensation(request: ActorRequest, number: Number, payload: CompensationIn) -> dict[str, Any]:
    """Give shifts back, or none, as the director, with a reason."""
    visit, now = access.get_visit(request.actor, number), timezone.now()
    if payload.shifts:
        compensating.grant(actor=request.actor, visit=visit, shifts=payload.shifts, note=payload.note, now=now)
    else:
        compensating.decline(actor=request.actor, visit=visit, note=payload.note, now=now)
    return _decided(request, number)
