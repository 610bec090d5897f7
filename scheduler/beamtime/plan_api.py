"""Endpoints of the machine plan and of how a cycle's shares stand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.wire import ActorRequest, Line, StrictIn, Whole, problems
from scheduler.beamtime import replanning, shares
from scheduler.facilities import access, cycles, schemas
from scheduler.facilities.plan import ModePeriod

router = Router(tags=["facilities"])


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
