"""Shape many resources × the days of a month: how many hours of each day are free. Pure data in, view structs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from portal.pages.templatetags.show import MONTHS, WEEKDAYS, day_text, is_english
from portal.pages.weekgrid import Kind, Row

__all__ = ["Cell", "Head", "Month", "MonthRow", "days_of", "shape"]

DAY = timedelta(days=1)
LEVELS = (2, 4, 8)
"""From how many free hours a day is drawn stronger."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One day of one resource: free hours as people write them (empty for none), where to book, how strong to draw."""

    text: str
    url: str
    css: str


@dataclass(frozen=True, slots=True)
class MonthRow:
    name: str
    sub: str
    url: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Head:
    iso: str
    number: int
    weekday: str
    words: str
    css: str


@dataclass(frozen=True, slots=True)
class Month:
    """Everything ``instruments/month.html`` shows. ISO dates feed ``?day=``."""

    title: str
    heads: tuple[Head, ...]
    rows: tuple[MonthRow, ...]
    previous: str
    following: str
    has_today: bool


def days_of(day: date) -> list[date]:
    """Return the days of the month `day` is in."""
    first = day.replace(day=1)
    after = (first + 31 * DAY).replace(day=1)
    return [first + n * DAY for n in range((after - first).days)]


def free_minutes(row: Row) -> Mapping[date, int]:
    """Return how many minutes of wall time are free on each local day that has any."""
    zone = ZoneInfo(row.zone)
    found: dict[date, int] = {}
    for block in row.blocks:
        if block.kind is not Kind.FREE:
            continue
        start, end = block.period.start.astimezone(zone), block.period.end.astimezone(zone)
        while start < end:
            midnight = _midnight(start.date() + DAY, zone)
            until = min(end, midnight)
            minutes = int((until - start).total_seconds() // 60)
            found[start.date()] = found.get(start.date(), 0) + minutes
            start = until
    return found


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone)


def shape(rows: Sequence[Row], day: date, *, now: datetime) -> Month:
    """Return the month `day` is in; `now` carries the zone in which the page says “today”."""
    days = days_of(day)
    english = is_english()
    today = now.date()
    views = []
    for row in rows:
        free = free_minutes(row)
        cells = tuple(_cell(row, each, free.get(each, 0), past=each < today) for each in days)
        views.append(MonthRow(row.name, row.sub, row.url, cells))
    return Month(
        title=f"{MONTHS[days[0].month - 1]} {days[0].year}" if english else f"{days[0].year}年{days[0].month}月",
        heads=tuple(
            Head(
                each.isoformat(),
                each.day,
                WEEKDAYS["en"][each.weekday()][:2] if english else WEEKDAYS["zh"][each.weekday()],
                day_text(each),
                _look_of(each, today=today),
            )
            for each in days
        ),
        rows=tuple(views),
        previous=(days[0] - DAY).isoformat(),
        following=(days[-1] + DAY).isoformat(),
        has_today=today in days,
    )


def _look_of(day: date, *, today: date) -> str:
    """Say how a day's head looks. A phone, which shows few days at once, leaves out those that are past."""
    if day == today:
        return "today"
    return " ".join(css for css, is_so in (("rest", day.weekday() >= 5), ("past", day < today)) if is_so)


def _cell(row: Row, day: date, minutes: int, *, past: bool) -> Cell:
    if not minutes:
        return Cell("", "", "past" if past else "")
    url = ""
    if row.book_url:
        joint = "&" if "?" in row.book_url else "?"
        url = f"{row.book_url}{joint}{urlencode({'day': day.isoformat()})}"
    strength = sum(minutes >= hours * 60 for hours in LEVELS)
    return Cell(f"{minutes / 60:.1f}".removesuffix(".0"), url, f"m{strength} past" if past else f"m{strength}")
