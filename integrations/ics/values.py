"""Dates, durations and periods of a calendar file, each with the zone it is meant in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from icalendar import Component, vBroken, vDuration, vText

from integrations.ics.recurrence import BadRule, Budget
from integrations.ics.syntax import moment_of, parameter, value
from integrations.ics.zones import IanaZone, Zone, Zones
from portal.kernel.period import Period
from scheduler.availability.rules import zone_named

__all__ = ["Length", "Reading", "Stamp", "UnknownTzid", "Unreadable"]

UTC_ZONE = IanaZone(ZoneInfo("UTC"))
LONGEST = timedelta(days=200_000)


class Unreadable(ValueError):
    """A property says when, but cannot be understood. Args: property name, value."""


class UnknownTzid(ValueError):
    """A time is given in a zone nobody defines. Args: the TZID."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A point in local time. A date is midnight with `all_day` set."""

    local: datetime
    zone: Zone
    all_day: bool = False

    @property
    def instant(self) -> datetime:
        return self.zone.utc(self.local)

    def at(self, local: datetime) -> Stamp:
        return Stamp(local, self.zone, self.all_day)


@dataclass(frozen=True, slots=True)
class Length:
    """How long: whole days count on the calendar, the rest elapses (RFC 5545 §3.3.6)."""

    days: int = 0
    exact: timedelta = timedelta(0)

    def after(self, start: Stamp) -> datetime:
        """Return the instant that ends this length from `start`."""
        return start.zone.utc(start.local + timedelta(days=self.days)) + self.exact

    @property
    def about(self) -> timedelta:
        return timedelta(days=self.days) + self.exact


class Reading:
    """Reads the values of one VCALENDAR: knows its zones and what floating time means in it.

    Dates belong to the resource's `zone`. Floating times do too, unless the file names its own default with
    X-WR-TIMEZONE (Google, Apple); such files also write repeating events in UTC but mean that zone.
    """

    def __init__(self, calendar: Component, *, zone: str, horizon: Period, budget: Budget) -> None:
        self.budget = budget
        self._zones = Zones(calendar, horizon=horizon, budget=budget)
        self._days: Zone = IanaZone(zone_named(zone))
        self._file: Zone | None = self._zones.find(value(calendar, "X-WR-TIMEZONE"))

    def stamp(self, name: str, prop: vText, text: str | None = None) -> Stamp:
        """Read the DATE or DATE-TIME of a property, or `text` as if it stood there. Raises Unreadable, UnknownTzid."""
        text = str(prop) if text is None else text
        found = None if isinstance(prop, vBroken) else moment_of(text)
        if found is None:
            raise Unreadable(name, text)
        if not isinstance(found, datetime):
            return Stamp(datetime.combine(found, time()), self._days, all_day=True)
        if found.tzinfo:
            zone = self._file or UTC_ZONE
            return Stamp(zone.local(found), zone)
        tzid = parameter(prop, "TZID")
        named = self._zones.find(tzid) if tzid else self._file or self._days
        if named is None:
            raise UnknownTzid(tzid)
        return Stamp(found, named)

    def stamps(self, name: str, prop: vText) -> Iterator[tuple[Stamp, Length | None]]:
        """Read a list of dates, times or periods; the length is None where the value does not give one.

        A list is counted before it is read, and a period keeps its days: the library's vDDDLists and vPeriod do not.
        """
        values = prop.split(",")
        self.budget.spend_on_list(values)
        if not prop.strip(", "):
            return  # an empty list names no date
        for text in values:
            first, slash, second = text.strip().partition("/")
            start = self.stamp(name, prop, first)
            yield start, self._until(start, name, prop, second) if slash else None

    def _until(self, start: Stamp, name: str, prop: vText, text: str) -> Length:
        if "P" in text.upper():
            return duration(name, text)
        return Length(exact=self.stamp(name, prop, text).instant - start.instant)

    def until(self, text: str, start: Stamp) -> datetime:
        """Return a rule's UNTIL as local time of `start`; a date includes its whole day. Raises BadRule."""
        found = moment_of(text)
        if found is None:
            raise BadRule(text)
        if start.all_day or not isinstance(found, datetime):
            return datetime.combine(found, time(23, 59, 59))
        return start.zone.local(found) if found.tzinfo else found


def duration(name: str, text: str) -> Length:
    """Read a DURATION (RFC 5545 §3.3.6). Raises Unreadable.

    The library gives one timedelta, in which P2D and PT48H are the same; so days and clock are read each on its own.
    """
    days, has_clock, clock = text.strip().upper().partition("T")
    sign = "-" if days.startswith("-") else ""
    try:
        whole, exact = vDuration.from_ical(days), vDuration.from_ical(f"{sign}PT{clock}")  # type: ignore[no-untyped-call]
    except ValueError:
        raise Unreadable(name, text) from None
    empty = not clock if has_clock else days.endswith("P")  # the library takes P and PT for zero
    if empty or max(abs(whole), abs(exact)) > LONGEST:
        raise Unreadable(name, text)
    return Length(whole.days, exact)
