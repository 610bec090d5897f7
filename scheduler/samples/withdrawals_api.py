"""Endpoints of taking an instrument off the catalogue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.period import Period
from portal.wire import ActorRequest, Block, Moment, Number, PeriodOut, StrictIn, problems, span
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.catalogue.withdrawing import Plan, Settled, booked
from scheduler.catalogue.withdrawing import settle as settle_bookings
from scheduler.resources import access, services
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishAction, PublishState
from scheduler.samples import withdrawing
from scheduler.samples.models import SampleOrder
from scheduler.samples.rules import SampleOrderState

router = Router(tags=["instruments"])


class WithdrawnBookingOut(PeriodOut):
    """A booking on an instrument that is withdrawn, and whether it stays."""

    number: str
    organisation: str
    state: BookingState
    stays: bool


class WithdrawnOrderOut(Schema):
    """A sample order on an instrument that is withdrawn: it is finished as agreed, or declined before that."""

    number: str
    organisation: str
    state: SampleOrderState
    stays: bool


class WithdrawalOut(Schema):
    """An instrument's state, and what becomes of each booking and sample order on it."""

    number: str
    state: PublishState
    bookings: list[WithdrawnBookingOut]
    orders: list[WithdrawnOrderOut]


class WithdrawalIn(StrictIn):
    """Why, until when bookings are kept (none without), and the numbers of all bookings and orders shown before."""

    reason: Annotated[Block, Field(min_length=4, max_length=180)]
    keep_until: Moment | None = None
    seen: Annotated[list[Number], Field(max_length=1000)] = []


class WithdrawalLook(Schema):
    """Until when bookings would be kept."""

    keep_until: Moment | None = None


def _row(booking: Booking, *, stays: bool) -> dict[str, Any]:
    return {
        **span(Period(booking.starts_at, booking.ends_at)),
        "number": booking.number,
        "organisation": booking.organisation.name,
        "state": booking.state,
        "stays": stays,
    }


def _order(order: SampleOrder, *, stays: bool) -> dict[str, Any]:
    return {"number": order.number, "organisation": order.organisation.name, "state": order.state, "stays": stays}


def _shown(resource: Resource, bookings: Settled, orders: withdrawing.Orders) -> dict[str, Any]:
    return {
        "number": resource.number,
        "state": resource.state,
        "bookings": [
            *(_row(row, stays=True) for row in bookings.kept),
            *(_row(row, stays=False) for row in bookings.ended),
        ],
        "orders": [
            *(_order(row, stays=True) for row in orders.kept),
            *(_order(row, stays=False) for row in orders.ended),
        ],
    }


@router.get("/{number}/withdrawal", response={200: WithdrawalOut, **problems(404)})
def look(request: ActorRequest, number: Number, wanted: Query[WithdrawalLook]) -> dict[str, Any]:
    """Say what withdrawing would do to each booking in use or to come and to each open sample order; changes nothing."""
    resource = access.get_own_instrument(request.actor, number)
    now: datetime = timezone.now()
    settled = settle_bookings(booked(resource, now=now), keep_until=wanted.keep_until, now=now)
    return _shown(resource, settled, withdrawing.settle(withdrawing.ordered(resource)))


@router.post("/{number}/withdraw", response={200: WithdrawalOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number, payload: WithdrawalIn) -> dict[str, Any]:
    """Take an instrument off the catalogue and settle what is booked and ordered. 409 names what is not among `seen`.

    Sample orders nobody has accepted yet are declined with the reason; accepted ones are finished as agreed.
    """
    done = withdrawing.withdraw(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        plan=Plan(payload.reason, payload.keep_until),
        seen=payload.seen,
        now=timezone.now(),
    )
    return _shown(access.get_own_instrument(request.actor, number), done.bookings, done.orders)


@router.post("/{number}/restore", response={200: WithdrawalOut, **problems(404, 409)})
def restore(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Make a withdrawn instrument a draft again."""
    resource = access.get_own_instrument(request.actor, number)
    now = timezone.now()
    done = services.change_state(actor=request.actor, resource=resource, action=PublishAction.RESTORE, now=now)
    return _shown(done, Settled(booked(resource, now=now), ()), withdrawing.Orders(withdrawing.ordered(resource), ()))
