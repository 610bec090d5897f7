"""Take a booking a step through its states: locked first, its claims and its money following, on the record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from scheduler.bookings import occupying, offering, rules, telling
from scheduler.bookings.models import Booking
from scheduler.conduct import services as conduct
from scheduler.conduct.rules import ViolationKind
from vouchers.charges import services as charges

__all__ = ["charge_of", "give_up", "record", "take", "under_lock"]


def record(booking: Booking, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write down what was done, for the enterprise and the lab."""
    audit.record(
        action=action,
        subject=f"booking:{booking.number}",
        actor=actor,
        now=now,
        organisations=[booking.organisation_id, booking.resource.owner_id],
        data={"state": booking.state, **data},
    )


def under_lock(booking: Booking) -> Booking:
    """Return a booking under lock, everything it occupies locked before it."""
    occupying.lock([booking])
    return (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "charge")
        .order_by("pk")
        .get(pk=booking.pk)
    )


def take(booking: Booking, action: rules.BookingAction, *, now: datetime, note: str = "") -> None:
    """Take the transition, and let the claims and the calendars follow."""
    before = rules.BookingState(booking.state)
    state = next_state(rules.TRANSITIONS, before, action)
    booking.state = state.value
    booking.updated_at = now
    booking.decision_note = note or booking.decision_note
    if rules.calendar_status(before) != rules.calendar_status(state):
        telling.raise_sequence(booking)
    booking.save(update_fields=["state", "updated_at", "decision_note", "sequence"])
    occupying.follow(booking)
    telling.tell(booking, now=now)
    offering.end(booking, action=rules.CounterOfferAction.VOID, now=now)


def charge_of(booking: Booking) -> int:
    """Return the id of a booking's charge: every booking has one from the moment it is committed."""
    assert booking.charge_id is not None
    return booking.charge_id


def give_up(
    booking: Booking, action: rules.BookingAction, *, actor: Actor, now: datetime, keeps_advance: bool = False
) -> None:
    """End a booking that was never used: its time and money are free again. `keeps_advance`: a fee is kept next."""
    take(booking, action, now=now)
    charges.release(
        charge_id=charge_of(booking), reason=booking.state, actor=actor, now=now, keeps_advance=keeps_advance
    )
    record(booking, action=f"booking.{booking.state}", actor=actor, now=now)
    if action is rules.BookingAction.MISS:
        conduct.count(booking=booking, kind=ViolationKind.NO_SHOW, actor=actor, at=now)
