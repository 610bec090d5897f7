"""The schedule board as a table: each beamline a row of shifts, each visit or draft place a cell over its shifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from portal.pages.templatetags.show import bilingual
from scheduler.beamtime.planning import Block, Board, Row
from scheduler.beamtime.ports import Request

__all__ = ["Cell", "Day", "Line", "days_of", "lines_of", "ranges", "zone_name"]


@dataclass(frozen=True, slots=True)
class Day:
    """One local day of the head: how many of the cycle's shifts start on it."""

    day: date
    shifts: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: `span` shifts from number `at`. `kind`: open, closed, change (change-over), place or visit."""

    kind: str
    at: int
    span: int = 1
    css: str = ""
    block: Block | None = None
    number: str = ""
    name: str = ""
    who: str = ""
    bad: str = ""
    good: str = ""


@dataclass(slots=True)
class Line:
    """A beamline with its tracks: one, or more where places lie over each other."""

    code: str
    name: str
    tracks: list[list[Cell]] = field(default_factory=list)


def zone_name(board: Board) -> str:
    return board.cycle.row.facility.zone


def days_of(board: Board) -> list[Day]:
    """Return the days of the head, by the local day a shift starts on."""
    zone = ZoneInfo(zone_name(board))
    found = groupby(board.cycle.shifts, key=lambda one: one.period.start.astimezone(zone).date())
    return [Day(day, len(list(shifts)), at == 0 or day.day == 1) for at, (day, shifts) in enumerate(found)]


def ranges(shifts: frozenset[int]) -> str:
    """Write shifts as ``3-5 9-9``, for scripts."""
    runs: list[list[int]] = []
    for at in sorted(shifts):
        if runs and runs[-1][1] == at - 1:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return " ".join(f"{first}-{last}" for first, last in runs)


def lines_of(board: Board, *, picked: str = "") -> list[Line]:
    """Return the board's rows. Of what is `picked`, its line shows the team's good and bad shifts."""
    return [_line(board, row, picked=picked) for row in board.rows]


def _line(board: Board, row: Row, *, picked: str) -> Line:
    line = Line(row.code, bilingual(row))
    asked = board.requests.get(picked)
    marks = asked if asked is not None and row.code in asked.lines else None
    for blocks in _tracks(row.blocks):
        line.tracks.append(list(_cells(board, row, blocks, marks=marks, picked=picked, is_first=not line.tracks)))
    return line


def _tracks(blocks: Sequence[Block]) -> list[list[Block]]:
    """Spread blocks over as few tracks as keep them from lying over each other; at least one."""
    found: list[list[Block]] = [[]]
    for one in sorted(blocks, key=lambda block: (block.start, block.number)):
        free = next((row for row in found if not row or row[-1].start + row[-1].shifts <= one.start), None)
        if free is None:
            found.append([one])
        else:
            free.append(one)
    return found


def _cells(
    board: Board, row: Row, blocks: Sequence[Block], *, marks: Request | None, picked: str, is_first: bool
) -> Iterator[Cell]:
    starts = {one.start: one for one in blocks}
    change = _changes(board, row, blocks)
    at, end = 0, len(board.cycle.shifts)
    while at < end:
        if at in starts:
            one = starts[at]
            yield _cell(board, one, picked=picked)
            at += one.shifts
            continue
        kind = "change" if at in change else "open" if at in row.open else "closed"
        css = ""
        if marks is not None and kind != "closed":
            css = "bad" if at in marks.bad else "good" if at in marks.good else ""
        yield Cell(kind if is_first else "", at, css=css)
        at += 1


def _changes(board: Board, row: Row, blocks: Sequence[Block]) -> set[int]:
    """Return the shifts kept free to change the set-up of the line."""
    found: set[int] = set()
    for one, two in pairwise(blocks):
        setups = [board.requests[block.number].setup for block in (one, two) if block.number in board.requests]
        if row.changeover and len(set(setups)) > 1:
            end = one.start + one.shifts
            found |= set(range(end, min(end + row.changeover, two.start)))
    return found


def _cell(board: Board, one: Block, *, picked: str) -> Cell:
    proposal = one.allocation.request.proposal
    asked = board.requests.get(one.number)
    state: list[Any] = []
    if one.faults:
        state.append("broken")
    if one.place is not None and one.place.is_fixed:
        state.append("fixed")
    if one.visit is not None:
        state.append(one.visit.state)
    if one.number == picked:
        state.append("picked")
    return Cell(
        kind="place" if one.place is not None else "visit",
        at=one.start,
        span=one.shifts,
        css=" ".join(state),
        block=one,
        number=one.number,
        name=proposal.number,
        who="" if proposal.is_confidential else bilingual(proposal.organisation),
        bad=ranges(asked.bad) if asked is not None else "",
        good=ranges(asked.good) if asked is not None else "",
    )
