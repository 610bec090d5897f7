"""Open time that nobody was given, and close it again: what the portal itself opens, span by span."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.kernel.period import Period
from scheduler.availability import opening, queries, rules
from scheduler.availability.models import SpecialOpening
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["release"]


@transaction.atomic
def release(resource: Resource, spans: Sequence[Period], *, now: datetime) -> tuple[list[Period], list[Period]]:
    """Make `spans`, disjoint and to come, all that the portal has opened of a resource from now on; confirmed at once.

    Return what was opened and what was closed. What has begun stays as it was; bookings made stay booked. Nothing is
    written where nothing changes. The caller has judged what may be opened.
    """
    resources.lock(resource_ids=[resource.pk])
    coming = SpecialOpening.objects.filter(resource=resource, is_released=True, during__startswith__gt=now)
    stands = {queries.period_of(row.during): row for row in coming}
    others = SpecialOpening.objects.filter(
        resource=resource, audience=rules.Audience.EVERYBODY.value, during__endswith__gt=now
    ).exclude(pk__in=[row.pk for row in stands.values()])
    # What was opened by hand, or has begun, is open already.
    there = [queries.period_of(row.during) for row in others]
    wanted = {span for span in spans if not any(span.overlaps(one) for one in there)}
    opened, closed = sorted(wanted - set(stands)), sorted(set(stands) - wanted)
    if not opened and not closed:
        return [], []
    SpecialOpening.objects.filter(pk__in=[stands[span].pk for span in closed]).delete()
    SpecialOpening.objects.bulk_create(
        SpecialOpening(
            resource=resource,
            during=(span.start, span.end),
            audience=rules.Audience.EVERYBODY.value,
            is_automatic=True,
            is_released=True,
        )
        for span in opened
    )
    opening.rebuild([resource], now=now)
    resources.touch_calendar(resource_id=resource.pk)
    return opened, closed
