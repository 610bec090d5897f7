"""The money a programme sets aside for a period: which rows are in force, and what may still be awarded. Pure.

A row bounds what is awarded within its period, whatever the budget appropriated to the books holds besides; rows of
different periods bind together (武汉市资金管理办法 2025: so much a year; 山东省算力券 2025: so much in all). Years are those
of the budget (Budget Law 2018, Article 18: the calendar year), other periods those of the reservation, Beijing time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.programmes.parsing import Problems, shaped
from vouchers.programmes.readers import parsed_day, refuse
from vouchers.programmes.schemes import Pool
from vouchers.programmes.terms import BEIJING, IntakeWindow
from vouchers.programmes.words import Words

__all__ = [
    "PERIOD",
    "ROUND",
    "Room",
    "awardable",
    "budget_year",
    "by_year",
    "in_force",
    "money_of",
    "period",
    "period_words",
    "planned",
    "room",
    "span",
]

TOTAL: Final = "total"
YEAR: Final = "year"
ROUND: Final = "round"
MONTHS: Final = {"month": 1, "quarter": 3}
NAMED: Final = (TOTAL, YEAR, "quarter", "month", ROUND)
PERIOD: Final = r"^(total|year|quarter|month|round|[0-9]{4}(-(0[1-9]|1[0-2]|Q[1-4]))?|[0-9-]{10}/[0-9-]{10})$"
KNOWN: Final = re.compile(PERIOD[:-1] + r"\Z")
ALLOWED: Final = Words(
    "total、year、quarter、month、round、年度 2026、季度 2026-Q1、月份 2026-03，或首末两日 2026-01-01/2026-06-30",
    "total, year, quarter, month, round, a year 2026, a quarter 2026-Q1, a month 2026-03, or two days "
    "2026-01-01/2026-06-30",
)


@shaped({"type": "string", "pattern": PERIOD})
def period(value: Any, path: str, problems: Problems) -> str | None:
    """Read the period of a pool."""
    if isinstance(value, str) and KNOWN.match(value) and ("/" not in value or _days(value)):
        return value
    refuse(value, path, problems, ALLOWED)
    return None


def _days(written: str) -> tuple[date, date] | None:
    first, last = (parsed_day(part) for part in written.split("/"))
    return (first, last) if first and last and first <= last else None


def awardable(row: Pool) -> Money:
    """Return what a row leaves for awards: all of it, less the share that administration takes out of it."""
    return row.amount.share(1 - (row.admin_share or Fraction(0)))


def by_year(row: Pool) -> bool:
    """Tell whether a row is counted by the year of the budget, or over all of them, rather than by the day."""
    return row.period in ("", TOTAL, YEAR) or row.period.isdigit()


def span(row: Pool, *, at: datetime, windows: Sequence[IntakeWindow] = ()) -> Period | None:
    """Return the period of a row counted by the day in which `at` lies; None where it lies in none.

    `round` is the intake window open at `at`; one without an end lasts for ever.
    """
    if row.period == ROUND:
        window = next((window for window in windows if at in window), None)
        return Period(window.starts, window.ends or _midnight(date.max)) if window else None
    day = at.astimezone(BEIJING).date()
    found = _span_of(row.period, day)
    return found if found is not None and at in found else None


def _span_of(written: str, day: date) -> Period | None:
    if written in MONTHS:
        size = MONTHS[written]
        return _months(day.year, (day.month - 1) // size * size + 1, size)
    if "/" in written:
        days = _days(written)
        return Period(_midnight(days[0]), _midnight(days[1] + timedelta(days=1))) if days else None
    year, _dash, part = written.partition("-")
    if not part:
        return None
    if part.startswith("Q"):
        return _months(int(year), int(part[1]) * 3 - 2, 3)
    return _months(int(year), int(part), 1)


def _months(year: int, month: int, size: int) -> Period:
    over, after = divmod(month - 1 + size, 12)
    return Period(_midnight(date(year, month, 1)), _midnight(date(year + over, after + 1, 1)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), BEIJING)


def money_of(rows: Iterable[Pool], year: int) -> Money | None:
    """Return what the rows set aside for one budget year; None where they name no money of that year.

    A row of that very year counts before one of every year; else what the rows of days within it add up to.
    """
    rows = list(rows)
    for wanted in (str(year), YEAR):
        named = [row for row in rows if row.period == wanted]
        if named:
            return awardable(named[0])
    parts = [row for row in rows if _lies_in(row.period, year)]
    return Money(sum(awardable(row).fen for row in parts)) if parts else None


def _lies_in(written: str, year: int) -> bool:
    return written[:5] == f"{year}-" and ("/" not in written or written[11:16] == f"{year}-")


def budget_year(rows: Iterable[Pool], *, at: datetime, own: int, opened: Collection[int]) -> int:
    """Return the budget year an award made at `at` is drawn from.

    `own` is the year the version was given its budget for, `opened` the years the programme has a budget of. A later
    year counts once it has come and the rows name money for it, or a budget for it was opened.
    """
    year = at.astimezone(BEIJING).year
    if year == own or not list(rows := list(rows)):
        return own
    if year in opened and money_of(rows, year) is not None:
        return year
    return year if year > own and money_of(rows, year) is not None else own


def in_force(row: Pool, *, at: datetime, year: int, windows: Sequence[IntakeWindow] = ()) -> bool:
    """Tell whether a row bounds an award made at `at` from the budget of `year`."""
    if by_year(row):
        return not row.period.isdigit() or int(row.period) == year
    return span(row, at=at, windows=windows) is not None


def planned(rows: Iterable[Pool], *, at: datetime, windows: Sequence[IntakeWindow] = ()) -> Money | None:
    """Return the most the rows in force at `at` let one division of the money give; None where none is."""
    year = at.astimezone(BEIJING).year
    found = [awardable(row) for row in rows if row.period == ROUND or in_force(row, at=at, year=year, windows=windows)]
    return min(found, default=None)


@dataclass(frozen=True, slots=True)
class Room:
    """A row in force, with what was awarded under it so far."""

    row: Pool
    drawn: Money

    @property
    def left(self) -> Money:
        return Money(max(0, awardable(self.row).fen - self.drawn.fen))


def room(rows: Sequence[Pool], found: Iterable[Room], *, held: Money) -> Money:
    """Return what may be awarded now: what the books hold, and no more than any row in force leaves.

    Where the rows name only certain periods and none of them is in force, there is nothing to award from.
    """
    found = list(found)
    if rows and not found:
        return Money(0)
    return Money(min([held.fen, *(one.left.fen for one in found)]))


PERIODS: Final = {
    "": Words("", ""),
    TOTAL: Words("总计", "in all"),
    YEAR: Words("每年", "a year"),
    "quarter": Words("每季度", "a quarter"),
    "month": Words("每月", "a month"),
    ROUND: Words("每批", "a round"),
}


def period_words(written: str) -> Words:
    """Return a period in words; empty for none."""
    if written in PERIODS:
        return PERIODS[written]
    if "/" in written:
        first, last = written.split("/")
        return Words(f"{first} 至 {last}", f"{first} to {last}")
    year, _dash, part = written.partition("-")
    if not part:
        return Words(f"{year} 年度", f"budget year {year}")
    if part.startswith("Q"):
        return Words(f"{year} 年第 {part[1]} 季度", f"quarter {part[1]} of {year}")
    return Words(f"{year} 年 {int(part)} 月", f"{year}-{part}")
