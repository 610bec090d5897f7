"""Endpoints of counter-offers: the lab offers another time for a request, the enterprise answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.errors import NotFound
from portal.wire import ActorRequest, Block, MoneyOut, Number, PeriodIn, ReasonOut, money, problems
from scheduler.bookings import access, counteroffers, moving
from scheduler.bookings.api import BookingOut, shown
from scheduler.bookings.models import Booking, CounterOffer

router = Router(tags=["bookings"])


class CounterOfferIn(PeriodIn):
    """The time offered, and why; the enterprise reads it."""

    note: Annotated[Block, Field(max_length=200)]


class TakingOut(Schema):
    """What taking the offer would cost and who would pay; with `reasons`, it cannot be taken."""

    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    reasons: list[ReasonOut]


class CounterOfferOut(Schema):
    """Another time, held until `until` (exclusive). `taking` is shown to the enterprise."""

    starts_at: datetime
    ends_at: datetime
    note: str
    until: datetime
    taking: TakingOut | None


def _shown(offer: CounterOffer, look: moving.Look | None) -> dict[str, Any]:
    return {
        "starts_at": offer.starts_at,
        "ends_at": offer.ends_at,
        "note": offer.note,
        "until": offer.until,
        "taking": look
        and {
            "price": money(look.quote.price.amount),
            "voucher_share": money(look.quote.split.voucher),
            "own_share": money(look.quote.split.own),
            "reasons": [explain_reason(reason) for reason in look.quote.reasons],
        },
    }


@router.get("/{number}/counter-offer", response={200: CounterOfferOut, **problems(404)})
def get_counter_offer(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the offer that waits for the enterprise's answer; 404 where none does."""
    made, now = access.get_booking(request.actor, number), timezone.now()
    offer = counteroffers.waiting(made, now=now)
    if offer is None:
        raise NotFound
    mine = made.organisation_id == request.actor.organisation_id
    return _shown(offer, counteroffers.look(actor=request.actor, booking=made, now=now) if mine else None)


@router.post("/{number}/counter-offer", response={200: CounterOfferOut, **problems(404, 409)})
def make_counter_offer(request: ActorRequest, number: Number, payload: CounterOfferIn) -> dict[str, Any]:
    """Offer another time for a request, as the lab; it is held for three days at most. Replaces an offer before.

    409 carries every reason and, in ``data.alternatives``, up to three periods that are free.
    """
    made = access.get_served(request.actor, number)
    offer = counteroffers.offer(
        actor=request.actor, booking=made, period=payload.value(), note=payload.note, now=timezone.now()
    )
    return _shown(offer, None)


@router.post("/{number}/counter-offer/accept", response={200: BookingOut, **problems(404, 409)})
def accept(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take the offered time: the booking moves there and is confirmed."""
    made: Booking = access.get_own(request.actor, number)
    counteroffers.accept(actor=request.actor, booking=made, now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))


@router.post("/{number}/counter-offer/refuse", response={200: BookingOut, **problems(404, 409)})
def refuse(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Let the offer go; the request stays for the lab to decide."""
    made: Booking = access.get_own(request.actor, number)
    counteroffers.refuse(actor=request.actor, booking=made, now=timezone.now())
    return shown(request, access.get_booking(request.actor, number))
