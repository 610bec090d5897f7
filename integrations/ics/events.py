"""One VEVENT, and the series its UID makes: which spans of time it takes, in which version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import cached_property

from icalendar import Component, vBroken, vText

from integrations.ics.recurrence import Rule, occurrences, parse_rule
from integrations.ics.syntax import every, moment_of, parameter, text_of, value
from integrations.ics.values import Length, Reading, Stamp, Unreadable, duration
from portal.kernel.period import Period

__all__ = ["Event", "current", "spans"]

NO_TIME = timedelta(0)
MARGIN = timedelta(days=2)
"""Local time may be a day off UTC; one more for an hour that moves."""
TIMES = ("RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXRULE", "EXDATE")


class Event:
    """A VEVENT. Its times are read only when asked for, so that one that does not block cannot do harm."""

    def __init__(self, component: Component, reading: Reading, *, method: str, owner: str) -> None:
        self.component = component
        self.reading = reading
        self.uid = text_of(value(component, "UID"))
        self.summary = text_of(value(component, "SUMMARY"))
        self.ignored = _ignored(component, method=method, owner=owner)
        """Why the event as a whole does not block: cancelled, transparent, declined; "" when it does."""
        self._parsed: dict[str, list[Rule]] = {}

    @property
    def version(self) -> tuple[int, str]:
        """Order versions of one event: SEQUENCE, then DTSTAMP (RFC 5546 §2.1.5)."""
        sequence = value(self.component, "SEQUENCE")
        number = int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 10 else 0
        stamped = moment_of(value(self.component, "DTSTAMP"))
        return number, f"{stamped:%Y%m%dT%H%M%S}" if stamped else ""

    @property
    def times(self) -> tuple[object, ...]:
        """What the event says about time, letter by letter: two versions that agree here take the same time."""
        return self.ignored, *((name, *_letters(every(self.component, name))) for name in TIMES)

    @cached_property
    def skipped(self) -> str:
        """Why it takes no time, as a code of ``ports.Skipped``; "" when it does."""
        if self.ignored:
            return self.ignored
        if "DTSTART" not in self.component:
            return "no_time"
        lasts = self.length.about or any("/" in prop for prop in every(self.component, "RDATE"))
        return "" if lasts else "no_time"

    @cached_property
    def start(self) -> Stamp:
        return self._stamp("DTSTART")

    @cached_property
    def length(self) -> Length:
        """How long one instance lasts. A date without an end is a day, a time without one no time (§3.6.1)."""
        if "DTEND" in self.component:
            end = self._stamp("DTEND")
            if end.all_day and self.start.all_day:
                days = (end.local - self.start.local).days
                return Length(days=days or 1)  # written by many for one day, though DTEND is exclusive
            return Length(exact=end.instant - self.start.instant)
        if "DURATION" in self.component:
            return duration("DURATION", self._only("DURATION"))
        return Length(days=1) if self.start.all_day else Length()

    @cached_property
    def recurrence(self) -> Stamp | None:
        """Which instance of its series this event replaces; None for the series itself."""
        return self._stamp("RECURRENCE-ID") if "RECURRENCE-ID" in self.component else None

    @property
    def and_following(self) -> bool:
        return any(
            parameter(prop, "RANGE").upper() == "THISANDFUTURE" for prop in every(self.component, "RECURRENCE-ID")
        )

    @property
    def rule_text(self) -> str:
        return text_of(value(self.component, "RRULE"))

    def instances(self, after: datetime, before: datetime) -> Iterator[tuple[Stamp, Length]]:
        """Yield its instances, each once, exceptions left out; those of a rule only in [after, before) local time."""
        excluded = _Marks(all_day=self.start.all_day)
        for prop in every(self.component, "EXDATE"):
            for stamp, _length in self.reading.stamps("EXDATE", prop):
                excluded.add(stamp)
        for local in self._moments("EXRULE", after, before):
            excluded.add(self.start.at(local))
        seen: set[datetime] = set()
        for start, length in self._candidates(after, before):
            instant = start.instant
            if instant not in seen and start not in excluded:
                seen.add(instant)
                yield start, length

    def _candidates(self, after: datetime, before: datetime) -> Iterator[tuple[Stamp, Length]]:
        for prop in every(self.component, "RDATE"):
            for stamp, length in self.reading.stamps("RDATE", prop):
                if length is None and stamp.all_day != self.start.all_day:
                    raise Unreadable("RDATE", str(prop))  # a day of an event that has an hour, or the reverse
                yield stamp, length or self.length
        rules = self._rules("RRULE")
        if not rules or any(rule.until is None or rule.until >= self.start.local for rule in rules):
            yield self.start, self.length  # DTSTART is always the first instance, unless the series ends before it
        for local in self._moments("RRULE", after, before):
            yield self.start.at(local), self.length

    def _moments(self, name: str, after: datetime, before: datetime) -> Iterator[datetime]:
        for rule in self._rules(name):
            yield from occurrences(rule, self.start.local, after=after, before=before, budget=self.reading.budget)

    def _rules(self, name: str) -> list[Rule]:
        if name not in self._parsed:
            self._parsed[name] = [self._rule(text) for text in every(self.component, name)]
        return self._parsed[name]

    def _rule(self, text: str) -> Rule:
        self.reading.budget.spend_on_rule(text)
        return parse_rule(text, self.start.local, lambda until: self.reading.until(until, self.start))

    def _stamp(self, name: str) -> Stamp:
        return self.reading.stamp(name, self._only(name))

    def _only(self, name: str) -> vText:
        """Return the one property of this name. Raises Unreadable when it contradicts itself."""
        found = every(self.component, name)
        if any(each != found[0] or isinstance(each, vBroken) for each in found):
            raise Unreadable(name, " / ".join(map(_told, found[:3])))
        return found[0]


class _Marks:
    """Instances named by EXDATE or RECURRENCE-ID: by instant, or by day where either side is a date."""

    def __init__(self, *, all_day: bool) -> None:
        self._all_day = all_day
        self._instants: set[datetime] = set()
        self._days: set[date] = set()

    def add(self, stamp: Stamp) -> None:
        if stamp.all_day or self._all_day:
            self._days.add(stamp.local.date())
        else:
            self._instants.add(stamp.instant)

    def __contains__(self, stamp: Stamp) -> bool:
        return stamp.local.date() in self._days or stamp.instant in self._instants


def _letters(properties: Iterable[vText]) -> Iterator[tuple[str, str]]:
    return ((str(prop), parameter(prop, "TZID")) for prop in properties)


def _told(prop: vText) -> str:
    return "?" if isinstance(prop, vBroken) else str(prop)


def _ignored(component: Component, *, method: str, owner: str) -> str:
    """Say why an event does not block (RFC 5545 §3.8.1.11, §3.8.2.7, §3.2.12); "" when it does.

    Whose calendar it is, a file says only by a name that is an address (Google). If it does not, an invitation counts
    as declined when everybody invited has declined.
    """
    if method == "CANCEL" or value(component, "STATUS").upper() == "CANCELLED":
        return "cancelled"
    if value(component, "TRANSP").upper() == "TRANSPARENT":
        return "transparent"
    answers = {prop.strip().casefold(): parameter(prop, "PARTSTAT").upper() for prop in every(component, "ATTENDEE")}
    mine = answers.get(f"mailto:{owner.casefold()}") if "@" in owner else None
    declined = mine == "DECLINED" if mine is not None else set(answers.values()) == {"DECLINED"}
    return "declined" if declined else ""


def current(events: Iterable[Event]) -> list[Event]:
    """Return the versions in force of events that share a UID: highest SEQUENCE, then newest DTSTAMP, per instance.

    Where these do not decide, all that differ stay: software that reuses a UID must not free time.
    """
    versions: dict[object, list[Event]] = {}
    for event in events:
        recurrence = event.recurrence
        key = recurrence and (recurrence.local.date() if recurrence.all_day else recurrence.instant)
        versions.setdefault(key, []).append(event)
    kept: list[Event] = []
    for rivals in versions.values():
        newest = max(event.version for event in rivals)
        kept += {event.times: event for event in rivals if event.version == newest}.values()
    return kept


def spans(events: Iterable[Event], horizon: Period) -> Iterator[tuple[Event, Period]]:
    """Yield the time that current events of one UID take within `horizon`, with the event that takes it.

    A RECURRENCE-ID replaces its instance, with RANGE=THISANDFUTURE also all later ones (RFC 5545 §3.2.13, §3.8.4.4).
    One without its series in the file stands for itself, with whatever dates it lists.
    """
    whole = [event for event in events if event.recurrence is None]
    changes = [event for event in events if event.recurrence is not None]
    if whole and all(event.ignored == "cancelled" for event in whole):
        return
    masters = [event for event in whole if "DTSTART" in event.component]
    outdated: set[Event] = set()
    for master in masters:
        yield from _series(master, changes, horizon, outdated)
    for change in changes:
        if change.skipped or change in outdated:
            continue
        if masters:
            candidates = iter([(change.start, change.length)])
        else:
            candidates = change.instances(*_window(change, horizon, change.length.about, NO_TIME))
        for start, length in candidates:
            yield from _within(change, start, length, horizon)


def _series(
    master: Event, changes: list[Event], horizon: Period, outdated: set[Event]
) -> Iterator[tuple[Event, Period]]:
    """Yield the instances nobody replaced; add to `outdated` the changes of instances a newer series no longer has."""
    following = sorted((each for each in changes if each.and_following), key=_replaces)
    if master.skipped and all(each.skipped for each in following):
        return
    replaced = _Marks(all_day=master.start.all_day)
    for change in changes:
        if change.recurrence and (change.ignored or "DTSTART" in change.component):
            replaced.add(change.recurrence)
    met = _Marks(all_day=master.start.all_day)
    shifts = {each: _shift(each, master) for each in following if not each.skipped}
    farthest = max([abs(shift) for shift in shifts.values()], default=NO_TIME)
    longest = max(abs(each.length.about) for each in (master, *shifts) if not each.skipped)
    after, before = _window(master, horizon, longest, farthest)
    for start, length in master.instances(after, before):
        if start in replaced:
            met.add(start)
            continue
        instant = start.instant
        governing = next((each for each in reversed(following) if _replaces(each) <= instant), master)
        if governing is master and not master.skipped:
            yield from _within(master, start, length, horizon)
        elif governing in shifts:
            yield from _within(governing, start.at(start.local + shifts[governing]), governing.length, horizon)
    for change in changes:
        place = change.recurrence
        if place and change.version[0] < master.version[0] and after <= place.local < before and place not in met:
            outdated.add(change)


def _window(event: Event, horizon: Period, length: timedelta, shift: timedelta) -> tuple[datetime, datetime]:
    """Return the local times between which an instance must start to reach into the horizon."""
    zone = event.start.zone
    return zone.local(horizon.start) - abs(length) - shift - MARGIN, zone.local(horizon.end) + shift + MARGIN


def _replaces(change: Event) -> datetime:
    assert change.recurrence is not None
    return change.recurrence.instant


def _shift(change: Event, master: Event) -> timedelta:
    zone = master.start.zone
    return zone.local(change.start.instant) - zone.local(_replaces(change))


def _within(event: Event, start: Stamp, length: Length, horizon: Period) -> Iterator[tuple[Event, Period]]:
    begin, end = sorted((start.instant, length.after(start)))  # an end before the start is the two swapped
    if begin < end and begin < horizon.end and horizon.start < end:
        yield event, Period(begin, end)
