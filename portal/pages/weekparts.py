"""What the week grid is told, and what it shows: plain values without behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from portal.kernel.errors import noop
from portal.kernel.period import Period

__all__ = [
    "KIND_LABELS",
    "SLOT_MIN",
    "Block",
    "Cell",
    "Grid",
    "Grip",
    "Handle",
    "Head",
    "Kind",
    "Mark",
    "Row",
    "RowView",
    "Tick",
]

_ = noop

SLOT_MIN: Final = 30


class Kind(StrEnum):
    """What fills a stretch of a track. Free time is what the caller says is free: the grid guesses nothing."""

    FREE = "free"
    BOOKED = "booked"
    HELD = "held"
    EXTERNAL = "external"
    MAINTENANCE = "maintenance"
    MINE = "mine"


KIND_LABELS = {
    Kind.FREE: _("可预约"),
    Kind.MINE: _("本单位"),
    Kind.BOOKED: _("已预约"),
    Kind.HELD: _("待确认"),
    Kind.EXTERNAL: _("外部占用"),
    Kind.MAINTENANCE: _("维护"),
}
"""In the order of the legend."""


@dataclass(frozen=True, slots=True)
class Block:
    period: Period
    kind: Kind
    label: str = ""
    """Instead of the kind's own label, in the reader's language; short."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A booking the reader may open from its block: `period` is what it uses, without changeover.

    With `move_url` it can be dragged to other time of its row, in steps of `step_min` of the clock.
    """

    period: Period
    kind: Kind
    label: str
    words: str
    url: str
    move_url: str = ""
    step_min: int = SLOT_MIN


@dataclass(frozen=True, slots=True)
class Row:
    """One resource. `book_url` is its booking form; a cell links there with ``?day=``. Empty: nothing to book."""

    name: str
    sub: str
    url: str
    zone: str
    blocks: Sequence[Block]
    book_url: str = ""
    handles: Sequence[Handle] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """One drawn block: classes, and a label where there is room."""

    css: str
    text: str


@dataclass(frozen=True, slots=True)
class Grip:
    """A handle as drawn. `start` is wall time, `minutes` its length in wall time, `step` in columns; `move_url` may be ""."""

    mark: Mark
    words: str
    url: str
    move_url: str
    start: str
    minutes: int
    step: int


@dataclass(frozen=True, slots=True)
class Cell:
    url: str
    words: str
    marks: tuple[Mark, ...]
    grips: tuple[Grip, ...]
    chosen: bool
    iso: str


@dataclass(frozen=True, slots=True)
class RowView:
    name: str
    sub: str
    url: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Head:
    iso: str
    weekday: str
    date: str
    number: int
    words: str
    today: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tick:
    css: str
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything ``parts/weekgrid.html`` shows. `first` and `columns` count half hours; ISO dates feed ``?day=``."""

    first: int
    columns: int
    heads: tuple[Head, ...]
    ticks: tuple[Tick, ...]
    rows: tuple[RowView, ...]
    legend: tuple[tuple[str, str], ...]
    previous: str
    following: str
    has_today: bool
    title: str
