"""Time zones of a calendar file: IANA names, what other software calls them, and the file's own VTIMEZONEs.

One rule for clocks that change, the same for both kinds (RFC 5545 §3.3.5): a local time that does not exist is read
with the offset before the gap; one that happens twice is its first occurrence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from integrations.ics.recurrence import BadRule, Budget, TooFrequent, occurrences, parse_rule
from integrations.ics.syntax import Component
from portal.kernel.period import Period

__all__ = ["FileZone", "IanaZone", "Zone", "Zones", "clock_reading"]

STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?")
YEARS = range(1601, 8001)
"""Outlook dates its zones from 1601; beyond 8000 nobody books."""
COMMON_MISTAKES = {"asia/beijing": "Asia/Shanghai"}
"""Names that look like IANA's, mean one thing only, and are written by software in use."""
LOOK_BACK = timedelta(days=3 * 366)


class Zone(Protocol):
    """Turns local wall time into UTC and back."""

    def utc(self, local: datetime) -> datetime: ...

    def local(self, moment: datetime) -> datetime: ...


@dataclass(frozen=True, slots=True)
class IanaZone:
    tz: ZoneInfo

    def utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.tz, fold=0).astimezone(UTC)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.tz).replace(tzinfo=None, fold=0)


@dataclass(frozen=True, slots=True)
class Transition:
    """The clock shows `onset` (in the offset before) when the offset changes."""

    onset: datetime
    before: timedelta
    after: timedelta


@dataclass(frozen=True, slots=True)
class FileZone:
    """A zone a file defines for itself; exact around the horizon it was built for. `transitions` is never empty."""

    transitions: Sequence[Transition]

    def utc(self, local: datetime) -> datetime:
        index = bisect_right(self.transitions, local, key=lambda each: each.onset)
        if not index:
            offset = self.transitions[0].before
        else:
            last = self.transitions[index - 1]
            skipped = local < last.onset + (last.after - last.before)
            offset = last.before if skipped else last.after
        return (local - offset).replace(tzinfo=UTC)

    def local(self, moment: datetime) -> datetime:
        naive = moment.astimezone(UTC).replace(tzinfo=None)
        index = bisect_right(self.transitions, naive, key=lambda each: each.onset - each.before)
        return naive + (self.transitions[index - 1].after if index else self.transitions[0].before)


class Zones:
    """Finds the zone a TZID means in one VCALENDAR."""

    def __init__(self, calendar: Component, *, horizon: Period, budget: Budget) -> None:
        self._own = {definition.value("TZID"): definition for definition in calendar.walk("VTIMEZONE")}
        self._horizon = horizon
        self._budget = budget
        self._found: dict[str, Zone | None] = {}

    def find(self, tzid: str) -> Zone | None:
        """Return the zone, or None when neither the world nor the file defines it.

        IANA and Windows names mean the world's current rules even if the file carries a copy of them, which is
        often shortened or outdated. Then the file's own definition; then the tail of a "globally unique" name
        (RFC 5545 §3.2.19), such as /freeassociation.sourceforge.net/Europe/Berlin.
        """
        if tzid not in self._found:
            self._found[tzid] = _known(tzid.strip("/")) or self._defined(tzid) or _known_tail(tzid)
        return self._found[tzid]

    def _defined(self, tzid: str) -> FileZone | None:
        definition = self._own.get(tzid)
        if definition is None:
            return None
        start = self._horizon.start.replace(tzinfo=None) - LOOK_BACK
        end = self._horizon.end.replace(tzinfo=None) + timedelta(days=2)
        transitions: list[Transition] = []
        try:
            for observance in definition.walk("STANDARD", "DAYLIGHT"):
                transitions += _transitions(observance, start, end, self._budget)
        except (BadRule, TooFrequent, OverflowError):
            return None
        return FileZone(sorted(transitions, key=lambda each: each.onset - each.before)) if transitions else None


@cache
def _iana_names() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}


def _known(name: str) -> IanaZone | None:
    name = COMMON_MISTAKES.get(name.casefold(), WINDOWS_TO_OLSON.get(name, name))
    exact = _iana_names().get(name.casefold())
    return IanaZone(ZoneInfo(exact)) if exact else None


def _known_tail(tzid: str) -> IanaZone | None:
    parts = tzid.strip("/").split("/")[:8] if tzid.startswith("/") else []
    tails = (_known("/".join(parts[skip:])) for skip in range(1, len(parts)))
    return next((zone for zone in tails if zone), None)


def clock_reading(value: str) -> tuple[datetime, bool, bool] | None:
    """Read a DATE or DATE-TIME: its local time, whether it ends in Z, whether it is a date; None if it is neither."""
    found = STAMP.fullmatch(value.strip().upper())
    if not found or int(found[1]) not in YEARS:
        return None
    hour, minute, second = (int(part or 0) for part in found.group(4, 5, 6))
    try:
        moment = datetime(int(found[1]), int(found[2]), int(found[3]), hour, minute, min(second, 59))  # noqa: DTZ001
    except ValueError:
        return None
    return moment, found[7] == "Z", found[4] is None


def _transitions(observance: Component, start: datetime, end: datetime, budget: Budget) -> list[Transition]:
    """Return the onsets of a STANDARD or DAYLIGHT part that matter between `start` and `end`. Raises BadRule."""
    begin = clock_reading(observance.value("DTSTART"))
    before, after = _offset(observance.value("TZOFFSETFROM")), _offset(observance.value("TZOFFSETTO"))
    if begin is None:
        raise BadRule(observance.name)
    onsets = [begin[0]]
    for prop in observance.all("RDATE"):
        readings = [clock_reading(value) for value in (prop.value or "").split(",")]
        onsets += [reading[0] for reading in readings if reading]
    for prop in observance.all("RRULE"):

        def until(value: str) -> datetime:
            reading = clock_reading(value)
            if reading is None:
                raise BadRule(value)
            return reading[0] + before if reading[1] else reading[0]

        rule = parse_rule(prop.value or "", begin[0], until)
        since = begin[0] if rule.count else min(start, rule.until or start) - LOOK_BACK
        onsets += occurrences(rule, begin[0], after=since, before=end, budget=budget)
    return [Transition(onset, before, after) for onset in onsets]


def _offset(value: str) -> timedelta:
    found = OFFSET.fullmatch(value)
    if not found or int(found[2]) > 23 or int(found[3]) > 59:
        raise BadRule(value)
    size = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -size if found[1] == "-" else size
