"""What a resource's rules amount to: weekly hours, special openings, closures and holidays put together. Pure.

Weakest to strongest: weekly hours, the holidays that close them or lend them another weekday, special openings, closures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations

from portal.kernel.period import Period, merge, subtract
from scheduler.availability import rules
from scheduler.availability.rules import Audience, Closure, WeeklyHours

__all__ = [
    "Moved",
    "Opening",
    "Pattern",
    "Special",
    "expand",
    "moved",
    "open_to",
    "overlapping",
    "seen_by",
    "weekly_of",
]

DAY_MIN = 24 * 60
WEEK = 7


@dataclass(frozen=True, slots=True)
class Special:
    """A span that is open for `audience` whatever weekly hours and holidays say."""

    period: Period
    audience: Audience = Audience.EVERYBODY
    is_automatic: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """All that says when one resource, in `zone`, is open."""

    zone: str
    hours: Sequence[WeeklyHours] = ()
    specials: Sequence[Special] = ()
    closures: Sequence[Closure] = ()
    weekday_of: Callable[[date], int | None] = date.isoweekday


@dataclass(frozen=True, slots=True)
class Opening:
    """One span in which a resource is open for `audience`; the spans of one audience and kind are disjoint."""

    period: Period
    audience: Audience
    is_automatic: bool


def seen_by(audience: Audience) -> frozenset[Audience]:
    """Return whose spans `audience` may use: the providing organisation's staff all of them."""
    if audience is Audience.OWN:
        return frozenset(Audience)
    return frozenset({Audience.ENTERPRISES, Audience.EVERYBODY})


def expand(pattern: Pattern, *, window: Period) -> list[Opening]:
    """Return what is open inside `window`, sorted, cut at its bounds."""
    hours: dict[tuple[Audience, bool], list[WeeklyHours]] = defaultdict(list)
    special: dict[tuple[Audience, bool], list[Period]] = defaultdict(list)
    for row in pattern.hours:
        hours[row.audience, row.is_automatic].append(row)
    for one in pattern.specials:
        if one.period.overlaps(window):
            cut = Period(max(one.period.start, window.start), min(one.period.end, window.end))
            special[one.audience, one.is_automatic].append(cut)
    closed = [closure.period for closure in pattern.closures]
    found = [
        Opening(span, *kind)
        for kind in sorted({*hours, *special})
        for span in subtract(
            [
                *rules.open_periods(hours[kind], zone=pattern.zone, window=window, weekday_of=pattern.weekday_of),
                *special[kind],
            ],
            closed,
        )
    ]
    return sorted(found, key=lambda opening: (opening.period, opening.audience))


def open_to(openings: Iterable[Opening], audience: Audience) -> list[Period]:
    """Return when `audience` finds it open: sorted and disjoint."""
    seen = seen_by(audience)
    return merge(opening.period for opening in openings if opening.audience in seen)


def weekly_of(openings: Iterable[Opening], *, zone: str, monday: date) -> list[WeeklyHours]:
    """Return what was open in the week of `monday` as weekly hours: spans cut at local midnight, like days together."""
    tz = rules.zone_named(zone)
    days: dict[tuple[int, int, Audience, bool], set[int]] = defaultdict(set)
    for one in openings:
        start, end = one.period.start.astimezone(tz), one.period.end.astimezone(tz)
        for at in range(WEEK):
            day = monday + timedelta(days=at)
            if not start.date() <= day <= end.date():
                continue
            opens = start.hour * 60 + start.minute if start.date() == day else 0
            closes = end.hour * 60 + end.minute if end.date() == day else DAY_MIN
            if opens < closes:
                days[opens, closes, one.audience, one.is_automatic].add(at + 1)
    return [
        WeeklyHours(frozenset(weekdays), opens, closes, audience=audience, is_automatic=is_automatic)
        for (opens, closes, audience, is_automatic), weekdays in sorted(days.items(), key=lambda row: min(row[1]))
    ]


def overlapping(hours: Sequence[WeeklyHours]) -> list[tuple[int, int]]:
    """Return the pairs of rows, by position, that open the same time for the same audience on some day.

    Hours past midnight reach into the next day. Public holidays and make-up days do not count: they only lend a day
    another weekday's rows.
    """
    return [
        (one, two)
        for one, two in combinations(range(len(hours)), 2)
        if hours[one].audience is hours[two].audience and _meet(hours[one], hours[two])
    ]


def _meet(one: WeeklyHours, two: WeeklyHours) -> bool:
    for later in (-1, 0, 1):
        shift = later * DAY_MIN
        if one.opens < two.closes + shift and two.opens + shift < one.closes and _share_day(one, two, later):
            return True
    return False


def _share_day(one: WeeklyHours, two: WeeklyHours, later: int) -> bool:
    """Tell whether `one` applies on some day and `two` `later` days after it."""
    away = timedelta(days=later)
    starts = [one.valid_from, two.valid_from - away if two.valid_from else None]
    ends = [one.valid_until, two.valid_until - away if two.valid_until else None]
    first = max((day for day in starts if day), default=None)
    last = min((day for day in ends if day), default=None)
    weekdays = one.weekdays & {(day - later - 1) % WEEK + 1 for day in two.weekdays}
    if first is None or last is None or (last - first).days >= WEEK - 1:
        return bool(weekdays)
    return any((first + timedelta(days=at)).isoweekday() in weekdays for at in range(max((last - first).days + 1, 0)))


@dataclass(frozen=True, slots=True)
class Moved:
    """An edge of weekly hours that the clock does not show once: `wall` (naive, local) is what the rule says.

    `instant` (UTC) is how it is read: a time that does not exist moves forward by the gap (`is_missing`), one that
    exists twice is the first (RFC 5545 §3.3.5).
    """

    wall: datetime
    instant: datetime
    is_missing: bool


def moved(hours: Iterable[WeeklyHours], *, zone: str, window: Period) -> list[Moved]:
    """Return every opening and closing inside `window` that a change of clocks touches, in order, each once."""
    tz = rules.zone_named(zone)
    found: set[Moved] = set()
    rows = list(hours)
    day = window.start.astimezone(tz).date() - timedelta(days=1)
    last = window.end.astimezone(tz).date()
    while day <= last:
        midnight = datetime.combine(day, datetime.min.time())
        if midnight.replace(tzinfo=tz).utcoffset() != (midnight + timedelta(days=2)).replace(tzinfo=tz).utcoffset():
            edges = {edge for row in rows if row.applies_on(day) for edge in (row.opens, row.closes)}
            found.update(_read(midnight + timedelta(minutes=edge), zone) for edge in edges)
        day += timedelta(days=1)
    touched = (
        edge
        for edge in found
        if edge.instant in window and (edge.is_missing or rules.is_ambiguous(edge.wall.date(), edge.wall.time(), zone))
    )
    return sorted(touched, key=lambda edge: edge.instant)


def _read(wall: datetime, zone: str) -> Moved:
    tz = rules.zone_named(zone)
    instant = wall.replace(tzinfo=tz, fold=0).astimezone(UTC)
    return Moved(wall, instant, is_missing=instant.astimezone(tz).replace(tzinfo=None, fold=0) != wall)
