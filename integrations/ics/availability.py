"""Write when an instrument is open as VAVAILABILITY (RFC 7953).

Two layers. The weekly pattern, in local time with its VTIMEZONE, has the lowest priority. Above it, in UTC, stand the
days that depart from it, for whatever reason: closures, holidays, single openings, hours the clock's changes bend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import NAMESPACE_OID, uuid5
from zoneinfo import ZoneInfo

from icalendar import Availability, Available, Calendar

from integrations.ics.feed import PRODID
from integrations.ics.timezones import timezone
from portal.kernel.period import Period, merge
from scheduler.availability.rules import WeeklyHours, closed_days

__all__ = ["availability"]

PATTERN, DEPARTURE = 9, 1
"""PRIORITY, 1 the highest (RFC 7953 §3.1)."""
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)


def availability(
    hours: Iterable[WeeklyHours], opened: Iterable[Period], *, zone: str, window: Period, identity: str
) -> bytes:
    """Return what is open in `window`: whoever reads both layers finds exactly `opened`, cut at the window's bounds.

    `hours` only make the document short: what they say beyond `opened`, or fail to say, the upper layer puts right.
    `identity` makes the UIDs, which never change.
    """
    rows, tz = list(hours), ZoneInfo(zone)
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    spans = merge(_cut(span, window) for span in opened if span.overlaps(window))
    layer = _layer(f"{identity}/pattern", Period(window.start, window.end), PATTERN, window)
    for number, row in enumerate(rows):
        if (first := _first(row, window, tz)) is not None:
            layer.add_component(_weekly(row, first, tz, f"{identity}/pattern/{number}", window))
    if layer.subcomponents:
        calendar.add_component(timezone(zone, window))
    calendar.add_component(layer)
    for span in _departures(rows, spans, zone, window):
        name = f"{identity}/{span.start:%Y%m%dT%H%M%SZ}"
        layer = _layer(name, span, DEPARTURE, window)
        for number, inside in enumerate(_cut(each, span) for each in spans if each.overlaps(span)):
            layer.add_component(_available(inside.start, inside.end, f"{name}/{number}", window))
        calendar.add_component(layer)
    return bytes(calendar.to_ical())


def _layer(name: str, span: Period, priority: int, window: Period) -> Availability:
    layer = Availability()
    layer.add("uid", str(uuid5(NAMESPACE_OID, name)))
    layer.add("dtstamp", window.start.astimezone(UTC))
    layer.add("dtstart", span.start.astimezone(UTC))
    layer.add("dtend", span.end.astimezone(UTC))
    layer.add("busytype", "BUSY-UNAVAILABLE")
    layer.add("priority", priority)
    return layer


def _available(start: datetime, end: datetime, name: str, window: Period) -> Available:
    part = Available()
    part.add("uid", str(uuid5(NAMESPACE_OID, name)))
    part.add("dtstamp", window.start.astimezone(UTC))
    part.add("dtstart", start)
    part.add("dtend", end)
    return part


def _weekly(row: WeeklyHours, first: date, tz: ZoneInfo, name: str, window: Period) -> Available:
    part = _available(_wall(first, row.opens, tz), _wall(first, row.closes, tz), name, window)
    rule: dict[str, object] = {"freq": "WEEKLY", "byday": [DAYS[day - 1] for day in sorted(row.weekdays)]}
    if row.valid_until is not None:
        rule["until"] = _wall(row.valid_until, row.opens, tz).astimezone(UTC)  # as DTSTART has a zone (§3.3.10)
    part.add("rrule", rule)
    return part


def _first(row: WeeklyHours, window: Period, tz: ZoneInfo) -> date | None:
    """Return the first day of the pattern that reaches into the window and no further than it."""
    day = max(window.start.astimezone(tz).date() - DAY, row.valid_from or date.min)
    found = next((day + DAY * later for later in range(7) if row.applies_on(day + DAY * later)), None)
    return found if found is not None and found <= window.end.astimezone(tz).date() else None


def _departures(rows: Sequence[WeeklyHours], spans: Sequence[Period], zone: str, window: Period) -> list[Period]:
    """Return the spans of whole local days on which readers of the pattern alone would be wrong, or might be."""
    tz = ZoneInfo(zone)
    naive, exact = ([*merge(found)] for found in zip(*_pattern(rows, window, tz), strict=True)) if rows else ([], [])
    wrong = []
    day, last = window.start.astimezone(tz).date(), window.end.astimezone(tz).date()
    while day <= last:
        whole = closed_days(day, day, zone)
        if whole.overlaps(window):
            bounds = _cut(whole, window)
            told = _inside(spans, bounds)
            if told != _inside(naive, bounds) or told != _inside(exact, bounds):
                wrong.append(bounds)
        day += DAY
    return list(merge(wrong))


def _pattern(rows: Sequence[WeeklyHours], window: Period, tz: ZoneInfo) -> Iterator[tuple[Period, Period]]:
    """Yield what the pattern says, its end by the wall clock and by elapsed time: programs differ when clocks change."""
    day, last = window.start.astimezone(tz).date() - DAY, window.end.astimezone(tz).date()
    never = Period(window.end + DAY, window.end + 2 * DAY)
    yield never, never
    while day <= last:
        for row in rows:
            if row.applies_on(day):
                start, end = _wall(day, row.opens, tz).astimezone(UTC), _wall(day, row.closes, tz).astimezone(UTC)
                elapsed = start + timedelta(minutes=row.closes - row.opens)
                yield Period(start, max(end, start + timedelta(minutes=1))), Period(start, elapsed)
        day += DAY


def _inside(spans: Iterable[Period], bounds: Period) -> list[Period]:
    return [_cut(span, bounds) for span in spans if span.overlaps(bounds)]


def _wall(day: date, minute: int, tz: ZoneInfo) -> datetime:
    return (datetime.combine(day, time.min) + timedelta(minutes=minute)).replace(tzinfo=tz)


def _cut(period: Period, window: Period) -> Period:
    return Period(max(period.start, window.start), min(period.end, window.end))
