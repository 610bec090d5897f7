"""Answer a request with another time: the lab offers it, it is really held, the enterprise takes it or lets it go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.period import Period, subtract
from portal.kernel.states import next_state
from scheduler.availability import claiming
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import moving, occupying, offering, queries, rules, services, steps
from scheduler.bookings.models import Booking, CounterOffer
from scheduler.bookings.retrying import patiently
from scheduler.resources import services as resources

__all__ = ["LONGEST", "accept", "look", "offer", "refuse", "waiting"]

LONGEST = timedelta(days=3)
"""How long an offered time is kept at most; it ends with the earlier of both starts, too."""
GRACE = frozenset({"booking.lead"})
"""What a lab may set aside when it proposes a time itself: the notice it asks of others."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the request would occupy at the offered time, or every reason against it."""

    look: moving.Look
    claims: Sequence[Claim]


def _try(booking: Booking, period: Period, *, actor: Actor, now: datetime) -> _Trial:
    """Occupy the offered time in the request's stead and roll it back: what is free, on which unit, by whom."""
    wanted = moving.wanted_at(booking, period)
    with transaction.atomic():
        locked = moving.under_lock(booking, now=now, wanted=wanted)
        look = moving.weigh(locked, wanted=wanted, actor=actor, now=now, tolerated=GRACE)
        claims: Sequence[Claim] = ()
        if not look.quote.reasons:
            locked.starts_at, locked.ends_at, locked.operator = period.start, period.end, look.quote.bundle.operator
            occupying.occupy(locked, look.quote.bundle)
            claims = list(Claim.objects.filter(booking=locked).order_by("pk"))
        transaction.set_rollback(True)
    return _Trial(look, claims)


def _hold(booking: Booking, claims: Sequence[Claim], *, until: datetime) -> list[Claim]:
    """Hold what of `claims` is not the request's own already, nor its neighbours' changeover that it would share."""
    held: list[Claim] = []
    for claim in claims:
        span = period_of(claim.blocked)
        near = Claim.objects.filter(
            resource_id=claim.resource_id,
            unit_no=claim.unit_no,
            state__in=BLOCKING,
            blocked__overlap=(span.start, span.end),
        )
        if claim.unit_no is None:
            near = near.filter(booking=booking)
        held += [
            Claim(
                resource_id=claim.resource_id,
                unit_no=claim.unit_no,
                units=claim.units,
                role=claim.role,
                during=(piece.start, piece.end),
                blocked=(piece.start, piece.end),
                state=Claim.State.HELD.value,
                hold_until=until,
            )
            for piece in subtract([span], [period_of(other.blocked) for other in near])
        ]
        resources.touch_calendar(resource_id=claim.resource_id)
    return Claim.objects.bulk_create(held)


def waiting(booking: Booking, *, now: datetime) -> CounterOffer | None:
    """Return the offer that waits for the enterprise's answer at `now`, or None. One query."""
    return offering.waiting(booking, now=now)


@patiently
@transaction.atomic
def offer(*, actor: Actor, booking: Booking, period: Period, note: str, now: datetime) -> CounterOffer:
    """Offer the enterprise another time for its request, on the same instrument, held until it answers.

    Kept for three days, at most until the earlier of both starts. The requested time stays held as well: who lets the
    offer go still has the request. Offering again replaces the offer before; the lab may go below its own notice, below
    nothing else. Raises Refused with all reasons and what is free; NoteMissing, SameTime, Forbidden; InvalidTransition
    unless the request waits for the lab.
    """
    actor.require(Permission.BOOKING_DECIDE)
    if booking.resource.owner_id != actor.organisation_id:
        raise Forbidden
    if not note.strip():
        raise services.NoteMissing(field="note")
    locked = moving.under_lock(booking, now=now, wanted=moving.wanted_at(booking, period))
    next_state(rules.TRANSITIONS, rules.BookingState(locked.state), rules.BookingAction.CONFIRM)
    if period == Period(locked.starts_at, locked.ends_at):
        raise rules.SameTime(field="starts_at")
    offering.end(locked, action=rules.CounterOfferAction.REPLACE, now=now)
    try:
        trial = _try(booking, period, actor=actor, now=now)
    except claiming.Taken:
        raise Refused([queries.TAKEN]) from None
    if trial.look.quote.reasons:
        raise Refused(trial.look.quote.reasons, data={"alternatives": trial.look.alternatives})
    until = min(now + LONGEST, period.start, locked.starts_at)
    made = CounterOffer.objects.create(
        booking=locked,
        starts_at=period.start,
        ends_at=period.end,
        note=note.strip()[:200],
        until=until,
        created_at=now,
    )
    made.holds.set(_hold(locked, trial.claims, until=until))
    steps.record(
        locked,
        action="booking.counter_offered",
        actor=actor,
        now=now,
        **{"from": period.start.isoformat(), "to": period.end.isoformat(), "until": until.isoformat()},
    )
    return made


def _answered(actor: Actor, booking: Booking, action: rules.CounterOfferAction, *, now: datetime) -> CounterOffer:
    """Lock, end the offer, free what it held, and return it. Raises NoOffer, Forbidden."""
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden
    found = offering.waiting(booking, now=now)
    if found is None:
        raise rules.NoOffer
    moving.under_lock(booking, now=now, wanted=moving.wanted_at(booking, Period(found.starts_at, found.ends_at)))
    ended = offering.end(booking, action=action, now=now)
    if ended is None or ended.pk != found.pk:
        raise rules.NoOffer
    return ended


def look(*, actor: Actor, booking: Booking, now: datetime) -> moving.Look | None:
    """Say what taking the offer that waits would come to, or None where none waits. All of it is rolled back.

    Raises Forbidden but for the enterprise.
    """
    with transaction.atomic():
        try:
            found = _answered(actor, booking, rules.CounterOfferAction.ACCEPT, now=now)
        except rules.NoOffer:
            return None
        wanted = moving.wanted_at(booking, Period(found.starts_at, found.ends_at))
        locked = moving.under_lock(booking, now=now, wanted=wanted)
        seen = moving.weigh(locked, wanted=wanted, actor=actor, now=now, tolerated=GRACE)
        transaction.set_rollback(True)
    return seen


@patiently
@transaction.atomic
def accept(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Take the offered time: the booking moves there, priced anew, and is confirmed, for the lab has agreed already.

    Raises NoOffer where none waits; Refused with all reasons where its price can no longer be paid; Forbidden.
    """
    taken = _answered(actor, booking, rules.CounterOfferAction.ACCEPT, now=now)
    period = Period(taken.starts_at, taken.ends_at)
    moved = moving.move(actor=actor, booking=booking, period=period, now=now, tolerated=GRACE)
    steps.take(moved, rules.BookingAction.CONFIRM, now=now)
    steps.record(moved, action="booking.counter_accepted", actor=actor, now=now)
    return moved


@patiently
@transaction.atomic
def refuse(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Let the offer go; the request stays, for the lab to decide. Raises NoOffer, Forbidden."""
    _answered(actor, booking, rules.CounterOfferAction.REFUSE, now=now)
    steps.record(booking, action="booking.counter_refused", actor=actor, now=now)
    return booking
