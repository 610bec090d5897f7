"""Change how many places a resource has, without taking one away that is booked. Database functions do the counting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from portal.kernel.period import Period
from scheduler.resources import rules
from scheduler.resources.models import Resource

__all__ = ["Taken", "follow", "in_the_way", "overfull"]

TAKEN = """
    SELECT coalesce(booking.number, ''), lower(claim.during), upper(claim.during), lower(claim.blocked),
        upper(claim.blocked), claim.units, claim.unit_no
    FROM claim LEFT JOIN booking ON booking.id = claim.booking_id
    WHERE claim.resource_id = %(resource)s AND claim_blocks(claim.state) AND claim.blocked && tstzrange(%(now)s, NULL)
        AND (claim.hold_until IS NULL OR claim.hold_until > %(now)s)
    ORDER BY claim.during, claim.id
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Time somebody has: `number` names the booking, empty for the lab's own time; `blocked` adds set-up and clean-up."""

    number: str
    during: Period
    blocked: Period
    units: int
    unit_no: int | None


def overfull(taken: Iterable[Taken], *, capacity: int) -> list[Period]:
    """Return when more than `capacity` places are taken, in order; spans that touch are one. Pure."""
    steps: dict[datetime, int] = {}
    for each in taken:
        steps[each.blocked.start] = steps.get(each.blocked.start, 0) + each.units
        steps[each.blocked.end] = steps.get(each.blocked.end, 0) - each.units
    found: list[Period] = []
    present, since = 0, None
    for at in sorted(steps):
        present += steps[at]
        if present > capacity and since is None:
            since = at
        elif present <= capacity and since is not None:
            found.append(Period(since, at))
            since = None
    return found


def in_the_way(resource: Resource, *, capacity: int, counting: str, now: datetime) -> Sequence[Taken]:
    """Return what is taken from `now` on that `capacity` places, counted that way, do not hold, soonest first. One query.

    Numbered units and counted places are not the same: everything taken is in the way of another way of counting. The
    caller holds the resource's lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(TAKEN, {"resource": resource.pk, "now": now})
        taken = [
            Taken(number, Period(start, end), Period(first, last), units, unit)
            for number, start, end, first, last, units, unit in cursor.fetchall()
        ]
    if counting != resource.counting:
        return taken
    if counting == rules.Counting.UNITS.value:
        return [each for each in taken if each.unit_no is not None and each.unit_no > capacity]
    spans = overfull(taken, capacity=capacity)
    return [each for each in taken if any(span.overlaps(each.blocked) for span in spans)]


def follow(resource: Resource) -> None:
    """Write the resource's free time anew, after its capacity or its way of counting has changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT free_gap_rebuild(%s)", [resource.pk])
