"""Write when resources are open, a while ahead: the one place where their rules become time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection, transaction

from portal.kernel.period import Period, subtract
from portal.kernel.workdays import Workdays
from portal.workdays.queries import workdays
from scheduler.availability import impacts, patterns, queries, rules
from scheduler.availability.models import Closure, OpeningHours, OpenPeriod, SpecialOpening
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["AHEAD", "changing", "foresee", "last_week", "pattern_of", "rebuild"]

AHEAD: Final = timedelta(days=400)
BEHIND: Final = timedelta(days=8)
"""How far back it is written: the week that is running."""


def pattern_of(resources: Sequence[Resource], *, window: Period, calendar: Workdays) -> Mapping[int, patterns.Pattern]:
    """Return all that says when each resource is open inside `window`. Three queries."""
    ids = [resource.pk for resource in resources]
    hours: dict[int, list[rules.WeeklyHours]] = defaultdict(list)
    specials: dict[int, list[patterns.Special]] = defaultdict(list)
    closures: dict[int, list[rules.Closure]] = defaultdict(list)
    for row in OpeningHours.objects.filter(resource_id__in=ids):
        hours[row.resource_id].append(queries.weekly_hours(row))
    inside = {"resource_id__in": ids, "during__overlap": (window.start, window.end)}
    for special in SpecialOpening.objects.filter(**inside):
        specials[special.resource_id].append(queries.special(special))
    for closure in Closure.objects.filter(**inside):
        closures[closure.resource_id].append(rules.Closure(queries.period_of(closure.during), closure.reason))
    return {
        resource.pk: patterns.Pattern(
            zone=resource.zone,
            hours=hours[resource.pk],
            specials=specials[resource.pk],
            closures=closures[resource.pk],
            **({"weekday_of": calendar.weekday_of} if resource.follows_holidays else {}),
        )
        for resource in resources
    }


@transaction.atomic
def rebuild(resources: Sequence[Resource], *, now: datetime) -> None:
    """Write the open periods of these resources anew for the next 400 days, and their free time with them.

    Seven statements and one per resource, in the caller's transaction. Claims are not looked at: what is already
    booked outside the new hours stays booked. What was open more than a week ago stays written as it was.
    """
    window = Period(now - BEHIND, now + AHEAD)
    ids = [resource.pk for resource in resources]
    found = pattern_of(resources, window=window, calendar=workdays())
    written = OpenPeriod.objects.filter(resource_id__in=ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE open_period SET during = tstzrange(lower(during), %(start)s)"
            " WHERE resource_id = ANY(%(ids)s) AND lower(during) < %(start)s AND upper(during) > %(start)s",
            {"start": window.start, "ids": ids},
        )
    written.filter(during__endswith__gt=window.start).delete()
    _write((pk, opening) for pk in ids for opening in patterns.expand(found[pk], window=window))
    with connection.cursor() as cursor:
        for pk in sorted(ids):
            cursor.execute("SELECT free_gap_rebuild(%s)", [pk])


def _write(openings: Iterable[tuple[int, patterns.Opening]]) -> None:
    """Insert open periods by column: three hundred rows of one resource as rows of a model take five times as long."""
    rows = [(pk, one.period.start, one.period.end, one.audience.value, one.is_automatic) for pk, one in openings]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO open_period (resource_id, during, audience, is_automatic)"
            " SELECT resource_id, tstzrange(opens, closes), audience, is_automatic FROM unnest(%s::bigint[],"
            " %s::timestamptz[], %s::timestamptz[], %s::text[], %s::boolean[])"
            " AS given (resource_id, opens, closes, audience, is_automatic)",
            [list(column) for column in zip(*rows, strict=True)],
        )


def foresee(
    resource: Resource, *, hours: Sequence[rules.WeeklyHours], follows_holidays: bool, now: datetime
) -> list[impacts.Affected]:
    """Return the bookings that these weekly hours would leave outside open time. A look: nothing is written."""
    ahead = Period(now, now + AHEAD)
    calendar = workdays()
    before = queries.open_periods([resource], window=ahead)[resource.pk]
    stands = pattern_of([resource], window=ahead, calendar=calendar)[resource.pk]
    wanted = replace(stands, hours=hours, weekday_of=calendar.weekday_of if follows_holidays else date.isoweekday)
    after = patterns.open_to(patterns.expand(wanted, window=ahead), rules.Audience.ENTERPRISES)
    return impacts.impact(resource, lost=subtract(before, after), now=now)


def last_week(resource: Resource, *, now: datetime) -> list[rules.WeeklyHours]:
    """Return when the resource really was open last week, Monday to Sunday of its own zone, as weekly hours.

    Holidays, closures and special openings of that week are in it; so is whom it was open for. One query.
    """
    zone = rules.zone_named(resource.zone)
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday() + 7)
    week = rules.closed_days(monday, monday + timedelta(days=6), resource.zone)
    found = queries.openings([resource], window=week, audience=rules.Audience.OWN)[resource.pk]
    return patterns.weekly_of(found, zone=resource.zone, monday=monday)


@contextmanager
def changing(resource: Resource, *, accepts: Sequence[str], now: datetime) -> Iterator[None]:
    """Run a change of when `resource` is open, write what comes of it, and undo all if it breaks bookings unseen.

    `accepts` are the numbers of bookings the caller has seen and lets fall outside; they stay booked. Raises
    BookingsAffected with every other one, and nothing is changed. Locks the resource.
    """
    with transaction.atomic():
        resources.lock(resource_ids=[resource.pk])
        ahead = Period(now, now + AHEAD)
        before = queries.open_periods([resource], window=ahead)[resource.pk]
        yield
        rebuild([resource], now=now)
        after = queries.open_periods([resource], window=ahead)[resource.pk]
        impacts.refuse_unseen(impacts.impact(resource, lost=subtract(before, after), now=now), accepts=accepts)
        resources.touch_calendar(resource_id=resource.pk)
