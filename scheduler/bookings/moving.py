"""Move a booking, take a move back at once, give back what is left of one in use. Writes claims and charges with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import bundles, fees, lapsing, occupying, offering, prepaid, queries, rules, steps, telling
from scheduler.bookings.bundles import ANYBODY, Wanted
from scheduler.bookings.models import Booking, BookingMove
from scheduler.bookings.retrying import patiently
from scheduler.quotas import services as quotas
from scheduler.resources import services as resources
from vouchers.charges import services as charges

__all__ = [
    "UNDO_SHOWN",
    "Look",
    "look",
    "move",
    "record",
    "release_rest",
    "save",
    "under_lock",
    "undo",
    "wanted_at",
    "weigh",
]

UNDO_SHOWN: Final = timedelta(seconds=10)
"""For how long a page offers to take a move back."""
UNDO_WITHIN: Final = timedelta(seconds=15)
"""How long after the move that is taken: what is shown, and the way there."""
AGREED: Final = {"booking.lead", "booking.horizon", "booking.grid", "booking.too_short", "booking.too_long"}
"""Limits that were kept when the booking was first made: taking a move back asks for them no more."""


@dataclass(frozen=True, slots=True)
class Look:
    """What moving would come to: the new price and who pays, or every reason against it and what is free instead."""

    quote: queries.Quote
    alternatives: list[Period]
    confirmed: bool
    """Whether the lab need not decide anew: the new time lies in the old, or adds to it what is confirmed at once."""

    @property
    def seen(self) -> str:
        """Return what a person saw before confirming: price and voucher's part, in fen."""
        return f"{self.quote.price.amount.fen}/{self.quote.split.voucher.fen}"


def _mine(actor: Actor, booking: Booking) -> None:
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden


def under_lock(booking: Booking, *, now: datetime, wanted: Wanted | None = None) -> Booking:
    """Return a booking under lock, with everything it occupies and would occupy, lowest id first."""
    ids = set(bundles.needed(wanted)[2]) if wanted else set()
    lapsing.release_lapsed(resource_ids=ids | occupying.resources_of([booking]), now=now)
    if wanted:
        quotas.lock(resource=wanted.resource, organisation_id=booking.organisation_id)
    return (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "operator", "charge")
        .order_by("pk")
        .get(pk=booking.pk)
    )


def wanted_at(booking: Booking, period: Period) -> Wanted:
    """Return what the booking asks for, at another time: who runs it is chosen anew among the qualified."""
    return Wanted(
        resource=booking.resource,
        period=period,
        title=booking.title,
        vouchers=charges.payers(charge_id=steps.charge_of(booking)),
        units=booking.units,
        configuration=booking.configuration,
        operator=ANYBODY if booking.operator_id is not None else None,
    )


def weigh(
    booking: Booking, *, wanted: Wanted, actor: Actor, now: datetime, tolerated: frozenset[str] = frozenset()
) -> Look:
    """Judge the new time as if the booking were not there: its time and money are free while it is asked.

    The caller rolls it back, or books the new time. Reasons with a code in `tolerated` do not count.
    """
    if booking.state == rules.BookingState.IN_USE.value or (
        booking.state == rules.BookingState.CONFIRMED.value and now >= booking.starts_at
    ):
        raise rules.MovedAfterStart(field="starts_at")
    next_state(rules.TRANSITIONS, rules.BookingState(booking.state), rules.BookingAction.MOVE)
    was = Period(booking.starts_at, booking.ends_at)
    late = bool(fees.due(booking, now=now))
    occupying.vacate(booking)
    charges.release(charge_id=steps.charge_of(booking), reason="replaced", actor=actor, now=now, keeps_advance=True)
    quote = queries.quote(wanted, organisation_id=booking.organisation_id, user_id=booking.booked_by_id, now=now)
    # Who keeps the start has asked for it in time.
    kept = tolerated | ({"booking.lead"} if wanted.period.start == was.start else set())
    reasons = [reason for reason in quote.reasons if reason.code not in kept]
    reasons += prepaid.short(booking, own=quote.split.own)
    longer = wanted.period.covers(was)
    stands = was.covers(wanted.period) or (longer and quote.is_automatic)
    confirmed = booking.state == rules.BookingState.CONFIRMED.value and stands
    # A request costs nothing to cancel: what is late must not become one again.
    if late and not (longer and confirmed):
        reasons.append(rules.MOVED_LATE)
    quote = replace(quote, reasons=tuple(reasons))
    near = queries.elsewhere(quote, now=now) if quote.reasons else []
    return Look(quote, near, confirmed)


def look(*, actor: Actor, booking: Booking, period: Period, now: datetime) -> Look:
    """Say what moving `booking` to `period` would come to. Nothing is held or changed: all of it is rolled back.

    Raises MovedAfterStart, InvalidTransition, NoRate, Forbidden.
    """
    _mine(actor, booking)
    wanted = wanted_at(booking, period)
    with transaction.atomic():
        found = weigh(under_lock(booking, now=now, wanted=wanted), wanted=wanted, actor=actor, now=now)
        transaction.set_rollback(True)
    return found


@patiently
@transaction.atomic
def move(
    *, actor: Actor, booking: Booking, period: Period, now: datetime, tolerated: frozenset[str] = frozenset()
) -> Booking:
    """Move a booking to `period`, with everything it holds, or leave all as it is.

    The number and the calendar identity stay, `sequence` rises by one (RFC 5546 §2.1.4); the price is quoted anew and
    takes the old one's place, paid by the same vouchers. The lab decides anew unless the new time lies in the old, or adds
    to it what the lab confirms at once; once cancelling costs a fee, there is no other move.
    Repeating a move changes nothing; reasons with a code in `tolerated` do not count. Raises Refused with all reasons
    and free alternatives; MovedAfterStart, InvalidTransition, NoRate, Forbidden.
    """
    _mine(actor, booking)
    wanted = wanted_at(booking, period)
    locked = under_lock(booking, now=now, wanted=wanted)
    was = Period(locked.starts_at, locked.ends_at)
    if period == was:
        return locked
    offering.end(locked, action=rules.CounterOfferAction.VOID, now=now)
    found = weigh(locked, wanted=wanted, actor=actor, now=now, tolerated=tolerated)
    if found.quote.reasons:
        raise Refused(found.quote.reasons, data={"alternatives": found.alternatives})
    stood = locked.state
    if not found.confirmed:
        state = next_state(rules.TRANSITIONS, rules.BookingState(locked.state), rules.BookingAction.MOVE)
        locked.state = state.value
    BookingMove.objects.create(
        booking=locked,
        moved_at=now,
        was_starts_at=was.start,
        was_ends_at=was.end,
        was_state=stood,
        was_operator=locked.operator,
        was_charge_id=steps.charge_of(locked),
    )
    locked.starts_at, locked.ends_at, locked.updated_at = period.start, period.end, now
    locked.operator = found.quote.bundle.operator
    locked.setup_s, locked.cleanup_s = locked.resource.setup_s, locked.resource.cleanup_s
    try:
        with transaction.atomic():
            occupying.occupy(locked, found.quote.bundle)
    except claiming.Taken:
        raise Refused([queries.TAKEN], data={"alternatives": queries.alternatives(wanted, now=now)}) from None
    locked.charge = charges.hold_again(
        charge_id=steps.charge_of(locked),
        price=found.quote.price.amount,
        quote=found.quote.price.as_json(),
        ends_at=period.end,
        actor=actor,
        now=now,
    )
    save(locked, now=now)
    record(locked, action="booking.moved", actor=actor, now=now, was=was)
    return locked


def save(booking: Booking, *, now: datetime) -> None:
    telling.raise_sequence(booking)
    booking.save()
    telling.tell(booking, now=now)


def record(booking: Booking, *, action: str, actor: Actor, now: datetime, was: Period) -> None:
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

    The money stays held until the lab records the end: what is paid is what the agreed clock says, of the booked time all
    of it. Raises NothingToRelease unless the booking is in use, has begun and is not over; Forbidden.
    """
    _mine(actor, booking)
    locked = under_lock(booking, now=now)
    was = Period(locked.starts_at, locked.ends_at)
    if locked.state != rules.BookingState.IN_USE.value or not was.start < now < was.end:
        raise rules.NothingToRelease
    for claim in Claim.objects.filter(booking=locked, during__endswith__gt=now, during__startswith__lt=now):
        during, blocked = period_of(claim.during), period_of(claim.blocked)
        claim.during = (during.start, now)
        claim.blocked = (blocked.start, now + (blocked.end - during.end))
        claim.save(update_fields=["during", "blocked"])
        resources.touch_calendar(resource_id=claim.resource_id)
    locked.given_back_until, locked.ends_at, locked.updated_at = was.end, now, now
    save(locked, now=now)
    record(locked, action="booking.rest_released", actor=actor, now=now, was=was)
    return locked


def _last_move(booking: Booking) -> BookingMove | None:
    return BookingMove.objects.filter(booking=booking, undone_at=None).select_related("was_charge").first()


@patiently
@transaction.atomic
def undo(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Take the last move back, within `UNDO_WITHIN` and before anything else has happened to the booking.

    Nobody can have relied on it: a confirmation the move had cost is restored, the price agreed before is held again by
    the same vouchers; the sequence rises once more. Repeating it changes nothing. Raises NothingToUndo; Refused where
    somebody has taken the time meanwhile; Forbidden.
    """
    _mine(actor, booking)
    last = _last_move(booking)
    if last is None and BookingMove.objects.filter(booking=booking, undone_at=booking.updated_at).exists():
        return booking
    if last is None:
        raise rules.NothingToUndo(seconds=int(UNDO_SHOWN.total_seconds()))
    was = Period(last.was_starts_at, last.was_ends_at)
    wanted = replace(wanted_at(booking, was), operator=last.was_operator)
    locked = under_lock(booking, now=now, wanted=wanted)
    if locked.updated_at != last.moved_at or now > last.moved_at + UNDO_WITHIN:
        raise rules.NothingToUndo(seconds=int(UNDO_SHOWN.total_seconds()))
    moved = Period(locked.starts_at, locked.ends_at)
    occupying.vacate(locked)
    charges.release(charge_id=steps.charge_of(locked), reason="replaced", actor=actor, now=now, keeps_advance=True)
    quote = queries.quote(wanted, organisation_id=locked.organisation_id, user_id=locked.booked_by_id, now=now)
    if reasons := [reason for reason in quote.reasons if reason.code not in AGREED]:
        raise Refused(reasons)
    if locked.state != last.was_state:
        back = last.was_state == rules.BookingState.CONFIRMED.value
        action = rules.BookingAction.RESTORE if back else rules.BookingAction.MOVE
        locked.state = next_state(rules.TRANSITIONS, rules.BookingState(locked.state), action).value
    locked.starts_at, locked.ends_at, locked.updated_at = was.start, was.end, now
    locked.operator = last.was_operator
    try:
        with transaction.atomic():
            occupying.occupy(locked, quote.bundle)
    except claiming.Taken:
        raise Refused([queries.TAKEN]) from None
    locked.charge = charges.hold_again(
        charge_id=last.was_charge_id,
        price=Money(last.was_charge.price_fen),
        quote=last.was_charge.quote,
        ends_at=was.end,
        actor=actor,
        now=now,
    )
    save(locked, now=now)
    BookingMove.objects.filter(pk=last.pk).update(undone_at=now)
    record(locked, action="booking.move_undone", actor=actor, now=now, was=moved)
    return locked
