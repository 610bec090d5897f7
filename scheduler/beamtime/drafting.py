"""Draft a schedule without a solver, find what is wrong with one, prove how good one can be at most. Pure.

Source: market-like planning of beam time by optimisation instead of by hand; what a planner drags is checked by the same
`faults` that the solver's answers are held to, and at the end by the exclusion constraint of the claim table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import pairwise

from portal.kernel.errors import Conflict, noop
from scheduler.beamtime.ports import Fault, Line, Placed, Problem, Request

__all__ = ["Infeasible", "bound", "faults", "greedy", "staff", "starts", "value", "worth"]

_ = noop


class Infeasible(Conflict):
    code = "beamtime.infeasible"
    message = _("固定的安排互相矛盾，排不出计划。请先解开其中一项。")


def _run_lengths(line: Line) -> dict[int, int]:
    """Return for each open shift how many are open from it on without a gap."""
    length: dict[int, int] = {}
    for shift in reversed(line.open):
        length[shift] = length.get(shift + 1, 0) + 1
    return length


def starts(problem: Problem, request: Request, line: Line) -> list[int]:
    """Return where the request may start on the line, whatever the others do: open, none of it bad, its needs there."""
    away = set(request.bad)
    for need in request.needs:
        away |= problem.busy.get(need, frozenset())
    lengths = _run_lengths(line)
    found = [
        shift
        for shift in line.open
        if lengths[shift] >= request.shifts
        and away.isdisjoint(range(shift, shift + request.shifts))
        and _is_run(line, shift, request.shifts)
    ]
    if request.fixed is not None:
        code, start = request.fixed
        return [start] if code == line.code and start in found else []
    return found


def _is_run(line: Line, start: int, shifts: int) -> bool:
    """Say whether somebody can run the line all the time, or nobody has to."""
    span = range(start, start + shifts)
    return line.people is None or any(there.issuperset(span) for _who, there in line.people)


def staff(
    problem: Problem,
    placed: Iterable[Placed],
    *,
    chosen: Mapping[str, str] | None = None,
    preferred: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return who runs each visit, by its number; those left out have nobody. Lines that need nobody are not in it.

    Who was `chosen` stays where that can be; who is `preferred` does where nobody else needs them. Of several the one who
    can stand in on the fewest lines comes first; where all who could run a visit are taken, they change places with others.
    """
    people = {line.code: line.people or () for line in problem.lines}
    wanted = Counter(who for line in problem.lines for who, _there in line.people or ())
    seats = _Seats(people, wanted, preferred or {})
    kept = chosen or {}
    ordered = sorted(placed, key=lambda one: (one.start, one.line, one.number))
    for one in ordered:
        if kept.get(one.number) in seats.able(one) and not seats.met(one, kept[one.number]):
            seats.give(one, kept[one.number], is_kept=True)
    for one in ordered:
        if one.number not in seats.of:
            seats.find(one, frozenset())
    return seats.of


class _Seats:
    """Who runs what, as it is being found: whole visits, one line at a time."""

    def __init__(
        self,
        people: Mapping[str, Sequence[tuple[str, frozenset[int]]]],
        wanted: Mapping[str, int],
        preferred: Mapping[str, str],
    ) -> None:
        self.people, self.wanted, self.preferred = people, wanted, preferred
        self.of: dict[str, str] = {}
        self.by: dict[str, list[Placed]] = defaultdict(list)
        self.kept: set[str] = set()

    def able(self, one: Placed) -> list[str]:
        """Return who is there all the time, the one to take first at the front."""
        span = range(one.start, one.end)
        able = {who for who, there in self.people.get(one.line, ()) if there.issuperset(span)}
        first = self.preferred.get(one.number)
        return sorted(able, key=lambda who: (who != first, self.wanted[who], who))

    def met(self, one: Placed, who: str) -> list[Placed]:
        return [other for other in self.by[who] if other.start < one.end and one.start < other.end]

    def give(self, one: Placed, who: str, *, is_kept: bool = False) -> None:
        self.of[one.number] = who
        self.by[who].append(one)
        if is_kept:
            self.kept.add(one.number)

    def find(self, one: Placed, tried: frozenset[str]) -> bool:
        """Give the visit somebody: who is free, else somebody whose other visits find others (an augmenting path)."""
        able = self.able(one)
        for who in able:
            if not self.met(one, who):
                self.give(one, who)
                return True
        for who in able:
            others = self.met(one, who)
            if who in tried or any(other.number in self.kept for other in others):
                continue
            before = dict(self.of), {name: list(row) for name, row in self.by.items()}
            for other in others:
                self.by[who].remove(other)
                del self.of[other.number]
            self.give(one, who)
            if all(self.find(other, tried | {who}) for other in others):
                return True
            self.of, self.by = before[0], defaultdict(list, before[1])
        return False


def worth(request: Request, start: int) -> int:
    """Return what the request is worth there: its value, with the bonus where all of it lies in good shifts."""
    is_good = bool(request.good) and request.good.issuperset(range(start, start + request.shifts))
    return request.value + (request.bonus if is_good else 0)


def value(problem: Problem, placed: Iterable[Placed]) -> int:
    by_number = {one.number: one for one in problem.requests}
    return sum(worth(by_number[one.number], one.start) for one in placed)


def faults(
    problem: Problem,
    placed: Sequence[Placed],
    *,
    chosen: Mapping[str, str] | None = None,
    preferred: Mapping[str, str] | None = None,
) -> list[Fault]:
    """Return everything that is wrong with a schedule, by request: what a planner sees at once when she drags.

    closed: not all of it in user beam. bad_dates, busy (with the thing), overlap and changeover (with the other request),
    shared (a thing two visits need at once, with the other request), length, line, moved (fixed elsewhere), twice, nobody
    (no one can run the line all the time; `chosen` and `preferred` as in `staff`).
    """
    by_number = {one.number: one for one in problem.requests}
    lines = {line.code: line for line in problem.lines}
    found: set[Fault] = set()
    seen: set[str] = set()
    for one in placed:
        request = by_number[one.number]
        span = set(range(one.start, one.end))
        if one.number in seen:
            found.add(Fault(one.number, "twice"))
        seen.add(one.number)
        if one.line not in request.lines:
            found.add(Fault(one.number, "line", one.line))
        if one.shifts != request.shifts:
            found.add(Fault(one.number, "length"))
        if request.fixed is not None and request.fixed != (one.line, one.start):
            found.add(Fault(one.number, "moved"))
        if one.line not in lines or not span.issubset(lines[one.line].open):
            found.add(Fault(one.number, "closed"))
        if span & request.bad:
            found.add(Fault(one.number, "bad_dates"))
        found.update(
            Fault(one.number, "busy", need) for need in request.needs if span & problem.busy.get(need, frozenset())
        )
    found |= _on_one_line(placed, by_number, lines)
    found |= _shared(placed, by_number)
    run = staff(problem, placed, chosen=chosen, preferred=preferred)
    attended = {code for code, line in lines.items() if line.people is not None}
    found.update(Fault(one.number, "nobody") for one in placed if one.line in attended and one.number not in run)
    return sorted(found)


def _on_one_line(placed: Sequence[Placed], by_number: Mapping[str, Request], lines: Mapping[str, Line]) -> set[Fault]:
    found: set[Fault] = set()
    ordered: dict[str, list[Placed]] = defaultdict(list)
    for one in sorted(placed):
        ordered[one.line].append(one)
    for code, row in ordered.items():
        longest = row[0]
        for one, two in pairwise(row):
            longest = max(longest, one, key=lambda it: it.end)
            if two.start < longest.end:
                found |= {Fault(two.number, "overlap", longest.number), Fault(longest.number, "overlap", two.number)}
            elif code in lines and two.start < one.end + between(
                lines[code], by_number[one.number], by_number[two.number]
            ):
                found |= {Fault(two.number, "changeover", one.number), Fault(one.number, "changeover", two.number)}
    return found


def _shared(placed: Sequence[Placed], by_number: Mapping[str, Request]) -> set[Fault]:
    found: set[Fault] = set()
    users: dict[str, list[Placed]] = defaultdict(list)
    for one in placed:
        for need in by_number[one.number].needs:
            users[need].append(one)
    for using in users.values():
        for at, one in enumerate(using):
            for two in using[at + 1 :]:
                if one.line != two.line and one.start < two.end and two.start < one.end:
                    found |= {Fault(one.number, "shared", two.number), Fault(two.number, "shared", one.number)}
    return found


def between(line: Line, one: Request, two: Request) -> int:
    """Return how many shifts lie between two visits of a line: none where the set-up stays."""
    return 0 if one.setup == two.setup else line.changeover


def greedy(problem: Problem) -> tuple[Placed, ...]:
    """Place what is fixed, then the rest by worth per shift, each where it is worth most and earliest. Never has a fault.

    Raises Infeasible where what is fixed contradicts itself or the plan.
    """
    lines = {line.code: line for line in problem.lines}
    by_number = {one.number: one for one in problem.requests}
    placed = [
        Placed(*request.fixed, request.number, request.shifts)
        for request in problem.requests
        if request.fixed is not None
    ]
    if faults(problem, placed):
        raise Infeasible
    attended = {code for code, line in lines.items() if line.people is not None}
    free = [one for one in problem.requests if one.fixed is None]
    for request in sorted(free, key=lambda one: (-(one.value + one.bonus) / one.shifts, one.number)):
        options = [
            Placed(code, start, request.number, request.shifts)
            for code in request.lines
            if code in lines
            for start in starts(problem, request, lines[code])
        ]
        options.sort(key=lambda one: (-worth(request, one.start), one.start, one.line))
        chosen = next(
            (
                one
                for one in options
                if _fits(one, placed, by_number, lines)
                and (not attended or _staffed(problem, [*placed, one], attended))
            ),
            None,
        )
        if chosen is not None:
            placed.append(chosen)
    return tuple(sorted(placed))


def _staffed(problem: Problem, placed: Sequence[Placed], attended: Container[str]) -> bool:
    run = staff(problem, placed)
    return all(one.number in run for one in placed if one.line in attended)


def _fits(one: Placed, placed: Iterable[Placed], by_number: Mapping[str, Request], lines: Mapping[str, Line]) -> bool:
    request = by_number[one.number]
    for other in placed:
        theirs = by_number[other.number]
        if other.line == one.line:
            apart = between(lines[one.line], request, theirs)
            if one.start < other.end + apart and other.start < one.end + apart:
                return False
        elif request.needs & theirs.needs and one.start < other.end and other.start < one.end:
            return False
    return True


def bound(problem: Problem) -> int:
    """Return what no schedule can exceed: all open shifts filled with the worthiest requests, the last one in part.

    The fractional knapsack over all lines together: cheap and always true; a solver proves better ones.
    """
    room = sum(len(line.open) for line in problem.lines)
    best, filled = 0, 0
    for request in sorted(problem.requests, key=lambda one: -(one.value + one.bonus) / one.shifts):
        if not any(starts(problem, request, line) for line in problem.lines if line.code in request.lines):
            continue
        top = request.value + request.bonus
        if filled + request.shifts <= room:
            best, filled = best + top, filled + request.shifts
        else:
            return best + -(-top * (room - filled) // request.shifts)
    return best
