"""What an outage does to bookings: end what runs, take the time of what is to come, and settle it again or give it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.availability.rules import ClaimRole
from scheduler.bookings import keeping, occupying, rules, steps, telling
from scheduler.bookings.models import Booking
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from vouchers.charges import services as charges

__all__ = ["cut", "displace", "drop", "resettle"]

A = rules.BookingAction


def _take(booking: Booking, action: rules.BookingAction, *, now: datetime, note: str = "") -> None:
    before = rules.BookingState(booking.state)
    state = next_state(rules.TRANSITIONS, before, action)
    booking.state = state.value
    booking.updated_at = now
    booking.decision_note = note[:200] or booking.decision_note
    if rules.calendar_status(before) != rules.calendar_status(state):
        telling.raise_sequence(booking)
    booking.save()


def _record(booking: Booking, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"booking:{booking.number}",
        actor=actor,
        now=now,
        organisations=[booking.organisation_id, booking.resource.owner_id],
        data={
            "state": booking.state,
            "from": booking.starts_at.isoformat(),
            "to": booking.ends_at.isoformat(),
        },
    )


def displace(booking: Booking, *, reason: str, actor: Actor, now: datetime) -> None:
    """Take the time of a booking that has not begun; its money stays held until somebody chooses. Locks are held.

    The outage's one message tells the person; calendars get theirs when it is settled.
    """
    _take(booking, A.DISPLACE, now=now, note=reason)
    occupying.follow(booking)
    _record(booking, action="booking.displaced", actor=actor, now=now)


def resettle(
    booking: Booking, *, resource: Resource, period: Period, claims: Sequence[Claim], actor: Actor, now: datetime
) -> None:
    """Give a displaced booking time that was kept for it, at the price it had. Locks are held.

    Raises Refused where its vouchers are not valid at the new time.
    """
    assert booking.charge is not None
    old = booking.charge
    charges.release(charge_id=old.pk, reason="replaced", actor=actor, now=now, keeps_advance=True)
    booking.charge = charges.hold_again(
        charge_id=old.pk, price=Money(old.price_fen), quote=old.quote, ends_at=period.end, actor=actor, now=now
    )
    booking.resource, booking.starts_at, booking.ends_at = resource, period.start, period.end
    booking.setup_s, booking.cleanup_s = resource.setup_s, resource.cleanup_s
    booking.operator_id = next((claim.resource_id for claim in claims if claim.role == ClaimRole.OPERATOR.value), None)
    _take(booking, A.RESETTLE, now=now)
    keeping.adopt(booking, claims)
    telling.tell(booking, now=now)
    _record(booking, action="booking.resettled", actor=actor, now=now)


def drop(booking: Booking, *, actor: Actor, now: datetime) -> None:
    """Cancel a displaced booking; everything held for it is given back. Locks are held."""
    _take(booking, A.DROP, now=now)
    charges.release(charge_id=steps.charge_of(booking), reason="displaced", actor=actor, now=now)
    telling.tell(booking, now=now)
    _record(booking, action="booking.dropped", actor=actor, now=now)


def cut(booking: Booking, *, at: datetime, actor: Actor, now: datetime) -> None:
    """End a running booking's time at `at`: what is paid is what is measured. Locks are held."""
    for claim in Claim.objects.filter(booking=booking, blocked__endswith__gt=at, during__startswith__lt=at):
        during, blocked = period_of(claim.during), period_of(claim.blocked)
        claim.during, claim.blocked = (during.start, min(during.end, at)), (blocked.start, at)
        claim.save(update_fields=["during", "blocked"])
        resources.touch_calendar(resource_id=claim.resource_id)
    booking.ends_at, booking.updated_at = min(booking.ends_at, at), now
    telling.raise_sequence(booking)
    booking.save(update_fields=["ends_at", "updated_at", "sequence"])
    telling.tell(booking, now=now)
    _record(booking, action="booking.cut", actor=actor, now=now)
