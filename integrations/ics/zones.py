"""Time zones of a calendar file: IANA names, what other software calls them, and the file's own VTIMEZONEs.

One rule for clocks that change, the same for both kinds (RFC 5545 §3.3.5): a local time that does not exist is read
with the offset before the gap; one that happens twice is its first occurrence.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from icalendar import Component, vUTCOffset
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from integrations.ics.recurrence import BadRule, Budget, TooFrequent, occurrences, parse_rule
from integrations.ics.syntax import every, moment_of, value
from portal.kernel.period import Period

__all__ = ["FileZone", "IanaZone", "Zone", "Zones"]

COMMON_MISTAKES = {"asia/beijing": "Asia/Shanghai"}
"""Names that look like IANA's, mean one thing only, and are written by software in use."""
ABBREVIATIONS = frozenset({"EST", "MST", "HST"})
"""IANA keeps these as zones without summer time; who writes them with a definition of their own means that."""
WINDOWS = {name.casefold(): iana for name, iana in WINDOWS_TO_OLSON.items()}
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
        self._own = {value(definition, "TZID"): definition for definition in calendar.walk("VTIMEZONE")}
        self._horizon = horizon
        self._budget = budget
        self._found: dict[str, Zone | None] = {}

    def find(self, tzid: str) -> Zone | None:
        """Return the zone, or None when neither the world nor the file defines it.

        IANA and Windows names mean the world's current rules even if the file carries a copy of them, which is
        often shortened or outdated; of an abbreviation the file's own definition counts. Then any definition of the
        file; then the tail of a "globally unique" name (RFC 5545 §3.2.19), such as
        /freeassociation.sourceforge.net/Europe/Berlin.
        """
        if tzid not in self._found:
            own = self._defined(tzid) if tzid in ABBREVIATIONS else None
            self._found[tzid] = own or _known(tzid.strip("/")) or self._defined(tzid) or _known_tail(tzid)
        return self._found[tzid]

    def _defined(self, tzid: str) -> FileZone | None:
        definition = self._own.get(tzid)
        if definition is None:
            return None
        start = self._horizon.start.replace(tzinfo=None) - LOOK_BACK
        end = self._horizon.end.replace(tzinfo=None) + timedelta(days=2)
        transitions: list[Transition] = []
        try:
            for observance in definition.walk(select=lambda each: each.name in {"STANDARD", "DAYLIGHT"}):
                transitions += _transitions(observance, start, end, self._budget)
        except (BadRule, TooFrequent, OverflowError):
            return None
        return FileZone(sorted(transitions, key=lambda each: each.onset - each.before)) if transitions else None


@cache
def _iana_names() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}


def _known(name: str) -> IanaZone | None:
    folded = " ".join(name.split()).casefold()
    folded = COMMON_MISTAKES.get(folded, WINDOWS.get(folded, folded))
    exact = _iana_names().get(folded.casefold())
    return IanaZone(ZoneInfo(exact)) if exact else None


def _known_tail(tzid: str) -> IanaZone | None:
    parts = tzid.strip("/").split("/")[:8] if tzid.startswith("/") else []
    tails = (_known("/".join(parts[skip:])) for skip in range(1, len(parts)))
    return next((zone for zone in tails if zone), None)


def _transitions(observance: Component, start: datetime, end: datetime, budget: Budget) -> list[Transition]:
    """Return the onsets of a STANDARD or DAYLIGHT part that matter between `start` and `end`. Raises BadRule."""
    begin = _onset(value(observance, "DTSTART"))
    before, after = _offset(value(observance, "TZOFFSETFROM")), _offset(value(observance, "TZOFFSETTO"))
    if begin is None:
        raise BadRule(observance.name)
    onsets = [begin]
    for prop in every(observance, "RDATE"):
        values = prop.split(",")
        budget.spend_on_list(values)
        onsets += [onset for onset in map(_onset, values) if onset]
    for prop in every(observance, "RRULE"):

        def until(text: str) -> datetime:
            found = moment_of(text)
            if found is None:
                raise BadRule(text)
            if not isinstance(found, datetime):
                return datetime.combine(found, time())
            return found.replace(tzinfo=None) + before if found.tzinfo else found

        budget.spend_on_rule(prop)
        rule = parse_rule(prop, begin, until)
        since = begin if rule.count else min(start, rule.until or start) - LOOK_BACK
        onsets += occurrences(rule, begin, after=since, before=end, budget=budget)
    return [Transition(onset, before, after) for onset in onsets]


def _onset(text: str) -> datetime | None:
    """Read when a clock changes; always wall time, even where a Z is written (RFC 5545 §3.6.5)."""
    found = moment_of(text)
    if found is None or isinstance(found, datetime):
        return found and found.replace(tzinfo=None)
    return datetime.combine(found, time())


def _offset(text: str) -> timedelta:
    """Read a UTC-OFFSET (RFC 5545 §3.3.14). Raises BadRule; the library takes a missing sign for a digit."""
    if text[:1] not in {"+", "-"} or len(text) not in {5, 7} or not text[1:].isdecimal():
        raise BadRule(text)
    try:
        return vUTCOffset(vUTCOffset.from_ical(text)).td  # type: ignore[no-untyped-call]
    except ValueError:
        raise BadRule(text) from None
