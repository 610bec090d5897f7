"""Endpoints of the machine plan, of closing one beamline or a cycle, and of how a cycle's shares stand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.wire import ActorRequest, Line, PeriodIn, StrictIn, Whole, problems
from scheduler.availability.models import Closure
from scheduler.beamtime import closing, replanning, shares
from scheduler.facilities import access, cycles, schemas
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.facilities.plan import ModePeriod

router = Router(tags=["facilities"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class MachinePlanIn(StrictIn):
    """The whole machine plan of a cycle, made from `version`; `accepts` names what the planner has seen it breaks."""

    version: Annotated[Whole, Field(ge=1)]
    plan: Annotated[list[schemas.MachineSpanIn], Field(max_length=400)]
    accepts: Annotated[list[Annotated[Line, Field(max_length=24)]], Field(max_length=2000)] = []
    reason: Annotated[Line, Field(max_length=300)] = ""
    """Told to the teams whose visits it cancels."""

    def spans(self) -> tuple[ModePeriod, ...]:
        return tuple(ModePeriod(one.during.value(), one.mode) for one in self.plan)


class BrokenOut(Schema):
    """A visit or booking that the plan would leave without beam."""

    number: str
    starts_at: datetime
    ends_at: datetime


@router.put("/{code}/cycles/{cycle}/plan", response={200: schemas.PlanOut, **problems(404, 409)})
def set_plan(request: ActorRequest, code: schemas.Code, cycle: schemas.Code, payload: MachinePlanIn) -> dict[str, Any]:
    """Replace the machine plan. Refused while it breaks what is not named in `accepts`: the answer names all of it."""
    found = access.get_cycle(access.get_own(request.actor, code, Permission.BEAMTIME_PLAN), cycle)
    change = cycles.PlanChange(payload.spans(), payload.version, frozenset(payload.accepts))
    row = replanning.change_plan(
        actor=request.actor, cycle=found, change=change, reason=payload.reason, now=timezone.now()
    )
    return schemas.plan_out(row)


@router.post("/{code}/cycles/{cycle}/plan/foresee", response={200: list[BrokenOut], **problems(404, 409)})
def foresee(
    request: ActorRequest, code: schemas.Code, cycle: schemas.Code, payload: MachinePlanIn
) -> list[dict[str, Any]]:
    """Say what a machine plan would break; nothing is changed."""
    found = access.get_cycle(access.get_own(request.actor, code, Permission.BEAMTIME_PLAN), cycle)
    broken = cycles.foresee(found, payload.spans(), now=timezone.now())
    return [{"number": one.number, "starts_at": one.period.start, "ends_at": one.period.end} for one in broken]


@router.get("/{code}/cycles/{cycle}/shares", response={200: list[schemas.LineStandingOut], **problems(404)})
def get_shares(request: ActorRequest, code: schemas.Code, cycle: schemas.Code) -> list[dict[str, Any]]:
    """Say, to the facility's staff, what each pool was given of each beamline, has allocated and has had delivered (F18)."""
    facility = access.get_own(request.actor, code)
    return [schemas.standing_out(one) for one in shares.standing_of(access.get_cycle(facility, cycle))]


class LineClosingIn(StrictIn):
    """When a beamline is closed by itself; `accepts` names what the planner has seen it takes."""

    during: PeriodIn
    reason: Annotated[Line, Field(min_length=1, max_length=120)]
    """Told to the teams whose visits it cancels."""
    accepts: Annotated[list[Annotated[Line, Field(max_length=24)]], Field(max_length=2000)] = []


class LineClosureOut(Schema):
    """A time in which a beamline is closed by itself."""

    id: int
    starts_at: datetime
    ends_at: datetime
    reason: str


class CycleClosingIn(StrictIn):
    """`accepts` names what is still open and was seen, as ``kind:number``."""

    accepts: Annotated[list[Annotated[Line, Field(max_length=48)]], Field(max_length=5000)] = []


class CycleOpenOut(Schema):
    """One thing a cycle still has open: a visit, undecided compensation, shifts not placed, a reserve place, a draft."""

    kind: closing.OpenKind
    number: str
    shifts: int


def _planned_line(request: ActorRequest, code: str, line: str) -> Beamline:
    return access.get_beamline(access.get_own(request.actor, code, Permission.BEAMTIME_PLAN), line)


def _closure_out(row: Closure) -> dict[str, Any]:
    return {"id": row.pk, "starts_at": row.during.lower, "ends_at": row.during.upper, "reason": row.reason}


@router.get("/{code}/beamlines/{line}/closures", response={200: list[LineClosureOut], **problems(404)})
def list_closures(request: ActorRequest, code: schemas.Code, line: schemas.Code) -> list[dict[str, Any]]:
    """List, to the facility's staff, when a beamline is closed by itself from now on."""
    found = access.get_beamline(access.get_own(request.actor, code), line)
    return [_closure_out(row) for row in access.closures_of(found, since=timezone.now())[:200]]


@router.post("/{code}/beamlines/{line}/closures", response={201: LineClosureOut, **problems(404, 409)})
def close_line(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: LineClosingIn
) -> Status[dict[str, Any]]:
    """Close a beamline for a time. Refused while it takes what is not named in `accepts`: the answer names all of it."""
    row = replanning.close_line(
        actor=request.actor,
        beamline=_planned_line(request, code, line),
        period=payload.during.value(),
        reason=payload.reason,
        accepts=payload.accepts,
        now=timezone.now(),
    )
    return Status(201, _closure_out(row))


@router.post("/{code}/beamlines/{line}/closures/foresee", response={200: list[BrokenOut], **problems(404)})
def foresee_closing(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: LineClosingIn
) -> list[dict[str, Any]]:
    """Say which visits and bookings closing a beamline would take; nothing is changed."""
    found = _planned_line(request, code, line)
    broken = replanning.foresee_closing(found, payload.during.value(), now=timezone.now())
    return [{"number": one.number, "starts_at": one.period.start, "ends_at": one.period.end} for one in broken]


@router.delete("/{code}/beamlines/{line}/closures/{closure_id}", response={204: None, **problems(404)})
def reopen_line(request: ActorRequest, code: schemas.Code, line: schemas.Code, closure_id: Id) -> Status[None]:
    """Take a closure back: shifts nobody has can be booked again."""
    found = _planned_line(request, code, line)
    replanning.reopen_line(actor=request.actor, beamline=found, closure_id=closure_id, now=timezone.now())
    return Status(204, None)


def _kept_cycle(request: ActorRequest, code: str, cycle: str) -> RunCycle:
    facility = access.get_own(request.actor, code, Permission.FACILITY_MANAGE, Permission.FACILITY_DECIDE)
    return access.get_cycle(facility, cycle)


@router.get("/{code}/cycles/{cycle}/open", response={200: list[CycleOpenOut], **problems(404)})
def list_open(request: ActorRequest, code: schemas.Code, cycle: schemas.Code) -> list[dict[str, Any]]:
    """Say what a cycle still has open: what closing it would close over."""
    found = closing.still_open(_kept_cycle(request, code, cycle))
    return [{"kind": one.kind, "number": one.number, "shifts": one.shifts} for one in found]


@router.post("/{code}/cycles/{cycle}/close", response={200: schemas.CycleOut, **problems(404, 409)})
def close_cycle(
    request: ActorRequest, code: schemas.Code, cycle: schemas.Code, payload: CycleClosingIn
) -> dict[str, Any]:
    """Close the books of a cycle that is over. Refused while it has open what is not named in `accepts`. Idempotent."""
    row = closing.close_books(
        actor=request.actor, cycle=_kept_cycle(request, code, cycle), accepts=payload.accepts, now=timezone.now()
    )
    return schemas.cycle_out(row)
