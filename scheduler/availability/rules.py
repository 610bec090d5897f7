"""When a resource is open and free: opening hours are wall-clock rules, everything they yield is UTC.

The rule for clocks that change (RFC 5545 §3.3.5, §3.8.5.3): a local time that does not exist is read with the offset
before the gap, which moves it forward by the length of the gap; one that exists twice means its first occurrence.
A *person's* choice is never moved silently: ``localise`` refuses a missing time and names the next valid one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.kernel.errors import Invalid, Reason, noop
from portal.kernel.period import Period, merge, subtract

__all__ = [
    "LENGTH_CLASSES",
    "Audience",
    "BadHours",
    "ClaimRole",
    "Closure",
    "DatesReversed",
    "LocalTimeMissing",
    "NoClock",
    "NoDays",
    "UnknownZone",
    "WeeklyHours",
    "alternatives",
    "closed_days",
    "is_ambiguous",
    "localise",
    "next_on_grid",
    "on_grid",
    "open_periods",
    "opening_refusals",
    "zone_named",
]

_ = noop

DAY_MIN = 24 * 60
INSTANT = timedelta(microseconds=1)
NONE: Final = timedelta(0)
LENGTH_CLASSES: Final = (4 * 3600, 8 * 3600, 24 * 3600)
"""Lengths in seconds for which long gaps have an index of their own: a rare length must not read every short gap."""


class Audience(StrEnum):
    """Whom a span is open for. Staff of the providing organisation may use all of them."""

    OWN = "own"
    ENTERPRISES = "enterprises"
    EVERYBODY = "everybody"


class ClaimRole(StrEnum):
    """What a claim is to its booking: the thing booked itself, or one it needs beside it."""

    MAIN = "main"
    OPERATOR = "operator"
    PREPARATION = "preparation"


class UnknownZone(Invalid):
    code = "zone.unknown"
    message = _("没有名为“%(zone)s”的时区，请使用 IANA 名称，例如 Asia/Shanghai。")


class LocalTimeMissing(Invalid):
    """The clock jumps over this local time. Params: zone, day, clock, gap_start, gap_end (all text)."""

    code = "time.missing"
    message = _(
        "%(day)s 当地（%(zone)s）没有 %(clock)s 这一时刻：时钟从 %(gap_start)s 直接拨到 %(gap_end)s。"
        "请改选 %(gap_end)s 或更晚的时间。"
    )


class BadHours(Invalid):
    code = "hours.invalid"
    message = _("开放时间填写有误：请至少选择一天，结束须晚于开始，且一次开放不超过 24 小时。")


class NoDays(BadHours):
    code = "hours.days"
    message = _("请至少选择一天。")


class NoClock(BadHours):
    code = "hours.clock"
    message = _("请填写开放和关闭的时间，例如 08:00 到 22:00；全天为 00:00 到 00:00。")


class DatesReversed(BadHours):
    code = "hours.dates"
    message = _("截止日期不能早于起始日期。")


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Open on these weekdays (ISO, Monday 1) from `opens` to `closes`, in minutes after local midnight.

    `closes` may pass midnight: 22:00 to 06:00 is 1320 to 1800, a whole day 0 to 1440. `valid_from` and
    `valid_until` bound the day the opening *starts* on, both inclusive. `is_automatic`: a booking in this time is
    confirmed at once. Raises BadHours.
    """

    weekdays: frozenset[int]
    opens: int
    closes: int
    valid_from: date | None = None
    valid_until: date | None = None
    audience: Audience = Audience.EVERYBODY
    is_automatic: bool = False

    def __post_init__(self) -> None:
        if not self.weekdays:
            raise NoDays(field="weekdays")
        if not self.weekdays <= frozenset(range(1, 8)):
            raise BadHours(field="weekdays")
        if not 0 <= self.opens < DAY_MIN or not self.opens < self.closes <= self.opens + DAY_MIN:
            raise BadHours(field="closes")
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            raise DatesReversed(field="valid_until")

    @classmethod
    def on_clock(
        cls,
        weekdays: Iterable[int],
        opens: time,
        closes: time,
        *,
        valid_from: date | None = None,
        valid_until: date | None = None,
        audience: Audience = Audience.EVERYBODY,
        is_automatic: bool = False,
    ) -> WeeklyHours:
        """Read clock faces: closing at or before opening means the next day, so 00:00 to 00:00 is a whole day."""
        start, end = opens.hour * 60 + opens.minute, closes.hour * 60 + closes.minute
        closes_min = end if end > start else end + DAY_MIN
        return cls(frozenset(weekdays), start, closes_min, valid_from, valid_until, audience, is_automatic)

    def applies_on(self, day: date, weekday: int | None = None) -> bool:
        """Tell whether the rule opens on `day`, taken as `weekday` (ISO) where that is another than its own."""
        return (
            (weekday or day.isoweekday()) in self.weekdays
            and (self.valid_from is None or self.valid_from <= day)
            and (self.valid_until is None or day <= self.valid_until)
        )


@dataclass(frozen=True, slots=True)
class Closure:
    """A span in which the resource is closed whatever its weekly hours say."""

    period: Period
    reason: str = ""


def zone_named(zone: str) -> ZoneInfo:
    """Return the IANA zone. Raises UnknownZone; never reads a path outside the zone database."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(field="zone", zone=zone) from None


def localise(day: date, clock: time, zone: str, *, field: str = "starts_at") -> datetime:
    """Return the UTC instant of a local time a person chose; of a doubled hour, the first.

    Raises LocalTimeMissing, naming the gap and the first valid time after it; UnknownZone.
    """
    tz = zone_named(zone)
    local = datetime.combine(day, clock.replace(tzinfo=None, fold=0))
    instant = _instant(local, tz)
    if _wall(instant, tz) != local:
        gap_start, gap_end = _gap(local, tz)
        raise LocalTimeMissing(
            field=field,
            zone=zone,
            day=day.isoformat(),
            clock=f"{clock:%H:%M}",
            gap_start=f"{gap_start:%H:%M}",
            gap_end=f"{gap_end:%H:%M}",
        )
    return instant


def is_ambiguous(day: date, clock: time, zone: str) -> bool:
    """Tell whether this local time happens twice, because the clock is put back."""
    tz = zone_named(zone)
    local = datetime.combine(day, clock.replace(tzinfo=None, fold=0))
    first, second = _instant(local, tz), local.replace(tzinfo=tz, fold=1).astimezone(UTC)
    return first < second and _wall(first, tz) == local


def closed_days(first: date, last: date, zone: str) -> Period:
    """Return the span of whole local days `first` to `last`, both inclusive (23, 24 or 25 hours each)."""
    tz = zone_named(zone)
    return Period(_instant(_midnight(first), tz), _instant(_midnight(last + timedelta(days=1)), tz))


def open_periods(
    hours: Iterable[WeeklyHours],
    *,
    zone: str,
    window: Period,
    closures: Iterable[Closure] = (),
    weekday_of: Callable[[date], int | None] = date.isoweekday,
) -> list[Period]:
    """Expand weekly hours inside `window`, less the closures: sorted, disjoint, cut at the window's bounds.

    Hours are wall time: 08:00 to 20:00 stays that on the day the clocks change, and a whole day may last 25 hours.
    `weekday_of` names the weekday whose hours hold on a day, None for a day nothing opens on (a public holiday); an
    opening belongs to the day it starts on, so the night before a holiday still ends in its morning.
    """
    tz = zone_named(zone)
    rules = list(hours)
    day = _wall(window.start, tz).date() - timedelta(days=2)
    last = _wall(window.end, tz).date()
    found: list[Period] = []
    while day <= last:
        weekday = weekday_of(day)
        for rule in rules if weekday is not None else ():
            if rule.applies_on(day, weekday):
                start = _instant(_midnight(day) + timedelta(minutes=rule.opens), tz)
                end = _instant(_midnight(day) + timedelta(minutes=rule.closes), tz)
                start, end = max(start, window.start), min(end, window.end)
                if start < end:
                    found.append(Period(start, end))
        day += timedelta(days=1)
    return subtract(found, [closure.period for closure in closures])


def opening_refusals(blocked: Period, opened: Sequence[Period], *, zone: str) -> list[Reason]:
    """Return why `blocked` (a booking with its set-up and cleaning) does not fit into open time; [] when it does."""
    closed = subtract([blocked], opened)
    if not closed:
        return []
    tz = zone_named(zone)
    params: dict[str, object] = {"zone": zone, "closed": [_span_text(span, tz) for span in closed[:3]]}
    ahead = [span for span in merge(opened) if span.end > blocked.start and span.duration >= blocked.duration]
    if ahead:
        params["next"] = _span_text(ahead[0], tz)
    return [
        Reason(
            code="availability.closed",
            message=_("所选时间（含准备和清理时间）有一部分不在开放时间内：%(closed)s（%(zone)s）。"),
            remedy=_("最近的开放时间：%(next)s。") if ahead else _("请查看该仪器的开放时间，另选日期。"),
            field="starts_at",
            params=params,
        )
    ]


def on_grid(moment: datetime, *, granularity: timedelta, zone: str, offset: timedelta = NONE) -> bool:
    """Tell whether the local wall clock shows a whole multiple of `granularity` after midnight and `offset`."""
    wall = _wall(moment, zone_named(zone))
    return (wall - _midnight(wall.date()) - offset) % granularity == NONE


def next_on_grid(moment: datetime, *, granularity: timedelta, zone: str, offset: timedelta = NONE) -> datetime:
    """Return the first instant at or after `moment` that lies on the local grid (see on_grid), in UTC."""
    tz = zone_named(zone)
    moment = moment.astimezone(UTC)
    while True:
        wall = _wall(moment, tz)
        midnight = _midnight(wall.date())
        step = (midnight + offset - wall) % granularity
        if not step:
            return moment
        # A grid that does not divide the day starts anew at midnight; a clock change in between is met by looping.
        moment += step if offset else min(step, midnight + timedelta(days=1) - wall)


def alternatives(
    free: Iterable[Period],
    *,
    duration: timedelta,
    granularity: timedelta,
    zone: str,
    near: datetime,
    count: int = 3,
    offset: timedelta = NONE,
) -> list[Period]:
    """Return the `count` possible uses of `duration` whose start is nearest to `near`, soonest first.

    Starts lie on the local grid; `free` comes from ``places.free_places``, so buffers are already kept.
    """
    starts: set[datetime] = set()
    for span in free:
        latest = span.end - duration
        if latest >= span.start:
            starts.update(
                _starts_around(span.start, latest, near=near, grid=(granularity, offset), zone=zone, count=count)
            )
    nearest = sorted(starts, key=lambda start: (abs(start - near), start))[:count]
    return [Period(start, start + duration) for start in sorted(nearest)]


def _starts_around(
    earliest: datetime, latest: datetime, *, near: datetime, grid: tuple[timedelta, timedelta], zone: str, count: int
) -> Iterator[datetime]:
    """Yield up to `count` grid points on each side of `near` within [earliest, latest]."""
    granularity, offset = grid
    later = next_on_grid(max(earliest, near), granularity=granularity, zone=zone, offset=offset)
    for _turn in range(count):
        if later > latest:
            break
        yield later
        later = next_on_grid(later + INSTANT, granularity=granularity, zone=zone, offset=offset)
    tz = zone_named(zone)
    earlier = min(latest, near - INSTANT)
    for _turn in range(count):
        found = _previous_on_grid(earlier, earliest, grid=grid, tz=tz)
        if found is None:
            break
        yield found
        earlier = found - INSTANT


def _previous_on_grid(
    moment: datetime, earliest: datetime, *, grid: tuple[timedelta, timedelta], tz: ZoneInfo
) -> datetime | None:
    granularity, offset = grid
    while moment >= earliest:
        wall = _wall(moment, tz)
        back = (wall - _midnight(wall.date()) - offset) % granularity
        if not back:
            return moment
        moment -= back
    return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)


def _instant(local: datetime, tz: ZoneInfo) -> datetime:
    """Return the UTC instant of naive `local`; fold 0 is the offset before a gap and the first of two (PEP 495)."""
    return local.replace(tzinfo=tz, fold=0).astimezone(UTC)


def _wall(moment: datetime, tz: ZoneInfo) -> datetime:
    return moment.astimezone(tz).replace(tzinfo=None, fold=0)


def _gap(local: datetime, tz: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the local times between which the clock jumps, for a `local` that the jump skips."""
    before, after = local.replace(tzinfo=tz, fold=0).utcoffset(), local.replace(tzinfo=tz, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    low, high = (local - after).replace(tzinfo=UTC), (local - before).replace(tzinfo=UTC)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0) if middle.replace(microsecond=0) > low else middle
        if middle.astimezone(tz).utcoffset() == before:
            low = middle
        else:
            high = middle
    jump = high.replace(tzinfo=None)
    return jump + before, jump + after


def _span_text(span: Period, tz: ZoneInfo) -> str:
    start, end = _wall(span.start, tz), _wall(span.end, tz)
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}–{until}"
