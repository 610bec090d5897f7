"""What holds of bookings whose own share is paid in advance: how long they wait, what is refused, whether it reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason
from portal.kernel.money import Money
from scheduler.bookings import bundles, prepay_rules
from scheduler.bookings.models import Booking, BookingTerms
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from vouchers.payments import advances
from vouchers.payments.rules import Collect, advance_short

__all__ = [
    "Agreed",
    "PayTerms",
    "advance_of",
    "agreed",
    "asks_before",
    "pay_terms",
    "series_refusals",
    "set_pay_terms",
    "short",
    "transfer_refusals",
]


@dataclass(frozen=True, slots=True)
class PayTerms:
    """When the own share of an instrument's bookings is paid. `hold_s`, `transfer_hold_s`: see `BookingTerms`."""

    collect: Collect = Collect.AFTER
    hold_s: int = prepay_rules.HOLD_S
    transfer_hold_s: int = 0


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a new booking agrees to: when its own share is paid, until when it is held, by when the money is to be there."""

    collect: Collect = Collect.AFTER
    hold_until: datetime | None = None
    pay_by: datetime | None = None


def pay_terms(terms: BookingTerms | None) -> PayTerms:
    """Return what holds for new bookings of an instrument by its terms."""
    return PayTerms(Collect(terms.collect), terms.hold_s, terms.transfer_hold_s) if terms else PayTerms()


def asks_before(terms: BookingTerms | None, *, own: Money) -> bool:
    """Say whether a booking with this own share is to be paid for before it can be used."""
    return bool(own) and pay_terms(terms).collect is Collect.BEFORE


def agreed(
    terms: BookingTerms | None, wanted: bundles.Wanted, *, own: Money, hold_until: datetime | None, now: datetime
) -> Agreed:
    """Return what a new booking agrees to. `hold_until`: how long it is to be held where nothing is paid in advance."""
    kept = pay_terms(terms)
    if not asks_before(terms, own=own):
        return Agreed(kept.collect, hold_until)
    seconds = kept.transfer_hold_s if wanted.by_transfer else kept.hold_s
    until = prepay_rules.hold_until(now=now, starts_at=wanted.period.start, seconds=seconds)
    return Agreed(kept.collect, until, until)


def transfer_refusals(terms: BookingTerms | None, wanted: bundles.Wanted, *, own: Money) -> list[Reason]:
    """Return why an advance cannot come by bank transfer, where that was asked for."""
    refused = wanted.by_transfer and asks_before(terms, own=own) and not pay_terms(terms).transfer_hold_s
    return [prepay_rules.NO_TRANSFER] if refused else []


def series_refusals(terms: BookingTerms | None, *, own: Money) -> list[Reason]:
    """Return why a use cannot be one of a series: each would wait for money of its own."""
    return [prepay_rules.NO_SERIES] if asks_before(terms, own=own) else []


def short(booking: Booking, *, own: Money) -> list[Reason]:
    """Return why a booking paid in advance cannot change to a price with this own share. One query, none where it is not."""
    if booking.collect != Collect.BEFORE.value or not own:
        return []
    advance = advance_of(booking)
    paid = Money(advance.paid_fen if advance else 0)
    if own <= paid:
        return []
    return [advance_short(paid=paid, needed=own)]


def advance_of(booking: Booking) -> Any:
    """Return the payment asked for in advance of a booking, or None. One query, none where nothing can have been."""
    if booking.collect != Collect.BEFORE.value or booking.charge_id is None:
        return None
    return advances.of_charge(booking.charge_id)


@transaction.atomic
def set_pay_terms(*, actor: Actor, resource: Resource, terms: PayTerms, now: datetime) -> BookingTerms:
    """Say when the own share of an instrument's bookings is paid from now on; those already made stay.

    Raises BadPayTerms, Forbidden.
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    low, high = prepay_rules.HOLD_BOUNDS_S
    if not low <= terms.hold_s <= high:
        raise prepay_rules.BadPayTerms(field="hold_minutes")
    low, high = prepay_rules.TRANSFER_BOUNDS_S
    if terms.transfer_hold_s and not low <= terms.transfer_hold_s <= high:
        raise prepay_rules.BadPayTerms(field="transfer_hold_hours")
    resources.lock(resource_ids=[resource.pk])
    said = {
        "collect": terms.collect.value,
        "hold_s": terms.hold_s,
        "transfer_hold_s": terms.transfer_hold_s,
    }
    row, _created = BookingTerms.objects.update_or_create(resource=resource, defaults=said)
    audit.record(
        action="terms.payment_set", subject=f"instrument:{resource.number}", actor=actor, now=now, data=dict(said)
    )
    return row
