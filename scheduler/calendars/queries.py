"""Read what calendars say, what a new reading would change, and which bookings calendars meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import Q

from portal.kernel.period import Period, merge
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.calendars import rules
from scheduler.calendars.models import ExternalBusy, ExternalCalendar
from scheduler.calendars.ports import CalendarReport
from scheduler.resources.models import Resource

__all__ = [
    "HORIZON",
    "Conflict",
    "Preview",
    "Row",
    "blocked_by",
    "blocks_of",
    "busy_in",
    "busy_of",
    "conflicts_of",
    "conflicts_with",
    "preview",
    "waiting",
]

HORIZON = timedelta(days=400)
"""How far ahead a calendar is read."""


MET: Final = """
    SELECT e.calendar_id, count(DISTINCT c.booking_id)
    FROM external_busy e
    JOIN external_calendar x ON x.id = e.calendar_id
    JOIN resource r ON r.id = x.resource_id
    JOIN claim c ON c.resource_id = r.id AND c.booking_id IS NOT NULL AND claim_blocks(c.state)
        AND c.blocked && e.during
    WHERE r.owner_id = %s AND upper(e.during * c.blocked) > %s
    GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A booking (its number, who has it) that keeps time the calendar says is busy; `period` is what it blocks."""

    number: str
    organisation_id: int
    period: Period


@dataclass(frozen=True, slots=True)
class Row:
    """A span of time and the events that take it."""

    period: Period
    summary: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a reading would do, before anything is written. `replaces`: the calendar whose time it takes over."""

    report: CalendarReport
    anew: Sequence[Row]
    freed: Sequence[Row]
    kept: Sequence[Row]
    conflicts: Sequence[Conflict]
    replaces: ExternalCalendar | None


def busy_of(resource: Resource, *, now: datetime) -> dict[int, list[rules.Busy]]:
    """Return what each of the resource's calendars says is busy and not over, by calendar id, oldest first."""
    found: dict[int, list[rules.Busy]] = {}
    rows = ExternalBusy.objects.filter(calendar__resource=resource, during__endswith__gt=now)
    for row in rows.order_by("calendar_id", "during", "pk"):
        found.setdefault(row.calendar_id, []).append(
            rules.Busy(period_of(row.during), row.uid, row.summary, row.all_day)
        )
    return found


def blocked_by(calendar: ExternalCalendar, *, now: datetime) -> list[Period]:
    """Return the time the calendar blocks and that is not over, whatever the number of units."""
    claims = Claim.objects.filter(calendar=calendar, state__in=BLOCKING, blocked__endswith__gt=now)
    return merge(period_of(claim.blocked) for claim in claims)


def blocks_of(resource: Resource, *, now: datetime) -> dict[int, list[Row]]:
    """Return what the resource's calendars block that is not over, with its source events, by calendar. One query."""
    claims = Claim.objects.filter(
        resource=resource, calendar__isnull=False, state__in=BLOCKING, blocked__endswith__gt=now
    ).order_by("blocked", "unit_no")
    found: dict[int, dict[Period, Row]] = {}
    for claim in claims:
        period = period_of(claim.blocked)
        found.setdefault(claim.calendar_id or 0, {}).setdefault(period, Row(period, claim.note))
    return {calendar_id: list(rows.values()) for calendar_id, rows in found.items()}


def busy_in(report: CalendarReport) -> list[rules.Busy]:
    """Return what a report says is busy, each once."""
    return sorted({rules.Busy(span.period, span.uid, span.summary, span.all_day) for span in report.busy})


def conflicts_with(resource: Resource, busy: Sequence[rules.Busy], *, now: datetime) -> list[Conflict]:
    """Return the bookings that take part of the time `busy` takes, from `now` on, by time. One query."""
    return _meeting(_bookings(resource, busy, now=now), busy, now=now)


def _bookings(resource: Resource, busy: Sequence[rules.Busy], *, now: datetime) -> list[Conflict]:
    last = max((each.period.end for each in busy), default=now)
    if last <= now:
        return []
    claims = Claim.objects.filter(
        resource=resource, state__in=BLOCKING, booking__isnull=False, blocked__overlap=(now, last)
    )
    met: dict[str, Conflict] = {}
    for claim in claims.select_related("booking").order_by("blocked", "pk"):
        assert claim.booking is not None
        conflict = Conflict(claim.booking.number, claim.booking.organisation_id, period_of(claim.blocked))
        met.setdefault(conflict.number, conflict)
    return list(met.values())


def _meeting(bookings: Sequence[Conflict], busy: Sequence[rules.Busy], *, now: datetime) -> list[Conflict]:
    spans = merge(each.period for each in busy if each.period.end > now)
    return [each for each in bookings if any(each.period.overlaps(span) for span in spans)]


def conflicts_of(resource: Resource, *, now: datetime) -> dict[int, list[Conflict]]:
    """Return the bookings each of the resource's calendars meets, by calendar. Two queries."""
    busy = busy_of(resource, now=now)
    met = _bookings(resource, [each for events in busy.values() for each in events], now=now)
    return {calendar_id: _meeting(met, events, now=now) for calendar_id, events in busy.items()}


def waiting(organisation_id: int, *, now: datetime) -> list[tuple[ExternalCalendar, int]]:
    """Return the organisation's calendars that wait for somebody: stale ones, and those that meet bookings (how many).

    Two queries, whatever the number of calendars.
    """
    with connection.cursor() as cursor:
        cursor.execute(MET, [organisation_id, now])
        met = dict(cursor.fetchall())
    rows = ExternalCalendar.objects.filter(resource__owner_id=organisation_id).filter(
        Q(stale_since__isnull=False) | Q(pk__in=met)
    )
    return [(row, met.get(row.pk, 0)) for row in rows.select_related("resource").order_by("pk")]


def preview(*, resource: Resource, name: str, report: CalendarReport, now: datetime) -> Preview:
    """Compare a reading with what the calendar of that name says now. Writes nothing."""
    replaces = ExternalCalendar.objects.filter(resource=resource, name=name.strip()).first()
    stored = busy_of(resource, now=now)
    before = stored.pop(replaces.pk, []) if replaces else []
    after = busy_in(report)
    changed = rules.change(
        before=[each.period for each in before],
        after=[each.period for each in after],
        others=[each.period for events in stored.values() for each in events],
        since=Period(now, now + HORIZON),
    )
    return Preview(
        report=report,
        anew=_rows(changed.anew, after),
        freed=_rows(changed.freed, before),
        kept=_rows(changed.kept, after),
        conflicts=conflicts_with(resource, after, now=now),
        replaces=replaces,
    )


def _rows(periods: Sequence[Period], busy: Sequence[rules.Busy]) -> list[Row]:
    return [Row(period, title) for period, title in zip(periods, rules.titles(periods, busy), strict=True)]
