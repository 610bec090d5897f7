"""End what nobody decided, used or made a booking of: by the clock, and before every writer of the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from scheduler.availability.models import Claim
from scheduler.bookings import fees, keeping, occupying, offering, rules, steps
from scheduler.bookings.models import Booking
from scheduler.conduct import queries as conduct
from scheduler.resources import services as resources

__all__ = ["lapse_overdue", "release_lapsed"]

UNUSED_AFTER = timedelta(days=7)
"""How long after its end a confirmed booking waits for the lab to say whether it was used."""


@transaction.atomic
def lapse_overdue(*, now: datetime) -> int:
    """End what nobody decided or used; returns how many bookings. Run by the clock, safe at any time.

    Holds end when they were to end; `release_lapsed` is often quicker.
    Requests lapse at their start; confirmed bookings without a session count as missed when the grace of their lab's
    rule of conduct is over, or without a rule a week after their end, so that nobody's money stays held for ever.
    """
    actor = Actor.system("自动处理")
    undecided = Q(state=rules.BookingState.REQUESTED.value, starts_at__lte=now)
    unused = Q(state=rules.BookingState.CONFIRMED.value, ends_at__lte=now - UNUSED_AFTER)
    held = Q(state=rules.BookingState.HELD.value, hold_until__lte=now)
    absent = Q(conduct.absent(now=now), state=rules.BookingState.CONFIRMED.value)
    overdue = list(Booking.objects.filter(undecided | unused | held | absent).order_by("pk")[:200])
    occupying.lock(overdue)
    offering.end_lapsed(now=now)
    return _end(overdue, actor=actor, now=now)


def release_lapsed(*, resource_ids: Iterable[int], now: datetime) -> None:
    """Lock these resources and all that lapsed holds on them occupy, then end those holds: their money is free, too.

    So does what was kept for somebody without a booking.

    The first act of every writer of bookings, so that a hold ends without any worker.
    """
    ids = set(resource_ids)
    if not _anything(ids, now=now):
        resources.lock(resource_ids=ids)
        return
    lapsed = list(
        Booking.objects.filter(state=rules.BookingState.HELD.value, hold_until__lte=now, claims__resource_id__in=ids)
        .distinct()
        .order_by("pk")
    )
    occupying.lock(lapsed, also=ids)
    offering.end_lapsed(now=now, resource_ids=ids)
    _end(lapsed, actor=Actor.system("自动处理"), now=now)
    keeping.release_lapsed(resource_ids=ids, now=now)


LAPSED: Final = """
    SELECT EXISTS (SELECT FROM claim WHERE resource_id = ANY(%(ids)s::bigint[]) AND state = %(held)s AND hold_until <= %(now)s)
        OR EXISTS (
            SELECT FROM counter_offer o JOIN booking b ON b.id = o.booking_id
            WHERE b.resource_id = ANY(%(ids)s::bigint[]) AND o.state = %(open)s AND o.until <= %(now)s
        )
"""


def _anything(ids: Iterable[int], *, now: datetime) -> bool:
    """Say whether anything on these resources has lapsed: seldom, and what has lapsed stays so without a lock. One query."""
    states = {"held": Claim.State.HELD.value, "open": rules.CounterOfferState.OPEN.value}
    with connection.cursor() as cursor:
        cursor.execute(LAPSED, {**states, "ids": list(ids), "now": now})
        return bool(cursor.fetchone()[0])


def _end(overdue: Sequence[Booking], *, actor: Actor, now: datetime) -> int:
    ended = 0
    for booking in overdue:
        locked = steps.under_lock(booking)
        if locked.state != booking.state:
            continue
        unused = locked.state == rules.BookingState.CONFIRMED.value
        action = rules.BookingAction.MISS if unused else rules.BookingAction.LAPSE
        judged = unused and conduct.judges(locked.resource.owner_id, locked.starts_at) is not None
        fee = fees.due(locked, now=now) if judged else Money(0)
        steps.give_up(locked, action, actor=actor, now=now, keeps_advance=bool(fee))
        fees.keep(locked, fee=fee, actor=actor, now=now)
        ended += 1
    return ended
