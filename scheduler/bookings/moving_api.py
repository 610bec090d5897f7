"""Endpoints that move a booking, take that back, give its rest back, or change its words."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.http import explain_reason
from portal.wire import (
    ActorRequest,
    Line,
    MoneyOut,
    Number,
    PeriodIn,
    PeriodOut,
    ReasonOut,
    StrictIn,
    money,
    problems,
    span,
)
from scheduler.bookings import access, moving, rewording
from scheduler.bookings.api import BookingOut, shown

router = Router(tags=["bookings"])


class MoveOut(Schema):
    """What moving would come to. Nothing is held; with `reasons`, it cannot be, and `alternatives` are free.

    `confirmed`: the lab need not decide anew, since the new time lies in the old.
    """

    movable: bool
    confirmed: bool
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    reasons: list[ReasonOut]
    alternatives: list[PeriodOut]


@router.post("/{number}/move/quote", response={200: MoveOut, **problems(404, 409)})
def quote_move(request: ActorRequest, number: Number, payload: PeriodIn) -> dict[str, Any]:
    """Price a booking at another time, its own time and money counted as free. A look, not a promise."""
    made = access.get_own(request.actor, number)
    found = moving.look(actor=request.actor, booking=made, period=payload.value(), now=timezone.now())
    return {
        "movable": not found.quote.reasons,
        "confirmed": found.confirmed,
        "price": money(found.quote.price.amount),
        "voucher_share": money(found.quote.split.voucher),
        "own_share": money(found.quote.split.own),
        "reasons": [explain_reason(reason) for reason in found.quote.reasons],
        "alternatives": [span(free) for free in found.alternatives],
    }


@router.post("/{number}/move", response={200: BookingOut, **problems(404, 409)})
def move(request: ActorRequest, number: Number, payload: PeriodIn) -> dict[str, Any]:
    """Move a booking, before it starts: same number and calendar identity, price quoted anew. Repeating changes nothing.

    409 carries every reason and, in ``data.alternatives``, up to three periods that are free.
    """
    made = access.get_own(request.actor, number)
    moving.move(actor=request.actor, booking=made, period=payload.value(), now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))


@router.post("/{number}/move/undo", response={200: BookingOut, **problems(404, 409)})
def undo_move(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take the last move back, within ten seconds: time, confirmation and price are again what they were.

    409 once it is too late, anything else has happened to the booking, or somebody has taken the time.
    """
    made = access.get_own(request.actor, number)
    moving.undo(actor=request.actor, booking=made, now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))


@router.post("/{number}/release-rest", response={200: BookingOut, **problems(404, 409)})
def release_rest(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give back what is left of a booking in use; paid is what the agreed clock says, of the booked time all of it."""
    made = access.get_own(request.actor, number)
    moving.release_rest(actor=request.actor, booking=made, now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))


class WordsIn(StrictIn):
    """What a booking is for; only the booking organisation and the lab read it."""

    title: Annotated[Line, Field(max_length=120)]


@router.post("/{number}/reword", response={200: BookingOut, **problems(404, 409)})
def reword(request: ActorRequest, number: Number, payload: WordsIn) -> dict[str, Any]:
    """Change what a booking is for, until it is over: nothing else changes, no mail goes. Repeating changes nothing."""
    made = access.get_own(request.actor, number)
    rewording.reword(actor=request.actor, booking=made, title=payload.title, now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))
