"""Change how many places a resource has, without taking one away that is booked. Database functions do the counting."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from scheduler.resources import rules
from scheduler.resources.models import Resource

__all__ = ["follow", "room_for"]

BOOKED = """
    SELECT coalesce(max(unit_no), 0), coalesce(claim_peak(%(resource)s, tstzrange(%(now)s, NULL)), 0), count(*)
    FROM claim WHERE resource_id = %(resource)s AND claim_blocks(state) AND blocked && tstzrange(%(now)s, NULL)
"""


def room_for(resource: Resource, *, capacity: int, counting: str, now: datetime) -> int:
    """Return the smallest capacity that still holds what is booked from `now` on, 0 where nothing is.

    Another way of counting holds nothing of what is booked, for numbered units and counted places are not the same:
    then the answer is above any `capacity` while anything is booked. The caller holds the resource's lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(BOOKED, {"resource": resource.pk, "now": now})
        highest, peak, booked = cursor.fetchone()
    if counting != resource.counting:
        return capacity + 1 if booked else 0
    return int(highest if counting == rules.Counting.UNITS.value else peak)


def follow(resource: Resource) -> None:
    """Write the resource's free time anew, after its capacity or its way of counting has changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT free_gap_rebuild(%s)", [resource.pk])
