"""Endpoints of taking an instrument off the catalogue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import AwareDatetime, Field

from portal.kernel.period import Period
from portal.wire import ActorRequest, Block, Number, PeriodOut, StrictIn, problems, span
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.catalogue import withdrawing
from scheduler.resources import access, services
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishAction, PublishState

router = Router(tags=["instruments"])


class WithdrawnBookingOut(PeriodOut):
    """A booking on an instrument that is withdrawn, and whether it stays."""

    number: str
    organisation: str
    state: BookingState
    stays: bool


class WithdrawalOut(Schema):
    """An instrument's state, and what becomes of each booking on it."""

    number: str
    state: PublishState
    bookings: list[WithdrawnBookingOut]


class WithdrawalIn(StrictIn):
    """Why, until when bookings are kept (none without), and the numbers of all bookings that were shown before."""

    reason: Annotated[Block, Field(min_length=4, max_length=180)]
    keep_until: AwareDatetime | None = None
    seen: Annotated[list[Number], Field(max_length=1000)] = []


class WithdrawalLook(Schema):
    """Until when bookings would be kept."""

    keep_until: AwareDatetime | None = None


def _row(booking: Booking, *, stays: bool) -> dict[str, Any]:
    return {
        **span(Period(booking.starts_at, booking.ends_at)),
        "number": booking.number,
        "organisation": booking.organisation.name,
        "state": booking.state,
        "stays": stays,
    }


def _shown(resource: Resource, settled: withdrawing.Settled) -> dict[str, Any]:
    return {
        "number": resource.number,
        "state": resource.state,
        "bookings": [
            *(_row(row, stays=True) for row in settled.kept),
            *(_row(row, stays=False) for row in settled.ended),
        ],
    }


@router.get("/{number}/withdrawal", response={200: WithdrawalOut, **problems(404)})
def look(request: ActorRequest, number: Number, wanted: Query[WithdrawalLook]) -> dict[str, Any]:
    """Say what withdrawing would do to each booking in use or to come; changes nothing."""
    resource = access.get_own_instrument(request.actor, number)
    now: datetime = timezone.now()
    found = withdrawing.booked(resource, now=now)
    return _shown(resource, withdrawing.settle(found, keep_until=wanted.keep_until, now=now))


@router.post("/{number}/withdraw", response={200: WithdrawalOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number, payload: WithdrawalIn) -> dict[str, Any]:
    """Take an instrument off the catalogue and settle its bookings. 409 names bookings not among `seen`."""
    settled = withdrawing.withdraw(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        plan=withdrawing.Plan(payload.reason, payload.keep_until),
        seen=payload.seen,
        now=timezone.now(),
    )
    return _shown(access.get_own_instrument(request.actor, number), settled)


@router.post("/{number}/restore", response={200: WithdrawalOut, **problems(404, 409)})
def restore(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Make a withdrawn instrument a draft again."""
    resource = access.get_own_instrument(request.actor, number)
    now = timezone.now()
    done = services.change_state(actor=request.actor, resource=resource, action=PublishAction.RESTORE, now=now)
    return _shown(done, withdrawing.Settled(withdrawing.booked(resource, now=now), ()))
