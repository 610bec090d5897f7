"""Shape many resources × days into the week grid: pure data in, view structs out.

Time runs in half-hour columns of wall time in each resource's own zone. A block is placed by two classes, ``s4 w3``:
start column and number of columns (``static/css/weekgrid.css`` lists all 48), so that no style is ever inline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from portal.pages.templatetags.show import MONTHS, WEEKDAYS, day_text, is_english
from portal.pages.weekparts import (
    KIND_LABELS,
    SLOT_MIN,
    Block,
    Cell,
    Grid,
    Grip,
    Handle,
    Head,
    Kind,
    Mark,
    Row,
    RowView,
    Tick,
)

__all__ = [
    "DAYTIME",
    "Block",
    "Cell",
    "Grid",
    "Handle",
    "Head",
    "Kind",
    "Mark",
    "Row",
    "RowView",
    "Tick",
    "shape",
    "week_of",
]

SLOTS = 24 * 60 // SLOT_MIN
DEFAULT_WINDOW = (16, 44)
"""08:00–22:00, shown when nothing is open in the whole week."""
DAYTIME = (14, 44)
"""07:00 to 22:00: what a page of many instruments shows unless the whole day is asked for."""
TRACK_PX = 164
"""How wide a day's track is at least where seven days show (1440 px); decides which labels have room."""
ALONE_PX = 330
"""How wide it is at least where one day shows (a phone)."""


def week_of(day: date) -> list[date]:
    """Return Monday to Sunday of the week `day` is in."""
    monday = day - timedelta(days=day.weekday())
    return [monday + timedelta(days=n) for n in range(7)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block's part within one local day, in minutes of wall time."""

    block: Block
    start_min: int
    end_min: int
    from_before: bool
    goes_on: bool


def _pieces(row: Row, zone: tzinfo, day: date) -> list[_Piece]:
    """Return what of the row's blocks falls on `day`, by wall time: a clock change moves no label."""
    pieces = []
    for block in row.blocks:
        start, end = block.period.start.astimezone(zone), block.period.end.astimezone(zone)
        if start.date() > day or end.date() < day:
            continue
        before, after = start.date() < day, end.date() > day
        start_min = 0 if before else start.hour * 60 + start.minute
        end_min = 24 * 60 if after else end.hour * 60 + end.minute + (1 if end.second else 0)
        if end_min > start_min:
            pieces.append(_Piece(block, start_min, end_min, before, after and end > _midnight(day, zone)))
    return sorted(pieces, key=lambda piece: (piece.start_min, piece.end_min))


def _midnight(day: date, zone: tzinfo) -> datetime:
    after = day + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=zone)


def _window(pieces: Iterable[_Piece]) -> tuple[int, int]:
    """Return the columns from the earliest to the latest time that is open or ours, widened to even hours."""
    kept = [piece for piece in pieces if piece.block.kind in {Kind.FREE, Kind.MINE}]
    if not kept:
        return DEFAULT_WINDOW
    first = min(piece.start_min for piece in kept) // 120 * 4
    last = -(-max(piece.end_min for piece in kept) // 120) * 4
    return first, last


def _fits(text: str, columns: int, window: tuple[int, int], track_px: int) -> bool:
    """Say whether a label has room: Han characters are 12 px wide in the grid, Latin ones about 6.5."""
    wide = sum(12.0 if ord(letter) > 0x2E7F else 6.5 for letter in text)
    return wide + 6 <= columns * track_px / (window[1] - window[0])


def _mark(piece: _Piece, window: tuple[int, int], track_px: int = TRACK_PX) -> Mark | None:
    """Place a piece: taken time is rounded outwards to whole columns, free time inwards; None if nothing is left."""
    first, last = window
    if piece.block.kind is Kind.FREE:
        start, end = -(-piece.start_min // SLOT_MIN), piece.end_min // SLOT_MIN
    else:
        start, end = piece.start_min // SLOT_MIN, -(-piece.end_min // SLOT_MIN)
    left, right = max(start, first), min(end, last)
    if left >= right:
        return None
    css = f"b {piece.block.kind} s{left - first} w{right - left}"
    if piece.from_before or start < first:
        css += " cl"
    if piece.goes_on or end > last:
        css += " cr"
    text = piece.block.label or gettext(KIND_LABELS[piece.block.kind])
    return Mark(css, text if piece.block.kind is not Kind.FREE and _fits(text, right - left, window, track_px) else "")


def _open(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Return the free pieces, joined where only taken time lies between: one calm bar under the taken blocks.

    What is drawn later covers it, and the words are told from the pieces as given: nothing taken is called free.
    """
    joined: list[_Piece] = []
    reach, waiting = -1, False
    for piece in pieces:
        if piece.start_min > reach:
            waiting = False
        if piece.block.kind is Kind.FREE:
            if joined and (waiting or piece.start_min <= joined[-1].end_min):
                joined[-1] = replace(joined[-1], end_min=max(piece.end_min, joined[-1].end_min), goes_on=piece.goes_on)
            else:
                joined.append(piece)
            waiting = True
        reach = max(reach, piece.end_min)
    return joined


def _wall(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _words(row: Row, day: date, pieces: Sequence[_Piece]) -> str:
    """List the day in words, free time first: what the picture shows, for whoever does not see it."""
    english = is_english()
    comma, stop, colon = (", ", "; ", ": ") if english else ("、", "；", "：")
    said = []
    for kind, text in KIND_LABELS.items():
        spans = [f"{_wall(p.start_min)}–{_wall(p.end_min)}" for p in pieces if p.block.kind is kind]
        if spans:
            said.append(f"{gettext(text)} {comma.join(spans)}")
    if not any(piece.block.kind is Kind.FREE for piece in pieces):
        said.insert(0, gettext("无可预约时段"))
    when = f"{WEEKDAYS['en'][day.weekday()]} {day.day}" if english else f"周{WEEKDAYS['zh'][day.weekday()]} {day.day}日"
    return f"{row.name} {when}{colon}{stop.join(said)}"


def _cell(
    row: Row, day: date, pieces: Sequence[_Piece], span: tuple[int, int], *, chosen: bool, now: int, track_px: int
) -> Cell:
    """Draw one track: free time, taken time over it, and the present as a line (`now` in minutes, -1 on other days)."""
    free = [mark for piece in _open(pieces) if (mark := _mark(piece, span))]
    grips = _grips(row, day, span, track_px)
    taken = [
        Mark(mark.css, "") if grips and piece.block.kind in {Kind.MINE, Kind.BOOKED, Kind.HELD} else mark
        for piece in pieces
        if piece.block.kind is not Kind.FREE and (mark := _mark(piece, span, track_px))
    ]
    url = ""
    if free and row.book_url:
        joint = "&" if "?" in row.book_url else "?"
        url = f"{row.book_url}{joint}{urlencode({'day': day.isoformat()})}"
    slot = now // SLOT_MIN
    line = [Mark(f"now s{slot - span[0]}", "")] if now >= 0 and span[0] <= slot < span[1] else []
    return Cell(url, _words(row, day, pieces), (*free, *line, *taken), grips, chosen, day.isoformat())


def _grips(row: Row, day: date, span: tuple[int, int], track_px: int) -> tuple[Grip, ...]:
    """Draw the day's handles. One that lasts beyond the day is a link only: it is moved on its form."""
    grips = []
    zone = ZoneInfo(row.zone)
    for handle in row.handles:
        alone = Row(row.name, row.sub, row.url, row.zone, [Block(handle.period, handle.kind, handle.label)])
        for piece in _pieces(alone, zone, day):
            mark = _mark(piece, span, track_px)
            if mark is None:
                continue
            whole = not piece.from_before and not piece.goes_on
            grips.append(
                Grip(
                    mark=mark,
                    words=handle.words,
                    url=handle.url,
                    move_url=handle.move_url if whole else "",
                    start=_wall(piece.start_min),
                    minutes=piece.end_min - piece.start_min,
                    step=math.lcm(handle.step_min, SLOT_MIN) // SLOT_MIN,
                )
            )
    return tuple(grips)


def _minute(now: datetime, zone: str, day: date) -> int:
    local = now.astimezone(ZoneInfo(zone))
    return local.hour * 60 + local.minute if local.date() == day else -1


def _head(day: date, today: date, chosen: date) -> Head:
    english = is_english()
    return Head(
        iso=day.isoformat(),
        weekday=WEEKDAYS["en"][day.weekday()] if english else f"周{WEEKDAYS['zh'][day.weekday()]}",
        date=f"{day.day} {MONTHS[day.month - 1]}" if english else f"{day.month}/{day.day}",
        number=day.day,
        words=day_text(day),
        today=day == today,
        chosen=day == chosen,
    )


def _span_text(first: date, last: date) -> str:
    """Return ``2026年11月23日–29日`` or ``23–29 Nov 2026``, naming month and year twice only where they differ."""
    if first == last:
        return day_text(first)
    if (first.year, first.month) != (last.year, last.month):
        return f"{day_text(first, weekday=False)} – {day_text(last, weekday=False)}"
    if is_english():
        return f"{first.day}–{day_text(last, weekday=False)}"
    return f"{day_text(first, weekday=False)}–{last.day}日"


def shape(
    rows: Sequence[Row],
    days: Sequence[date],
    *,
    now: datetime,
    chosen: date | None = None,
    window: tuple[int, int] | None = None,
) -> Grid:
    """Return the grid of `rows` over `days` (consecutive, at least one).

    `now` carries the zone in which the page says “today”. `chosen` is the one day a phone shows; by default today, else
    the first day. `window` is [first, last) in half hours of the day, 0–48; without it the grid spans what is open on
    any day, in even hours. Blocks reaching beyond their day or the window are cut and marked.
    """
    today = now.date()
    picked = chosen if chosen in days else today if today in days else days[0]
    assert picked is not None
    cut = [[_pieces(row, ZoneInfo(row.zone), day) for day in days] for row in rows]
    span = window or _window(piece for per_row in cut for per_day in per_row for piece in per_day)
    used = {piece.block.kind for per_row in cut for per_day in per_row for piece in per_day} | {Kind.FREE}
    views = tuple(
        RowView(
            row.name,
            row.sub,
            row.url,
            tuple(
                _cell(
                    row,
                    day,
                    pieces,
                    span,
                    chosen=day == picked,
                    now=_minute(now, row.zone, day),
                    track_px=TRACK_PX if len(days) > 1 else ALONE_PX,
                )
                for day, pieces in zip(days, per_row, strict=True)
            ),
        )
        for row, per_row in zip(rows, cut, strict=True)
    )
    step = timedelta(days=len(days))
    return Grid(
        first=span[0],
        columns=span[1] - span[0],
        heads=tuple(_head(day, today, picked) for day in days),
        ticks=tuple(
            Tick(f"s{slot - span[0]}" + ("" if slot % 8 == 0 else " fine"), str(slot // 2))
            for slot in range(-(-span[0] // 4) * 4, span[1], 4)
        ),
        rows=views,
        legend=tuple((kind.value, gettext(text)) for kind, text in KIND_LABELS.items() if kind in used),
        previous=(picked - step).isoformat(),
        following=(picked + step).isoformat(),
        has_today=today in days,
        title=_span_text(days[0], days[-1]),
    )
