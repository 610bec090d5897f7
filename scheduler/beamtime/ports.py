"""What a planner is asked and what it answers, in shifts counted from the start of the run cycle. Pure.

All beamlines of a facility share one grid of shifts, so time is a whole number: shift 0 is the first of the cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Draft", "Fault", "Line", "Placed", "Planner", "Problem", "Request"]


@dataclass(frozen=True, slots=True)
class Line:
    """A beamline: the shifts in which users can have it, ascending. `changeover`: shifts between two different set-ups.

    `people` are those who can run it, each with the shifts in which they are there: one of them stays for the whole of a
    visit and is on one line at a time. None: nobody has to be there.
    """

    code: str
    open: tuple[int, ...]
    changeover: int = 0
    people: tuple[tuple[str, frozenset[int]], ...] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Beam time to be placed: `shifts` in one piece on one of `lines`.

    `value` is what placing it is worth, in whole points; `bonus` comes to it when all of it lies in `good` shifts. It
    never lies in a `bad` one. `needs` are devices, operators and other things only one visit has at a time. `setup` names
    its arrangement of the line. `fixed` is where a planner has put it: line and first shift; it stays there.
    """

    number: str
    lines: tuple[str, ...]
    shifts: int
    value: int
    bonus: int = 0
    good: frozenset[int] = frozenset()
    bad: frozenset[int] = frozenset()
    needs: frozenset[str] = frozenset()
    setup: str = ""
    fixed: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be scheduled. `busy` says in which shifts a needed thing is not there at all."""

    lines: tuple[Line, ...]
    requests: tuple[Request, ...]
    busy: dict[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """A request in its place: `shifts` from `start` on `line`."""

    line: str
    start: int
    number: str
    shifts: int

    @property
    def end(self) -> int:
        return self.start + self.shifts


@dataclass(frozen=True, slots=True)
class Draft:
    """A schedule with its proof: `value` was reached, no schedule can be worth more than `bound`. `unplaced`: the rest."""

    placed: tuple[Placed, ...]
    unplaced: tuple[str, ...]
    value: int
    bound: int
    seconds: float

    @property
    def gap(self) -> float:
        """How far the value may be from the best, 0 to 1: nothing means that nothing better exists."""
        return 0.0 if self.bound <= self.value else (self.bound - self.value) / self.bound


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong with a placed request: `code`, and the other request or thing it meets, if any."""

    number: str
    code: str
    other: str = ""


class Planner(Protocol):
    """Something that drafts a schedule."""

    def draft(
        self,
        problem: Problem,
        *,
        start: Sequence[Placed],
        seconds: float,
        told: Callable[[int, int], None] | None = None,
    ) -> Draft:
        """Improve `start` for at most `seconds` of wall time; `told(value, bound)` hears of every better schedule.

        Every fixed request stays where it is, every answer has no fault by `drafting.faults`. Raises Infeasible where what
        is fixed contradicts itself.
        """
        ...
