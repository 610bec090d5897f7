"""Dates, durations and periods of a calendar file, each with the zone it is meant in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from integrations.ics.recurrence import BadRule, Budget
from integrations.ics.syntax import Component, Property
from integrations.ics.zones import IanaZone, Zone, Zones, clock_reading
from portal.kernel.period import Period
from scheduler.availability.rules import zone_named

__all__ = ["Length", "Reading", "Stamp", "UnknownTzid", "Unreadable"]

DURATION = re.compile(r"([+-]?)P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?")
UTC_ZONE = IanaZone(ZoneInfo("UTC"))


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
        self._file: Zone | None = self._zones.find(calendar.value("X-WR-TIMEZONE"))

    def stamp(self, prop: Property, value: str | None = None) -> Stamp:
        """Read one DATE or DATE-TIME. Raises Unreadable, UnknownTzid."""
        text = prop.value if value is None else value
        reading = clock_reading(text or "")
        if reading is None:
            raise Unreadable(prop.name, text or "")
        local, is_utc, is_date = reading
        if is_date:
            return Stamp(local, self._days, all_day=True)
        if is_utc:
            return (
                Stamp(self._file.local(local.replace(tzinfo=UTC)), self._file) if self._file else Stamp(local, UTC_ZONE)
            )
        tzid = prop.params.get("TZID", "")
        zone = self._zones.find(tzid) if tzid else self._file or self._days
        if zone is None:
            raise UnknownTzid(tzid)
        return Stamp(local, zone)

    def stamps(self, prop: Property) -> Iterator[tuple[Stamp, Length | None]]:
        """Read a list of dates, times or periods; the length is None where the value does not give one."""
        values = (prop.value or "").split(",")
        self.budget.spend(2 * len(values))
        for value in values:
            first, slash, second = value.strip().partition("/")
            if prop.value is not None and not prop.value.strip(", "):
                continue  # an empty list names no date
            start = self.stamp(prop, first)
            yield start, self._until(start, prop, second) if slash else None

    def _until(self, start: Stamp, prop: Property, text: str) -> Length:
        if text.strip().upper().startswith(("P", "+P", "-P")):
            return duration(prop, text)
        return Length(exact=self.stamp(prop, text).instant - start.instant)

    def until(self, value: str, start: Stamp) -> datetime:
        """Return a rule's UNTIL as local time of `start`; a date includes its whole day. Raises BadRule."""
        reading = clock_reading(value)
        if reading is None:
            raise BadRule(value)
        local, is_utc, is_date = reading
        if is_date or start.all_day:
            return local.replace(hour=23, minute=59, second=59)
        return start.zone.local(local.replace(tzinfo=UTC)) if is_utc else local


def duration(prop: Property, text: str) -> Length:
    """Read a DURATION (RFC 5545 §3.3.6). Raises Unreadable."""
    found = DURATION.fullmatch(text.strip().upper())
    if not found or not any(found.groups()[1:]):
        raise Unreadable(prop.name, text)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    exact = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    whole = weeks * 7 + days
    return Length(-whole, -exact) if found[1] == "-" else Length(whole, exact)
