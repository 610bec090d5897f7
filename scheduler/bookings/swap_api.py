"""Endpoints of exchanging times by consent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Moment,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    PeriodOut,
    ReasonOut,
    StrictIn,
    key_from,
    money,
    paged,
    problems,
    span,
)
from scheduler.bookings import access, swapping
from scheduler.bookings.swap_models import Swap
from scheduler.bookings.swap_rules import SwapState
from scheduler.resources import access as resources

router = Router(tags=["bookings"])


class SwapAskIn(StrictIn):
    """One's own confirmed booking, and a moment somebody else holds: on its instrument, or on one like it of the lab."""

    booking: Number
    at: Moment
    instrument: Number | None = None


class SwapIn(SwapAskIn):
    """`price` is what the new time costs, as the quote said: agreeing to it is part of the proposal."""

    price: MoneyIn


class SwapAcceptIn(StrictIn):
    """What the new time costs, as the proposal said."""

    price: MoneyIn


class SwapQuoteOut(Schema):
    """What exchanging would come to for one's own side. Of the other, only the time is told."""

    possible: bool
    instrument: str
    period: PeriodOut
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    reasons: list[ReasonOut]


class SwapOut(Schema):
    """A proposal as one side sees it: its own `booking`, from when to when; `asked` says whether it was its own idea."""

    number: str
    asked: bool
    booking: str
    given: PeriodOut
    gets: PeriodOut
    instrument: str
    state: SwapState
    state_label: str
    expires_at: datetime
    created_at: datetime
    decided_at: datetime | None


def swap_out(one: Swap, actor: Actor) -> dict[str, Any]:
    """Return a proposal as the API tells it to one side."""
    mine = swapping.side_of(one, actor)
    asked = mine.pk == one.asked_id
    spans = (Period(one.asked_starts_at, one.asked_ends_at), Period(one.other_starts_at, one.other_ends_at))
    given, gets = spans if asked else spans[::-1]
    return {
        "number": one.number,
        "asked": asked,
        "booking": mine.number,
        "given": span(given),
        "gets": span(gets),
        "instrument": (one.other_resource if asked else one.asked_resource).number,
        "state": one.state,
        "state_label": one.get_state_display(),
        "expires_at": one.expires_at,
        "created_at": one.created_at,
        "decided_at": one.decided_at,
    }


def _offer(offer: swapping.Offer) -> dict[str, Any]:
    return {
        "possible": not offer.reasons,
        "instrument": offer.resource.number,
        "period": span(offer.period),
        "price": money(offer.price),
        "voucher_share": money(offer.voucher),
        "own_share": money(offer.price - offer.voucher),
        "reasons": [explain_reason(reason) for reason in offer.reasons],
    }


def _asked(request: ActorRequest, payload: SwapAskIn) -> dict[str, Any]:
    booking = access.get_own(request.actor, payload.booking)
    number = payload.instrument
    resource = resources.get_instrument(request.actor, number) if number else booking.resource
    return {"actor": request.actor, "booking": booking, "resource": resource, "at": payload.at, "now": timezone.now()}


@router.post("/quote", response={200: SwapQuoteOut, **problems(404, 409)})
def quote_swap(request: ActorRequest, payload: SwapAskIn) -> dict[str, Any]:
    """Say what exchanging times with whoever holds `at` would come to. Nothing is changed, nobody is told."""
    request.actor.require(Permission.BOOKING_REQUEST)
    return _offer(swapping.look(**_asked(request, payload)))


@router.post("", response={201: SwapOut, **problems(404, 409)})
def propose_swap(request: ActorRequest, payload: SwapIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Propose to exchange times; it ends by itself after 48 hours or when either booking starts."""
    request.actor.require(Permission.BOOKING_REQUEST)
    made = swapping.propose(**_asked(request, payload), price=payload.price.value(), key=key_from(key))
    return Status(201, swap_out(access.get_swap(request.actor, made.number), request.actor))


@router.get("", response={200: PageOut[SwapOut], **problems()})
def list_swaps(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the proposals the caller made or was made."""
    return paged(access.own_swaps(request.actor), wanted, lambda one: swap_out(one, request.actor))


@router.get("/{number}", response={200: SwapOut, **problems(404)})
def get_swap(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one proposal."""
    return swap_out(access.get_swap(request.actor, number), request.actor)


@router.get("/{number}/quote", response={200: SwapQuoteOut, **problems(404, 409)})
def weigh_swap(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Say what a proposal that waits comes to for the caller's own booking."""
    one = access.get_swap(request.actor, number)
    return _offer(swapping.weigh(actor=request.actor, swap=one, now=timezone.now()))


def _act(request: ActorRequest, number: str, act: Callable[[Swap, datetime], object]) -> dict[str, Any]:
    act(access.get_swap(request.actor, number), timezone.now())
    return swap_out(access.get_swap(request.actor, number), request.actor)


@router.post("/{number}/accept", response={200: SwapOut, **problems(404, 409)})
def accept_swap(request: ActorRequest, number: Number, payload: SwapAcceptIn) -> dict[str, Any]:
    """Accept: both bookings change places in one transaction, each priced anew. Repeating changes nothing."""
    return _act(
        request,
        number,
        lambda one, now: swapping.accept(actor=request.actor, swap=one, price=payload.price.value(), now=now),
    )


@router.post("/{number}/end", response={200: SwapOut, **problems(404, 409)})
def end_swap(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Decline a proposal, or withdraw one's own."""
    return _act(request, number, lambda one, now: swapping.answer(actor=request.actor, swap=one, now=now))
