"""Write when resources are open: materialised a while ahead from weekly hours, closures and holidays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from portal.kernel.period import Period
from scheduler.availability import queries, rules
from scheduler.availability.models import Closure, OpeningHours, OpenPeriod
from scheduler.resources.models import Resource

__all__ = ["AHEAD", "rebuild"]

AHEAD: Final = timedelta(days=400)
BEHIND: Final = timedelta(days=2)


@transaction.atomic
def rebuild(resources: Sequence[Resource], *, now: datetime) -> None:
    """Write the open periods of these resources anew for the next 400 days, and their free time with them.

    Four statements and one per resource, in the caller's transaction. Claims are not looked at: what is already booked
    outside the new hours stays booked.
    """
    window = Period(now - BEHIND, now + AHEAD)
    ids = [resource.pk for resource in resources]
    hours: dict[int, list[OpeningHours]] = defaultdict(list)
    closures: dict[int, list[rules.Closure]] = defaultdict(list)
    for row in OpeningHours.objects.filter(resource_id__in=ids):
        hours[row.resource_id].append(row)
    for closure in Closure.objects.filter(resource_id__in=ids, during__overlap=(window.start, window.end)):
        closures[closure.resource_id].append(rules.Closure(queries.period_of(closure.during), closure.reason))
    OpenPeriod.objects.filter(resource_id__in=ids).delete()
    OpenPeriod.objects.bulk_create(
        (
            OpenPeriod(
                resource=resource,
                during=(span.start, span.end),
                audience=audience,
                is_automatic=is_automatic,
            )
            for resource in resources
            for (audience, is_automatic), rows in _alike(hours[resource.pk]).items()
            for span in rules.open_periods(
                map(queries.weekly_hours, rows), zone=resource.zone, window=window, closures=closures[resource.pk]
            )
        ),
        batch_size=5000,
    )
    with connection.cursor() as cursor:
        for pk in sorted(ids):
            cursor.execute("SELECT free_gap_rebuild(%s)", [pk])


def _alike(rows: Sequence[OpeningHours]) -> dict[tuple[str, bool], list[OpeningHours]]:
    found: dict[tuple[str, bool], list[OpeningHours]] = defaultdict(list)
    for row in rows:
        found[row.audience, row.is_automatic].append(row)
    return found
