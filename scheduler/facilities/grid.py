"""Shifts of a facility: whole pieces of wall time that beam time is given in. Pure.

Source: beam time is counted in shifts of eight hours and normally given in multiples of three, one working day of the
machine (user guides of ESRF, Diamond, APS; SSRF); length, names and multiple are the facility's own data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.kernel.errors import Invalid, Reason, Refused, noop
from portal.kernel.period import Period

__all__ = ["BadGrid", "NoShifts", "Shift", "ShiftGrid", "offered", "shifts_in"]

_ = noop

DAY_MIN: Final = 24 * 60


class BadGrid(Refused):
    code = "facility.grid"
    message = _("班次设置有误。")


class NoShifts(Invalid):
    code = "facility.no_shifts"
    message = _("申请的班次数至少为 1。")


@dataclass(frozen=True, slots=True)
class ShiftGrid:
    """Which shifts a day has: the first starts `first_min` minutes after local midnight, each lasts `length_min` minutes.

    `names` has one name for each shift of a day, in the order of the clock. `multiple`: shifts are usually given by so
    many together. Raises BadGrid with everything that is wrong.
    """

    zone: str
    first_min: int
    length_min: int
    names: tuple[str, ...]
    multiple: int = 1

    def __post_init__(self) -> None:
        if wrong := _wrong(self):
            raise BadGrid(wrong)

    @property
    def per_day(self) -> int:
        """How many shifts a day of twenty-four hours has."""
        return DAY_MIN // self.length_min


@dataclass(frozen=True, slots=True, order=True)
class Shift:
    """One shift. `day` is the local day its working day starts on, `turn` its place in that day, from 0."""

    period: Period
    day: date
    turn: int


def _wrong(grid: ShiftGrid) -> list[Reason]:
    found: list[Reason] = []
    try:
        ZoneInfo(grid.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Asia" is a directory of zones
        found.append(
            Reason(
                "facility.zone", _("没有时区 %(zone)s。"), _("请填写如 Asia/Shanghai。"), "zone", {"zone": grid.zone}
            )
        )
    if not 60 <= grid.length_min <= DAY_MIN or DAY_MIN % grid.length_min:
        text = _("班次时长 %(minutes)s 分钟不能整分一天。")
        found.append(
            Reason(
                "facility.shift_length", text, _("请填写如 480（8 小时）。"), "length_min", {"minutes": grid.length_min}
            )
        )
    elif len(grid.names) != grid.per_day or not all(name.strip() for name in grid.names):
        text = _("一天有 %(count)s 个班次，每个都要有名称。")
        found.append(Reason("facility.shift_names", text, _("请逐个填写班次名称。"), "names", {"count": grid.per_day}))
    if not 0 <= grid.first_min < min(DAY_MIN, max(grid.length_min, 1)):
        text = _("第一班须在零点之后、一个班次时长之内开始。")
        found.append(Reason("facility.first_shift", text, _("请填写零点后的分钟数。"), "first_min"))
    if not 1 <= grid.multiple <= 99:
        found.append(Reason("facility.multiple", _("班次倍数须在 1 到 99 之间。"), "", "multiple"))
    return found


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    local = datetime.combine(day + timedelta(days=minutes // DAY_MIN), time(), zone)
    wall = local.replace(hour=minutes % DAY_MIN // 60, minute=minutes % 60)
    # Through UTC and back: a wall time that a clock change leaves out becomes the moment of the change.
    return wall.astimezone(UTC)


def shifts_in(grid: ShiftGrid, window: Period) -> tuple[Shift, ...]:
    """Return every shift that lies whole in `window`, by time.

    Boundaries are wall times, so where clocks change a shift is an hour shorter or longer (one of an hour may vanish).
    """
    return tuple(_within(grid, window))


def _within(grid: ShiftGrid, window: Period) -> Iterator[Shift]:
    zone = _zone(grid.zone)
    day = window.start.astimezone(zone).date() - timedelta(days=1)
    while True:
        for turn in range(grid.per_day):
            start = _moment(day, grid.first_min + turn * grid.length_min, zone)
            end = _moment(day, grid.first_min + (turn + 1) * grid.length_min, zone)
            if end > window.end:
                return
            if start >= window.start and start < end:
                yield Shift(Period(start, end), day, turn)
        day += timedelta(days=1)


def offered(wanted: int, *, multiple: int) -> tuple[int, ...]:
    """Return how many shifts can be offered where `wanted` are asked for: the multiples next below and above.

    Seven in threes are six or nine (E1); six are six. Another number takes a planner's reason. Raises NoShifts.
    """
    if wanted < 1:
        raise NoShifts(field="shifts")
    below, above = wanted // multiple * multiple, -(-wanted // multiple) * multiple
    return tuple(sorted({number for number in (below, above) if number}))
