"""Move a booking, and give back what is left of one in use. Writes bookings, their claims and their charges together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import bundles, fees, occupying, queries, rules, services
from scheduler.bookings.bundles import ANYBODY, Wanted
from scheduler.bookings.models import Booking
from scheduler.bookings.retrying import patiently
from scheduler.resources import services as resources
from vouchers.charges import services as charges

__all__ = ["Look", "look", "move", "release_rest"]


@dataclass(frozen=True, slots=True)
class Look:
    """What moving would come to: the new price and who pays, or every reason against it and what is free instead."""

    quote: queries.Quote
    alternatives: list[Period]
    confirmed: bool
    """Whether the lab need not decide anew: the new time lies in the old."""

    @property
    def seen(self) -> str:
        """Return what a person saw before confirming: price and voucher's part, in fen."""
        return f"{self.quote.price.amount.fen}/{self.quote.split.voucher.fen}"


def _mine(actor: Actor, booking: Booking) -> None:
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden


def _locked(booking: Booking, *, wanted: Wanted | None = None) -> Booking:
    """Return a booking under lock, with everything it occupies and would occupy, lowest id first."""
    ids = set(bundles.needed(wanted)[2]) if wanted else set()
    resources.lock(resource_ids=ids | occupying.resources_of([booking]))
    return (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "operator", "charge")
        .order_by("pk")
        .get(pk=booking.pk)
    )


def _wanted(booking: Booking, period: Period) -> Wanted:
    """Return what the booking asks for, at another time: who runs it is chosen anew among the qualified."""
    return Wanted(
        resource=booking.resource,
        period=period,
        title=booking.title,
        vouchers=charges.payers(charge_id=services.charge_of(booking)),
        units=booking.units,
        configuration=booking.configuration,
        operator=ANYBODY if booking.operator_id is not None else None,
    )


def _weigh(booking: Booking, *, wanted: Wanted, actor: Actor, now: datetime) -> Look:
    """Judge the new time as if the booking were not there: its time and money are free while it is asked."""
    if booking.state == rules.BookingState.IN_USE.value or (
        booking.state == rules.BookingState.CONFIRMED.value and now >= booking.starts_at
    ):
        raise rules.MovedAfterStart
    next_state(rules.TRANSITIONS, rules.BookingState(booking.state), rules.BookingAction.MOVE)
    was = Period(booking.starts_at, booking.ends_at)
    late = bool(fees.due(booking, now=now))
    occupying.vacate(booking)
    charges.release(charge_id=services.charge_of(booking), reason="replaced", actor=actor, now=now)
    quote = queries.quote(wanted, organisation_id=booking.organisation_id, now=now)
    # Who keeps the start has asked for it in time.
    kept = {"booking.lead"} if wanted.period.start == was.start else set()
    reasons = [reason for reason in quote.reasons if reason.code not in kept]
    if late and not wanted.period.covers(was):
        reasons.append(rules.MOVED_LATE)
    quote = replace(quote, reasons=tuple(reasons))
    near = queries.alternatives(wanted, now=now) if quote.reasons else []
    confirmed = booking.state == rules.BookingState.CONFIRMED.value and was.covers(wanted.period)
    return Look(quote, near, confirmed)


def look(*, actor: Actor, booking: Booking, period: Period, now: datetime) -> Look:
    """Say what moving `booking` to `period` would come to. Nothing is held or changed: all of it is rolled back.

    Raises MovedAfterStart, InvalidTransition, NoRate, Forbidden.
    """
    _mine(actor, booking)
    wanted = _wanted(booking, period)
    with transaction.atomic():
        found = _weigh(_locked(booking, wanted=wanted), wanted=wanted, actor=actor, now=now)
        transaction.set_rollback(True)
    return found


@patiently
@transaction.atomic
def move(*, actor: Actor, booking: Booking, period: Period, now: datetime) -> Booking:
    """Move a booking to `period`, with everything it holds, or leave all as it is.

    The number and the calendar identity stay, `sequence` rises by one (RFC 5546 §2.1.4); the price is quoted anew and
    takes the old one's place, paid by the same vouchers. The lab decides anew unless the new time lies in the old.
    Repeating a move changes nothing. Raises Refused with all reasons and free alternatives; MovedAfterStart,
    InvalidTransition, NoRate, Forbidden.
    """
    _mine(actor, booking)
    wanted = _wanted(booking, period)
    locked = _locked(booking, wanted=wanted)
    was = Period(locked.starts_at, locked.ends_at)
    if period == was:
        return locked
    found = _weigh(locked, wanted=wanted, actor=actor, now=now)
    if found.quote.reasons:
        raise Refused(found.quote.reasons, data={"alternatives": found.alternatives})
    if not found.confirmed:
        state = next_state(rules.TRANSITIONS, rules.BookingState(locked.state), rules.BookingAction.MOVE)
        locked.state = state.value
    locked.starts_at, locked.ends_at, locked.updated_at = period.start, period.end, now
    locked.operator = found.quote.bundle.operator
    locked.setup_s, locked.cleanup_s = locked.resource.setup_s, locked.resource.cleanup_s
    try:
        with transaction.atomic():
            occupying.occupy(locked, found.quote.bundle)
    except claiming.Taken:
        raise Refused([queries.TAKEN], data={"alternatives": queries.alternatives(wanted, now=now)}) from None
    locked.charge = charges.hold_again(
        charge_id=services.charge_of(locked),
        price=found.quote.price.amount,
        quote=found.quote.price.as_json(),
        ends_at=period.end,
        actor=actor,
        now=now,
    )
    _save(locked)
    _record(locked, action="booking.moved", actor=actor, now=now, was=was)
    return locked


def _save(booking: Booking) -> None:
    booking.sequence = F("sequence") + 1
    booking.save()
    booking.refresh_from_db(fields=["sequence"])


def _record(booking: Booking, *, action: str, actor: Actor, now: datetime, was: Period) -> None:
    audit.record(
        action=action,
        subject=f"booking:{booking.number}",
        actor=actor,
        now=now,
        organisations=[booking.organisation_id, booking.resource.owner_id],
        data={
            "state": booking.state,
            "was_from": was.start.isoformat(),
            "was_to": was.end.isoformat(),
            "from": booking.starts_at.isoformat(),
            "to": booking.ends_at.isoformat(),
        },
    )


@transaction.atomic
def release_rest(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Give back what is left of a booking in use, as its enterprise: from `now` on, clean-up kept, others may book it.

    The money stays held until the lab records the end: what is paid is what is measured. Raises NothingToRelease unless
    the booking is in use, has begun and is not over; Forbidden.
    """
    _mine(actor, booking)
    locked = _locked(booking)
    was = Period(locked.starts_at, locked.ends_at)
    if locked.state != rules.BookingState.IN_USE.value or not was.start < now < was.end:
        raise rules.NothingToRelease
    for claim in Claim.objects.filter(booking=locked, during__endswith__gt=now, during__startswith__lt=now):
        during, blocked = period_of(claim.during), period_of(claim.blocked)
        claim.during = (during.start, now)
        claim.blocked = (blocked.start, now + (blocked.end - during.end))
        claim.save(update_fields=["during", "blocked"])
        resources.touch_calendar(resource_id=claim.resource_id)
    locked.ends_at, locked.updated_at = now, now
    _save(locked)
    _record(locked, action="booking.rest_released", actor=actor, now=now, was=was)
    return locked
