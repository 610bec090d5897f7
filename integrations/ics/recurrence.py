"""Recurrence rules (RFC 5545 §3.3.10) with a bound on the work they may cause.

A general expander steps through time until it finds something: ``FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30`` keeps it busy
until the year 9999, and ``FREQ=SECONDLY`` for longer than anybody waits. Here each rule is tested before expansion,
one that does not count skips straight to the time asked for, and every day looked at is paid from a budget per file.
All times are naive local times: a rule knows no zone.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import product

from icalendar import vRecur
from icalendar.prop import vMonth, vWeekday

__all__ = ["BadRule", "Budget", "Rule", "TooFrequent", "occurrences", "parse_rule"]

MAX_PER_DAY = 48
"""More often than every half hour is no occupation of an instrument."""

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")
SINGLE = {"FREQ", "INTERVAL", "COUNT", "WKST", "RSCALE", "SKIP"}
LISTS = {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYSETPOS", "BYHOUR", "BYMINUTE", "BYSECOND"}
UNTIL = re.compile(r"(?<![^;])UNTIL=([^;]*)(?:;|$)")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
CALENDARS = {None, "GREGORIAN"}
"""RFC 7529 allows others, and skipping rules for them; a date we cannot compute is not guessed."""
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class BadRule(ValueError):
    """The rule cannot be read."""


class TooFrequent(ValueError):
    """The rule repeats too often, or asks for too much work."""


@dataclass(slots=True)
class Budget:
    """How much work one file may make us do; a day or an hour looked at is one step. Raises TooFrequent when spent.

    Steps are worth what they cost, 3 to 8 µs, so that no mixture of work takes longer than the worst of one kind.
    """

    steps: int = 200_000

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise TooFrequent

    def spend_on_rule(self, text: str) -> None:
        self.spend(8 + len(text) // 4)

    def spend_on_list(self, values: Sequence[str]) -> None:
        self.spend(3 * len(values))


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed RRULE, completed from its DTSTART. `until` is inclusive local time; months count from 1, Monday is 0."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    week_start: int = 0
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    nth_weekdays: frozenset[tuple[int, int]] = frozenset()
    positions: frozenset[int] = frozenset()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()


def parse_rule(text: str, start: datetime, local_until: Callable[[str], datetime]) -> Rule:
    """Read an RRULE value; `local_until` turns its UNTIL into local time. Raises BadRule, TooFrequent.

    The library reads the parts; we refuse what it lets pass: a part twice, a part without a value, a part that does
    not exist, a number out of its range, ``1_0``. Each of them would make a rule that says something else.
    """
    plain = re.sub(r"\s", "", text).upper()
    untils = UNTIL.findall(plain)
    stripped = UNTIL.sub("", plain)
    try:
        parts = vRecur.from_ical(stripped)
    except ValueError as error:
        raise BadRule(text) from error
    unread = len([part for part in stripped.split(";") if part]) != len(parts) or len(untils) > 1
    unknown = any(key not in SINGLE | LISTS and not key.startswith("X-") for key in parts)
    several = any(len(parts[key]) != 1 for key in SINGLE & parts.keys())
    if unread or unknown or several or "_" in stripped or parts.get("RSCALE", [None])[0] not in CALENDARS:
        raise BadRule(text)
    freq = str(parts.get("FREQ", [""])[0])
    if freq in {"SECONDLY", "MINUTELY"}:
        raise TooFrequent
    if freq not in FREQUENCIES:
        raise BadRule(freq)
    week_start = str(parts.get("WKST", ["MO"])[0])
    if week_start not in WEEKDAYS:
        raise BadRule(week_start)
    weekdays, nth = _weekdays(parts.get("BYDAY", []), ordinal=freq in {"YEARLY", "MONTHLY"})
    rule = Rule(
        freq=freq,
        interval=max(_numbers(parts, "INTERVAL", 1, 10_000), default=1),
        count=max(_numbers(parts, "COUNT", 1, 10**9), default=None),
        until=local_until(untils[0]) if untils else None,
        week_start=WEEKDAYS.index(week_start),
        months=_numbers(parts, "BYMONTH", 1, 12),
        month_days=_numbers(parts, "BYMONTHDAY", 1, 31, signed=True),
        year_days=_numbers(parts, "BYYEARDAY", 1, 366, signed=True),
        weeks=_numbers(parts, "BYWEEKNO", 1, 53, signed=True),
        weekdays=weekdays,
        nth_weekdays=nth,
        positions=_numbers(parts, "BYSETPOS", 1, 366, signed=True),
        hours=tuple(sorted(_numbers(parts, "BYHOUR", 0, 23))),
        minutes=tuple(sorted(_numbers(parts, "BYMINUTE", 0, 59))),
        seconds=tuple(sorted({min(second, 59) for second in _numbers(parts, "BYSECOND", 0, 60)})),
    )
    return _completed(rule, start)


def _completed(rule: Rule, start: datetime) -> Rule:
    """Fill from DTSTART what the rule leaves open (RFC 5545 §3.3.10), and refuse what is too dense."""
    if not (rule.month_days or rule.year_days or rule.weekdays or rule.nth_weekdays):
        if rule.weeks or rule.freq == "WEEKLY":
            rule = replace(rule, weekdays=frozenset({start.weekday()}))
        elif rule.freq == "MONTHLY":
            rule = replace(rule, month_days=frozenset({start.day}))
        elif rule.freq == "YEARLY":
            rule = replace(rule, month_days=frozenset({start.day}), months=rule.months or frozenset({start.month}))
    hourly = rule.freq == "HOURLY"
    rule = replace(
        rule,
        hours=rule.hours or (tuple(range(24)) if hourly else (start.hour,)),
        minutes=rule.minutes or (start.minute,),
        seconds=rule.seconds or (start.second,),
    )
    hours = min(len(rule.hours), -(-24 // rule.interval)) if hourly else len(rule.hours)
    if hours * len(rule.minutes) * len(rule.seconds) > MAX_PER_DAY:
        raise TooFrequent
    return rule


def _numbers(parts: vRecur, key: str, least: int, most: int, *, signed: bool = False) -> frozenset[int]:
    found = parts.get(key, [])
    if any(not least <= (abs(number) if signed else number) <= most for number in found):
        raise BadRule(key)
    if any(isinstance(number, vMonth) and number.leap for number in found):
        raise BadRule(key)  # the leap months of other calendars
    return frozenset(map(int, found))


def _weekdays(days: list[vWeekday], *, ordinal: bool) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    plain: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for day in days:
        index, place = WEEKDAYS.index(day[-2:]), day[:-2]
        if place in {"+", "-"} or (place and not 1 <= abs(int(place)) <= 53):
            raise BadRule(day)
        if place and ordinal:
            nth.add((int(place), index))
        else:
            plain.add(index)
    return frozenset(plain), frozenset(nth)


def occurrences(
    rule: Rule, start: datetime, *, after: datetime, before: datetime, budget: Budget
) -> Iterator[datetime]:
    """Yield the rule's local start times in [after, before), ascending, none before `start`. Raises TooFrequent."""
    counted = 0
    before = min(before, rule.until + SECOND) if rule.until else before
    first = start if rule.count else max(start, after)
    moments = _hourly if rule.freq == "HOURLY" else _by_period
    for moment in moments(rule, start, first, before, budget):
        if moment >= before:
            return
        if moment < start:
            continue
        counted += 1
        if moment >= after:
            yield moment
        if rule.count and counted >= rule.count:
            return


def _by_period(rule: Rule, start: datetime, first: datetime, before: datetime, budget: Budget) -> Iterator[datetime]:
    """Yield the moments of each period of the rule (year, month, week, day) from the one that holds `first`."""
    clocks = [time(*clock) for clock in product(rule.hours, rule.minutes, rule.seconds)]
    for days in _periods(rule, start.date(), first.date(), before.date()):
        budget.spend(len(days))
        moments = [datetime.combine(day, clock) for day in days if _matches(rule, day) for clock in clocks]
        if rule.positions:
            size = len(moments)
            chosen = {place - 1 if place > 0 else size + place for place in rule.positions}
            moments = [moment for index, moment in enumerate(moments) if index in chosen]
        yield from moments


def _hourly(rule: Rule, start: datetime, first: datetime, before: datetime, budget: Budget) -> Iterator[datetime]:
    step = timedelta(hours=rule.interval)
    hour = start.replace(minute=0, second=0, microsecond=0)
    hour += max(0, (first - hour) // step) * step
    while hour < before:
        budget.spend(1)
        if hour.hour in rule.hours and _matches(rule, hour.date()):
            moments = [hour.replace(minute=minute, second=second) for minute in rule.minutes for second in rule.seconds]
            size = len(moments)
            chosen = {place - 1 if place > 0 else size + place for place in rule.positions} or set(range(size))
            yield from (moment for index, moment in enumerate(moments) if index in chosen)
        hour += step


def _periods(rule: Rule, start: date, first: date, last: date) -> Iterator[list[date]]:
    """Yield the days of every interval-th period, beginning at or just before `first`, up to the one with `last`."""
    if rule.freq == "YEARLY":
        skip = (first.year - start.year) // rule.interval * rule.interval
        for year in range(start.year + skip, last.year + 1, rule.interval):
            yield [day for month in sorted(rule.months) or range(1, 13) for day in _month(year, month)]
    elif rule.freq == "MONTHLY":
        begin = start.year * 12 + start.month - 1
        skip = (first.year * 12 + first.month - 1 - begin) // rule.interval * rule.interval
        for index in range(begin + skip, last.year * 12 + last.month, rule.interval):
            yield _month(index // 12, index % 12 + 1)
    else:
        length = 7 if rule.freq == "WEEKLY" else 1
        begin_day = start - timedelta(days=(start.weekday() - rule.week_start) % 7) if length == 7 else start
        step = length * rule.interval
        ordinal = begin_day.toordinal() + (first.toordinal() - begin_day.toordinal()) // step * step
        for monday in range(ordinal, last.toordinal() + 1, step):
            days = [date.fromordinal(monday + offset) for offset in range(length)]
            yield [day for day in days if day.weekday() in rule.weekdays] if length == 7 and rule.weekdays else days


def _month(year: int, month: int) -> list[date]:
    return [date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]


def _matches(rule: Rule, day: date) -> bool:
    """Tell whether the day passes every BY part; each part that is absent lets all days pass."""
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days:
        length = monthrange(day.year, day.month)[1]
        if day.day not in rule.month_days and day.day - length - 1 not in rule.month_days:
            return False
    if rule.year_days:
        number, length = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
        if number not in rule.year_days and number - length - 1 not in rule.year_days:
            return False
    if rule.weeks and not _week_numbers(day, rule.week_start) & rule.weeks:
        return False
    if rule.weekdays or rule.nth_weekdays:
        return day.weekday() in rule.weekdays or (bool(rule.nth_weekdays) and _is_nth(rule, day))
    return True


def _is_nth(rule: Rule, day: date) -> bool:
    if rule.freq == "MONTHLY" or rule.months:
        ahead, length = day.day - 1, monthrange(day.year, day.month)[1]
    else:
        ahead, length = day.timetuple().tm_yday - 1, 366 if isleap(day.year) else 365
    from_front, from_back = ahead // 7 + 1, -((length - 1 - ahead) // 7 + 1)
    return (from_front, day.weekday()) in rule.nth_weekdays or (from_back, day.weekday()) in rule.nth_weekdays


@lru_cache(maxsize=2048)
def _week_numbers(day: date, week_start: int) -> frozenset[int]:
    """Return the number of the day's week counted from the front and from the back of its week-numbering year."""
    middle = day - timedelta(days=(day.weekday() - week_start) % 7) + 3 * DAY
    number = (middle.timetuple().tm_yday - 1) // 7 + 1
    final = date(middle.year, 12, 28)
    final_middle = final - timedelta(days=(final.weekday() - week_start) % 7) + 3 * DAY
    weeks = (final_middle.timetuple().tm_yday - 1) // 7 + 1
    return frozenset({number, number - weeks - 1})
