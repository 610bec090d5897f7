"""Endpoints of conduct: a lab's rule, what was counted, appeals, and where one stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.wire import ActorRequest, Block, Cursor, Flag, PageOut, StrictIn, Whole, paged, problems
from scheduler.conduct import access, queries, rules, services
from scheduler.conduct.models import Violation

router = Router(tags=["conduct"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Points = Annotated[Whole, Field(ge=0, le=100)]
Step = Annotated[Whole, Field(ge=1, le=1000)]
Note = Annotated[Block, Field(min_length=1, max_length=rules.NOTE)]


class ConductRuleIn(StrictIn):
    """When a lab counts a violation, what each kind weighs (none named: one point), and what follows from how many points."""

    grace_min: Annotated[Whole, Field(ge=5, le=1440)] = 60
    ratio_percent: Annotated[Whole, Field(ge=101, le=1000)] = 200
    points: dict[rules.ViolationKind, Points] = {}
    warn_at: Step = 2
    watch_at: Step = 3
    suspend_at: Step = 4
    window_days: Step = 365
    suspend_days: Step = 30

    def value(self) -> rules.Thresholds:
        """Return the rule. Raises BadThresholds."""
        said = self.model_dump()
        said["points"] = {kind: self.points.get(kind, 1) for kind in rules.ViolationKind}
        return rules.Thresholds(**said)


class ConductRuleOut(Schema):
    """A lab's rule of conduct."""

    grace_min: int
    ratio_percent: int
    points: dict[rules.ViolationKind, int]
    warn_at: int
    watch_at: int
    suspend_at: int
    window_days: int
    suspend_days: int


class ConductViolationOut(Schema):
    """What was counted, for whom, by which lab."""

    id: int
    booking: str
    organisation: str
    lab: str
    kind: rules.ViolationKind
    points: int
    state: rules.ViolationState
    at: datetime
    note: str
    appeal_note: str
    answer_note: str


class ConductAppealIn(StrictIn):
    """Why it should not count; the lab reads it."""

    note: Note


class ConductAnswerIn(StrictIn):
    """Whether it is lifted, and why; the organisation reads it."""

    lift: Flag
    note: Note


class ConductStandingOut(Schema):
    """Where the caller's organisation stands at a lab: `until` is the end of a suspension."""

    lab: str
    level: rules.Level
    points: int
    until: datetime | None


def shown(row: Violation) -> dict[str, Any]:
    """Return a violation as the API tells it."""
    return {
        "id": row.pk,
        "booking": row.booking.number,
        "organisation": row.organisation.name,
        "lab": row.owner.name,
        "kind": row.kind,
        "points": row.points,
        "state": row.state,
        "at": row.at,
        "note": row.note,
        "appeal_note": row.appeal_note,
        "answer_note": row.answer_note,
    }


@router.get("/rule", response={200: ConductRuleOut, **problems(404)})
def get_rule(request: ActorRequest) -> Any:
    """Return the rule of the caller's lab; 404 where it has none, and nothing is counted."""
    request.actor.require(Permission.BOOKING_DECIDE)
    found = queries.rule_of(request.actor.acting_for)
    if found is None:
        raise NotFound
    return found


@router.put("/rule", response={200: ConductRuleOut, **problems()})
def set_rule(request: ActorRequest, payload: ConductRuleIn) -> Any:
    """Set the rule of the caller's lab: bookings that begin from now on are judged by it."""
    services.set_rule(actor=request.actor, thresholds=payload.value(), now=timezone.now())
    return queries.rule_of(request.actor.acting_for)


@router.get("/violations", response={200: PageOut[ConductViolationOut], **problems()})
def list_violations(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what was counted for the caller's organisation, or by its lab."""
    return paged(access.visible_to(request.actor), wanted, shown)


@router.get("/standings", response={200: list[ConductStandingOut], **problems()})
def list_standings(request: ActorRequest) -> list[dict[str, Any]]:
    """Say where the caller's organisation stands at every lab that counted anything for it."""
    request.actor.require(Permission.BOOKING_REQUEST)
    return [
        {"lab": lab.name, "level": standing.level, "points": standing.points, "until": standing.until}
        for lab, standing in queries.own_standings(organisation_id=request.actor.acting_for, at=timezone.now())
    ]


@router.post("/violations/{pk}/appeal", response={200: ConductViolationOut, **problems(404, 409)})
def appeal(request: ActorRequest, pk: Id, payload: ConductAppealIn) -> dict[str, Any]:
    """Appeal, once, as the organisation it counts for."""
    found = access.get_violation(request.actor, pk)
    services.appeal(actor=request.actor, violation=found, note=payload.note, now=timezone.now())
    return shown(access.get_violation(request.actor, pk))


@router.post("/violations/{pk}/decide", response={200: ConductViolationOut, **problems(404, 409)})
def decide(request: ActorRequest, pk: Id, payload: ConductAnswerIn) -> dict[str, Any]:
    """Lift it, or uphold it against an appeal, as the lab."""
    found = access.get_violation(request.actor, pk)
    services.decide(actor=request.actor, violation=found, lift=payload.lift, note=payload.note, now=timezone.now())
    return shown(access.get_violation(request.actor, pk))
