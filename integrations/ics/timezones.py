"""Write the VTIMEZONE of an IANA zone (RFC 5545 §3.6.5), for the documents that keep local time.

Each change of the clock is an onset of its own, one RDATE a line: of a list in one RDATE, ical.js reads the first alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

from portal.kernel.period import Period

__all__ = ["timezone"]

MARGIN = timedelta(days=400)
"""What is told around the window: every program then finds an observance in force, and the change before it."""
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def timezone(zone: str, window: Period) -> Timezone:
    """Return the zone's clock around `window`, exact to the second."""
    tz = ZoneInfo(zone)
    start = window.start.astimezone(UTC).replace(microsecond=0) - MARGIN
    component = Timezone()
    component.add("tzid", zone)
    before = _offset(start, tz)
    observances: dict[tuple[object, ...], list[datetime]] = {_names(start, tz, before): [_wall(start, before)]}
    for moment in _changes(tz, start, window.end.astimezone(UTC) + MARGIN):
        observances.setdefault(_names(moment, tz, before), []).append(_wall(moment, before))
        before = _offset(moment, tz)
    for (is_daylight, name, offset_from, offset_to), onsets in observances.items():
        part = TimezoneDaylight() if is_daylight else TimezoneStandard()
        part.add("dtstart", onsets[0])
        for onset in onsets[1:]:
            part.add("rdate", onset)
        part.add("tzoffsetfrom", offset_from)
        part.add("tzoffsetto", offset_to)
        part.add("tzname", name)
        component.add_component(part)
    return component


def _changes(tz: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants (UTC) at which the clock changes."""
    low = start
    while low < end:
        high = low + DAY
        if _offset(low, tz) != _offset(high, tz):
            left, right = low, high
            while right - left > SECOND:
                middle = left + (right - left) // 2
                middle = middle.replace(microsecond=0) if middle.replace(microsecond=0) > left else middle
                left, right = (middle, right) if _offset(middle, tz) == _offset(low, tz) else (left, middle)
            yield right
        low = high


def _names(moment: datetime, tz: ZoneInfo, before: timedelta) -> tuple[object, ...]:
    local = moment.astimezone(tz)
    return bool(local.dst()), local.tzname(), before, local.utcoffset()


def _offset(moment: datetime, tz: ZoneInfo) -> timedelta:
    return moment.astimezone(tz).utcoffset() or timedelta(0)


def _wall(moment: datetime, offset: timedelta) -> datetime:
    """Return the local time at which a change happens, by the clock before it (RFC 5545 §3.6.5)."""
    return (moment + offset).replace(tzinfo=None)
