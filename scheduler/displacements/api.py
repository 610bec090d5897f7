"""Endpoints of outages: a lab declares one and follows it, an enterprise chooses for each of its displaced bookings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Line,
    Number,
    PageOut,
    PeriodIn,
    StrictIn,
    Whole,
    key_from,
    paged,
    problems,
)
from scheduler.displacements import access, queries, rules, services
from scheduler.displacements.models import Displacement, DisplacementOption, Outage
from scheduler.resources import access as resources

declaring = Router(tags=["outages"])
outages = Router(tags=["outages"])
choosing = Router(tags=["outages"])


class OutageIn(PeriodIn):
    """When an instrument is out of use and why; `reason` is read by everybody it displaces.

    `answer_hours`: how long they may choose; afterwards a booking is cancelled and all of its money given back.
    """

    reason: Annotated[Line, Field(min_length=1, max_length=120)]
    answer_hours: Annotated[Whole, Field(ge=rules.ANSWER_HOURS[0], le=rules.ANSWER_HOURS[2])] = rules.ANSWER_HOURS[1]


class AffectedOut(Schema):
    """A booking an outage would displace, or end if it is running."""

    number: str
    organisation: str
    starts_at: datetime
    ends_at: datetime


class OutageOut(Schema):
    """An outage and how far its people have chosen: `displaced` is the sum of the four states."""

    number: str
    instrument: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    answer_by: datetime
    ended_at: datetime | None
    sessions_ended: int
    displaced: int
    open: int
    moved: int
    refunded: int
    lapsed: int


class OptionOut(Schema):
    """One thing to choose. Offered time is held until `held_until`; `refund` has none."""

    kind: rules.OptionKind
    instrument: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    held_until: datetime | None
    chosen: bool


class DisplacementOut(Schema):
    """What an outage did to one booking, and what may be chosen until `answer_by`."""

    booking: str
    outage: str
    instrument: str
    reason: str
    was_from: datetime
    was_to: datetime
    answer_by: datetime
    state: rules.DisplacementState
    options: list[OptionOut]


class ChoiceIn(StrictIn):
    """Which of the options."""

    choice: rules.OptionKind


def _outage(row: Outage) -> dict[str, Any]:
    said: Any = row
    names = ("number", "starts_at", "ends_at", "reason", "answer_by", "ended_at", "sessions_ended", "displaced")
    counts = {state.value: getattr(said, f"n_{state.value}") for state in rules.DisplacementState}
    return {**{name: getattr(said, name) for name in names}, "instrument": row.resource.number, **counts}


def _option(row: DisplacementOption) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "instrument": row.resource and row.resource.number,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "held_until": row.held_until,
        "chosen": row.is_chosen,
    }


def _displacement(row: Displacement) -> dict[str, Any]:
    return {
        "booking": row.booking.number,
        "outage": row.outage.number,
        "instrument": row.outage.resource.number,
        "reason": row.outage.reason,
        "was_from": row.was_from,
        "was_to": row.was_to,
        "answer_by": row.outage.answer_by,
        "state": row.state,
        "options": [_option(option) for option in row.options.all()],
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return _outage(queries.with_progress(access.declared_by(request.actor)).get(number=number))


@declaring.post("/{number}/outages/preview", response={200: list[AffectedOut], **problems(404)})
def preview(request: ActorRequest, number: Number, payload: PeriodIn) -> list[dict[str, Any]]:
    """List the bookings an outage would displace or end. A look: nothing changes."""
    resource = resources.get_own_instrument(request.actor, number)
    return [
        {
            "number": row.number,
            "organisation": row.organisation,
            "starts_at": row.period.start,
            "ends_at": row.period.end,
        }
        for row in queries.affected(resource, period=payload.value(), now=timezone.now())
    ]


@declaring.post("/{number}/outages", response={201: OutageOut, **problems(404, 409)})
def declare(request: ActorRequest, number: Number, payload: OutageIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Declare an outage whatever is booked: sessions end as measured, bookings are displaced, each gets options."""
    resource = resources.get_own_instrument(request.actor, number)
    made = services.declare(
        actor=request.actor,
        resource=resource,
        declared=services.Declared(payload.value(), payload.reason, payload.answer_hours),
        now=timezone.now(),
        key=key_from(key),
    )
    return Status(201, _again(request, made.number))


@outages.get("", response={200: PageOut[OutageOut], **problems()})
def list_outages(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the outages of the lab's instruments, the latest first."""
    return paged(queries.with_progress(access.declared_by(request.actor)).order_by("-pk"), wanted, _outage)


@outages.get("/{number}", response={200: OutageOut, **problems(404)})
def get_outage(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one outage and how far its people have chosen."""
    return _again(request, access.get_outage(request.actor, number).number)


@outages.post("/{number}/end", response={200: OutageOut, **problems(404, 409)})
def end_outage(request: ActorRequest, number: Number) -> dict[str, Any]:
    """End an outage early: what is left of it can be booked again. What it displaced stays displaced."""
    found = access.get_outage(request.actor, number)
    services.end_outage(actor=request.actor, outage=found, now=timezone.now())
    return _again(request, number)


@choosing.get("/{number}/displacement", response={200: DisplacementOut, **problems(404)})
def get_displacement(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return what an outage did to one of the caller's own bookings, and the options."""
    return _displacement(access.get_mine(request.actor, number))


@choosing.post("/{number}/displacement", response={200: DisplacementOut, **problems(404, 409)})
def choose(request: ActorRequest, number: Number, payload: ChoiceIn) -> dict[str, Any]:
    """Choose for a displaced booking; the price stays. Choosing the same again changes nothing."""
    found = access.get_mine(request.actor, number)
    services.choose(actor=request.actor, displacement=found, kind=payload.choice, now=timezone.now())
    return _displacement(access.get_mine(request.actor, number))
