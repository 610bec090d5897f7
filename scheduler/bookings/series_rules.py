"""When the uses of a series are: a rule in local wall time becomes instants, at most so many. Pure.

A rule means the clock on the wall: nine o'clock stays nine o'clock when clocks change. A local time that does not exist
moves forward by the gap, one that exists twice is its first (as readers of RFC 5545 §3.3.5 do); both are said. How long
a use lasts is elapsed time: two hours are two hours on the night the clocks change, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import count, islice, pairwise, takewhile
from typing import Final

from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period
from scheduler.availability import rules as availability

__all__ = [
    "MAX_OCCURRENCES",
    "Clock",
    "Frequency",
    "Occurrence",
    "Pattern",
    "PatternInvalid",
    "SeriesBounds",
    "SeriesOverlaps",
    "SeriesTooLong",
    "SeriesTooShort",
    "expand",
]

_ = noop

MAX_OCCURRENCES: Final = 104
"""As many as a series may have: a weekly one of two years."""
MAX_INTERVAL: Final = 52
WEEK: Final = 7


class Frequency(StrEnum):
    """How a series repeats; nothing finer than a day."""

    DAILY = "daily"
    WEEKLY = "weekly"


class Clock(StrEnum):
    """What is special about an occurrence's local time."""

    PLAIN = ""
    MISSING = "missing"
    """It does not exist that day; the use begins later by the gap."""
    DOUBLED = "doubled"
    """It exists twice that day; the use begins at the first."""


class PatternInvalid(Invalid):
    code = "series.pattern"
    message = _("重复间隔须在 1 到 %(limit)s 之间，星期须在 1（周一）到 7（周日）之间，且只用于按周重复。")


class SeriesBounds(Invalid):
    code = "series.bounds"
    message = _("请填写重复次数或截止日期，两者填一项。")


class SeriesTooLong(Invalid):
    """`last` is the last day that still fits."""

    code = "series.too_long"
    message = _("一个系列最多 %(limit)s 次。请减少次数，或把截止日期定在 %(last)s 或之前；之后的另建一个系列。")


class SeriesTooShort(Invalid):
    code = "series.too_short"
    message = _("截止日期之前不足两次。请推迟截止日期，或直接预约单次。")


class SeriesOverlaps(Invalid):
    code = "series.overlaps"
    message = _("单次时长超过了两次之间的间隔。请缩短时段，或减少重复的频率。")


@dataclass(frozen=True, slots=True)
class Pattern:
    """From the first matching day on or after `first`, at `clock` (local), for `duration` (elapsed), in `zone` (IANA).

    Weekly: on `weekdays` (ISO, 1 is Monday; none: that of `first`) of every `interval`-th week, weeks begin on Monday.
    Ends after `count` times or with the day `until`, which is included; exactly one of the two.
    """

    first: date
    clock: time
    duration: timedelta
    zone: str
    frequency: Frequency
    interval: int = 1
    weekdays: frozenset[int] = frozenset()
    count: int | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One use by the rule: the local day it belongs to, when it is, and what its local time is like."""

    day: date
    period: Period
    clock: Clock = Clock.PLAIN


def expand(pattern: Pattern) -> list[Occurrence]:
    """Return every occurrence, soonest first. Raises what the pattern is refused for, naming the field; UnknownZone."""
    _check(pattern)
    days = list(islice(_days(pattern), MAX_OCCURRENCES + 1))
    field = "count" if pattern.count is not None else "until"
    if len(days) > MAX_OCCURRENCES:
        raise SeriesTooLong(field=field, limit=MAX_OCCURRENCES, last=days[MAX_OCCURRENCES - 1].isoformat())
    if len(days) < 2:
        raise SeriesTooShort(field=field)
    found = [_occurrence(day, pattern) for day in days]
    if any(one.period.end > later.period.start for one, later in pairwise(found)):
        raise SeriesOverlaps(field="ends_at")
    return found


def _check(pattern: Pattern) -> None:
    if not 1 <= pattern.interval <= MAX_INTERVAL:
        raise PatternInvalid(field="interval", limit=MAX_INTERVAL)
    weekly = pattern.frequency is Frequency.WEEKLY
    if not pattern.weekdays <= frozenset(range(1, WEEK + 1)) or (pattern.weekdays and not weekly):
        raise PatternInvalid(field="weekdays", limit=MAX_INTERVAL)
    if (pattern.count is None) == (pattern.until is None):
        raise SeriesBounds(field="count")


def _days(pattern: Pattern) -> Iterator[date]:
    """Return the days of the rule, in order."""
    days = (day for day in _unbounded(pattern) if day >= pattern.first)
    if pattern.count is not None:
        return islice(days, pattern.count)
    last = pattern.until or pattern.first
    return takewhile(lambda day: day <= last, days)


def _unbounded(pattern: Pattern) -> Iterator[date]:
    if pattern.frequency is Frequency.DAILY:
        return (pattern.first + timedelta(days=turn) for turn in count(0, pattern.interval))
    monday = pattern.first - timedelta(days=pattern.first.weekday())
    weekdays = sorted(pattern.weekdays or {pattern.first.isoweekday()})
    return (
        monday + timedelta(days=WEEK * week + weekday - 1)
        for week in count(0, pattern.interval)
        for weekday in weekdays
    )


def _occurrence(day: date, pattern: Pattern) -> Occurrence:
    clock = Clock.PLAIN
    try:
        start = availability.localise(day, pattern.clock, pattern.zone)
    except availability.LocalTimeMissing:
        # By the offset before the change: the clock then shows a time later by the gap.
        zone = availability.zone_named(pattern.zone)
        start = datetime.combine(day, pattern.clock, zone).astimezone(UTC)
        clock = Clock.MISSING
    if availability.is_ambiguous(day, pattern.clock, pattern.zone):
        clock = Clock.DOUBLED
    return Occurrence(day, Period(start, start + pattern.duration), clock)
