"""Tell what an instrument measured or its staff confirmed, and choose what counts; the only writer of readings."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from scheduler.bookings import clocks, occupying, rules, settling, steps
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.bookings.models import Booking, ChargeTerms, SessionReading
from scheduler.bookings.settling import Agreed
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["record_reading", "set_charge_terms", "settle_waiting", "write_reading"]


@transaction.atomic
def set_charge_terms(*, actor: Actor, resource: Resource, terms: Agreed, now: datetime) -> ChargeTerms:
    """Set by which clock bookings of an instrument are charged from now on; those already made stay.

    Raises BadChargeTerms, Forbidden.
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    if not 1 <= terms.dispute_days <= 60:
        raise clocks.BadChargeTerms(field="dispute_days")
    resources.lock(resource_ids=[resource.pk])
    said = {"clock": terms.clock.value, "dispute_days": terms.dispute_days}
    row, _created = ChargeTerms.objects.update_or_create(resource=resource, defaults=said)
    audit.record(
        action="terms.charge_set", subject=f"instrument:{resource.number}", actor=actor, now=now, data=dict(said)
    )
    return row


@transaction.atomic
def record_reading(*, actor: Actor, booking: Booking, clock: SessionClock, use: Use, now: datetime) -> SessionReading:
    """Record what the instrument measured, or what the staff confirm, of a booking whose use has begun; as its lab.

    Of several readings of one clock the last counts. What is charged by this clock is charged now, if the use has ended;
    what has been charged stays: a dispute or a refund corrects it. The same reading again changes nothing.

    Raises BadReading, ReadingOutOfReach, NoSessionYet, Forbidden.
    """
    actor.require(Permission.SESSION_RECORD)
    locked = steps.under_lock(booking)
    if locked.resource.owner_id != actor.organisation_id:
        raise Forbidden
    if clock not in clocks.REPORTED:
        raise clocks.BadReading(field="clock")
    if locked.state not in {rules.BookingState.IN_USE.value, rules.BookingState.COMPLETED.value}:
        raise clocks.NoSessionYet
    clocks.check_reading(use.period, use.used_s, booked=Period(locked.starts_at, locked.ends_at), now=now)
    made, is_new = write_reading(locked, clock, use, actor=actor, now=now)
    if not is_new:
        return made
    audit.record(
        action="session.read",
        subject=f"booking:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.organisation_id, locked.resource.owner_id],
        data={"clock": clock.value, "duration_s": use.used_s},
    )
    if _waits(locked):
        settling.settle(locked, actor=actor, now=now)
    return made


def write_reading(
    booking: Booking, clock: SessionClock, use: Use, *, actor: Actor, now: datetime
) -> tuple[SessionReading, bool]:
    """Write a reading of a locked booking, and say whether it is new: the same again is not."""
    last = SessionReading.objects.filter(booking=booking, clock=clock.value).order_by("pk").last()
    if last and (last.started_at, last.ended_at, last.used_s) == (use.period.start, use.period.end, use.used_s):
        return last, False
    made = SessionReading.objects.create(
        booking=booking,
        clock=clock.value,
        started_at=use.period.start,
        ended_at=use.period.end,
        used_s=use.used_s,
        source=use.source or "manual",
        recorded_at=now,
        recorded_by=actor.label,
    )
    return made, True


def _waits(booking: Booking) -> bool:
    """Say whether a booking's use has ended and its charge still waits."""
    assert booking.charge is not None
    return booking.state == rules.BookingState.COMPLETED.value and booking.charge.state == "held"


@transaction.atomic
def settle_waiting(*, now: datetime) -> int:
    """Charge what waited `clocks.WAIT` for its reading in vain, by the next clock; returns how many bookings.

    Run by the clock, safe at any time: nobody's money stays held for ever.
    """
    actor = Actor.system("自动处理")
    overdue = list(
        Booking.objects.filter(
            state=rules.BookingState.COMPLETED.value,
            charge__state="held",
            session__ended_at__lte=now - clocks.WAIT,
        ).order_by("pk")[:200]
    )
    occupying.lock(overdue)
    settled = 0
    for booking in overdue:
        locked = steps.under_lock(booking)
        if _waits(locked):
            settling.settle(locked, actor=actor, now=now, waited=True)
            settled += 1
    return settled
