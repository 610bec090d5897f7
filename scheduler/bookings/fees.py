"""Keep a fee for a late cancellation or an absence, held until the slot is over; what was resold costs nothing.

The rule is the one agreed when the booking was made. A fee is never paid by voucher: public money pays for use alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.availability.rules import ClaimRole
from scheduler.bookings import occupying, rules, spans
from scheduler.bookings.fee_models import LateFee
from scheduler.bookings.models import Booking, BookingTerms
from scheduler.resources.rules import Counting
from vouchers.charges import services as charges

__all__ = ["agreed", "due", "keep", "settle_due", "sold"]

SOLD = (Claim.State.CONFIRMED.value, Claim.State.IN_USE.value, Claim.State.DONE.value)


def agreed(terms: BookingTerms | None) -> dict[str, int]:
    """Return what a new booking agrees to: until when cancelling is free, and what share of the price it costs later."""
    if terms is None:
        return {"free_cancel_s": 0, "late_percent": 0}
    return {"free_cancel_s": terms.free_cancel_s, "late_percent": terms.late_percent}


def due(booking: Booking, *, now: datetime) -> Money:
    """Return what giving the booking up at `now` would cost at most; nothing before the lab has confirmed it."""
    if booking.state != rules.BookingState.CONFIRMED.value or booking.charge is None:
        return Money(0)
    return rules.late_fee(
        Money(booking.charge.price_fen),
        percent=booking.late_percent,
        free=timedelta(seconds=booking.free_cancel_s),
        starts_at=booking.starts_at,
        now=now,
    )


def keep(booking: Booking, *, fee: Money, actor: Actor, now: datetime) -> None:
    """Hold the fee of a booking just given up, whose charge is released, until its slot is over. Nothing for no fee."""
    if not fee:
        return
    assert booking.charge is not None
    main = Claim.objects.filter(booking=booking, role=ClaimRole.MAIN.value).order_by("pk").first()
    booking.charge = charges.hold_again(
        charge_id=booking.charge.pk,
        price=fee,
        quote={**booking.charge.quote, "amount_fen": fee.fen, "late_percent": booking.late_percent},
        ends_at=booking.ends_at,
        by_vouchers=False,
        actor=actor,
        now=now,
    )
    booking.save(update_fields=["charge"])
    LateFee.objects.create(booking=booking, unit_no=main.unit_no if main else None, fee_fen=fee.fen, kept_at=now)


def sold(fee: LateFee) -> timedelta:
    """Return how much of the slot given up others have booked or used since. One query."""
    booking = fee.booking
    slot = Period(booking.starts_at, booking.ends_at)
    claims = Claim.objects.filter(
        resource_id=booking.resource_id,
        role=ClaimRole.MAIN.value,
        state__in=SOLD,
        booking__isnull=False,
        during__overlap=(slot.start, slot.end),
    )
    if booking.resource.counting == Counting.FUNGIBLE.value:
        held = [spans.Held(period_of(claim.during), claim.units) for claim in claims]
        taken = spans.full(held, capacity=booking.resource.capacity, units=booking.units)
    else:
        taken = [period_of(claim.during) for claim in claims.filter(unit_no=fee.unit_no)]
    return sum((span.duration for span in spans.intersect(taken, [slot])), timedelta(0))


@transaction.atomic
def settle_due(*, now: datetime) -> int:
    """Bill what was not resold of the slots that are over; returns how many fees. Run by the clock, safe at any time."""
    actor = Actor.system("自动处理")
    waiting = LateFee.objects.filter(settled_at__isnull=True, booking__ends_at__lte=now)
    rows = list(waiting.select_related("booking").order_by("pk")[:100])
    occupying.lock([row.booking for row in rows])
    locked = waiting.filter(pk__in=[row.pk for row in rows]).select_for_update(no_key=True, of=("self",))
    settled = 0
    for fee in locked.select_related("booking__resource", "booking__charge").order_by("pk"):
        _settle(fee, actor=actor, now=now)
        settled += 1
    return settled


def _settle(fee: LateFee, *, actor: Actor, now: datetime) -> None:
    booking = fee.booking
    assert booking.charge_id is not None
    resold = sold(fee)
    owed = rules.unsold(Money(fee.fee_fen), slot=booking.ends_at - booking.starts_at, sold=resold)
    measured: dict[str, Any] = {"amount_fen": owed.fen, "sold_s": int(resold.total_seconds())}
    if owed:
        charges.capture(charge_id=booking.charge_id, actual=owed, measured=measured, actor=actor, now=now)
    else:
        charges.release(charge_id=booking.charge_id, reason="resold", actor=actor, now=now)
    fee.sold_s, fee.owed_fen, fee.settled_at = measured["sold_s"], owed.fen, now
    fee.save(update_fields=["sold_s", "owed_fen", "settled_at"])
    audit.record(
        action="booking.fee_settled",
        subject=f"booking:{booking.number}",
        actor=actor,
        now=now,
        organisations=[booking.organisation_id, booking.resource.owner_id],
        data={"held_fen": fee.fee_fen, "owed_fen": owed.fen},
    )
