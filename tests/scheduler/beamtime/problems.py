"""Problems of a size, drawn by seed: what real cycles look like, and small ones that can be searched through whole."""

from __future__ import annotations

import random
from collections.abc import Iterator

from scheduler.beamtime import drafting
from scheduler.beamtime.ports import Line, Placed, Problem, Request

WEEK = 21
"""Shifts of a week: three a day."""


def cycle(*, requests: int, lines: int, shifts: int, seed: int, two_lines: float = 0.0, changeover: int = 0) -> Problem:
    """Return a run cycle with a machine day a week, a shutdown of two days for each line, four operators, six devices.

    About three times as much is asked for as there is; every request has good and bad dates of its own.
    """
    chance = random.Random(seed)
    made = []
    for at in range(lines):
        down = chance.randrange(shifts - 6)
        closed = {one for one in range(shifts) if one % WEEK >= WEEK - 3 or down <= one < down + 6}
        made.append(Line(f"BL{at + 1}", tuple(one for one in range(shifts) if one not in closed), changeover))
    busy = {
        f"operator {at}": frozenset(one for one in range(shifts) if (one // WEEK + at) % 4 == 0 and one % 3 == 2)
        for at in range(4)
    }
    return Problem(tuple(made), tuple(_request(chance, at, lines, shifts, two_lines) for at in range(requests)), busy)


def _request(chance: random.Random, at: int, lines: int, shifts: int, two_lines: float) -> Request:
    codes = {f"BL{chance.randrange(lines) + 1}"}
    if chance.random() < two_lines:
        codes.add(f"BL{chance.randrange(lines) + 1}")
    length, grade = chance.choice([3, 3, 6, 6, 9, 12]), chance.randrange(10, 56)
    bad: set[int] = set()
    for _ in range(chance.randrange(4)):
        first = chance.randrange(shifts)
        bad |= set(range(first, min(first + 9, shifts)))
    good = chance.randrange(max(shifts - 15, 1))
    needs = {f"operator {chance.randrange(4)}"} | (
        {f"device {chance.randrange(6)}"} if chance.random() < 0.4 else set()
    )
    return Request(
        f"P{at:03d}",
        tuple(sorted(codes)),
        length,
        length * grade * 10,
        bonus=length * 30,
        good=frozenset(range(good, good + chance.choice([12, 21, 30]))),
        bad=frozenset(bad),
        needs=frozenset(needs),
        setup=f"arrangement {chance.randrange(4)}",
    )


def best_of_all(problem: Problem) -> int:
    """Return the worth of the best schedule by trying every one. For a handful of requests."""

    def options(request: Request) -> Iterator[Placed | None]:
        if request.fixed is None:
            yield None
        for line in problem.lines:
            if line.code in request.lines:
                for start in drafting.starts(problem, request, line):
                    yield Placed(line.code, start, request.number, request.shifts)

    def search(at: int, placed: list[Placed]) -> int:
        if at == len(problem.requests):
            return drafting.value(problem, placed)
        best = -1
        for one in options(problem.requests[at]):
            tried = placed if one is None else [*placed, one]
            if one is None or not drafting.faults(problem, tried):
                best = max(best, search(at + 1, tried))
        return best

    return search(0, [])
