"""Compute a draft as a worker: beamline by beamline, told while it goes on, kept with its proof."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils.module_loading import import_string

from portal.kernel.states import next_state
from scheduler.beamtime import drafting, drafts, gathering, rules
from scheduler.beamtime.models import DraftPlace, ScheduleDraft
from scheduler.beamtime.ports import Draft, Line, Placed, Planner, Problem

__all__ = ["left", "solve"]

A = rules.DraftAction
TELL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Solved:
    """What came of a cycle: places with who runs them, and the proof by line."""

    placed: tuple[Placed, ...]
    staff: dict[str, str]
    lines: dict[str, dict[str, Any]]


def solve(*, draft_id: int, now: datetime) -> None:
    """Compute a draft that waits, as a worker: beamline by beamline, telling how far it is. Again after a worker died.

    Nothing is locked while it computes. A draft that was given up meanwhile stays given up.
    """
    with transaction.atomic():
        draft = drafts.lock(ScheduleDraft(pk=draft_id))
        if draft.state not in {"queued", "solving"} or (draft.state == "solving" and not _is_left(draft, now=now)):
            return
        drafts.step(draft, A.SOLVE)
        draft.started_at, draft.lines = now, {}
        draft.save(update_fields=["state", "started_at", "lines"])
    mine = ScheduleDraft.objects.filter(pk=draft.pk, state="solving", started_at=now)
    kept = list(draft.places.filter(is_fixed=True).select_related("beamline"))
    try:
        gathered = gathering.gather(draft.cycle, now=now)
        fixed = {one.number: (one.line, one.start) for one in gathering.placed_of(kept, gathered.cycle)}
        gathered = gathering.gather(draft.cycle, now=now, fixed=fixed)
        found = _compute(gathered, seconds=draft.seconds, told=lambda lines: bool(mine.update(lines=lines)))
    except drafting.Infeasible:
        mine.update(state=_failed(), failure="beamtime.infeasible", ended_at=now)
        return
    if found is not None:
        _finish(draft, found, gathered, began=now)


def _failed() -> str:
    return next_state(rules.DRAFT_TRANSITIONS, rules.DraftState.SOLVING, A.FAIL).value


def _compute(gathered: gathering.Gathered, *, seconds: int, told: Callable[[dict[str, Any]], bool]) -> _Solved | None:
    """Solve line by line, the fullest first; what an earlier line uses, or is fixed on a later one, is busy for the rest.

    None: given up meanwhile.
    """
    problem = gathered.problem
    wanted = {line.code: 0 for line in problem.lines}
    for request in problem.requests:
        wanted[request.lines[0]] = wanted.get(request.lines[0], 0) + request.shifts
    order_of = sorted(problem.lines, key=lambda line: (-wanted[line.code] / (len(line.open) or 1), line.code))
    placed: list[Placed] = []
    fixed = [Placed(*one.fixed, one.number, one.shifts) for one in problem.requests if one.fixed is not None]
    staff = drafting.staff(problem, fixed, chosen=gathered.chosen())
    shown: dict[str, dict[str, Any]] = {
        line.code: {"state": "waiting"} for line in order_of if any(line.code in r.lines for r in problem.requests)
    }
    for line in order_of:
        if line.code not in shown:
            continue
        alone = _alone(problem, line)
        later = [one for one in fixed if one.line != line.code and one not in placed]
        rest = _beside(alone, [*placed, *later], problem, staff)
        drafted = _watched(rest, seconds=seconds, shown=shown, told=told)
        if drafted is None:
            return None
        placed += drafted.placed
        staff |= drafting.staff(rest, drafted.placed, chosen=gathered.chosen(), preferred=staff)
        bound = drafted.bound if rest == alone else drafting.bound(alone)
        shown[line.code] = {
            "state": "done",
            "value": drafted.value,
            "bound": bound,
            "spent_ms": round(drafted.seconds * 1000),
            "placed": len([one for one in drafted.placed if one.number in gathered.allocations]),
            "unplaced": [[number, _why(number, alone)] for number in drafted.unplaced],
            "known": sorted(one.number for one in alone.requests),
        }
        if not told(shown):
            return None
    return _Solved(tuple(placed), staff, shown)


def _why(number: str, alone: Problem) -> str:
    """Say why a request has no place: it has none at all (`nowhere`), or others are worth more (`crowded`)."""
    request = next(one for one in alone.requests if one.number == number)
    return "crowded" if drafting.starts(alone, request, alone.lines[0]) else "nowhere"


def _alone(problem: Problem, line: Line) -> Problem:
    return Problem((line,), tuple(one for one in problem.requests if line.code in one.lines), problem.busy)


def _beside(alone: Problem, placed: Sequence[Placed], problem: Problem, staff: dict[str, str]) -> Problem:
    """Return a line's problem with what earlier lines use taken out; the same where they share nothing."""
    needs = {one.number: one.needs for one in problem.requests}
    busy = dict(alone.busy)
    mine = {need for one in alone.requests for need in one.needs}
    for one in placed:
        for need in needs[one.number] & mine:
            busy[need] = busy.get(need, frozenset()) | frozenset(range(one.start, one.end))
    [line] = alone.lines
    if line.people is not None:
        away: dict[str, set[int]] = {who: set() for who, _there in line.people}
        for one in placed:
            if staff.get(one.number) in away:
                away[staff[one.number]] |= set(range(one.start, one.end))
        line = replace(line, people=tuple((who, there - away[who]) for who, there in line.people))
    return Problem((line,), alone.requests, busy)


def _watched(
    problem: Problem, *, seconds: int, shown: dict[str, dict[str, Any]], told: Callable[[dict[str, Any]], bool]
) -> Draft | None:
    """Let the planner work in a thread and write down about once a second what it has. None: given up meanwhile."""
    maker: Callable[[], Planner] = import_string(settings.BEAM_PLANNER)
    latest: list[tuple[int, int]] = []
    start = drafting.greedy(problem)
    code, began, is_wanted = problem.lines[0].code, time.monotonic(), True
    with ThreadPoolExecutor(1) as pool:
        work: Future[Draft] = pool.submit(
            maker().draft,
            problem,
            start=start,
            seconds=seconds,
            told=lambda value, bound: latest.append((value, bound)),
        )
        while not work.done():
            value, bound = latest[-1] if latest else (drafting.value(problem, start), drafting.bound(problem))
            spent = round((time.monotonic() - began) * 1000)
            shown[code] = {"state": "solving", "value": value, "bound": bound, "spent_ms": spent}
            is_wanted = told(shown)
            wait([work], timeout=TELL_S)
        return work.result() if is_wanted else None


@transaction.atomic
def _finish(draft: ScheduleDraft, found: _Solved, gathered: gathering.Gathered, *, began: datetime) -> None:
    locked = drafts.lock(draft)
    if locked.state != "solving" or locked.started_at != began:
        return
    drafts.step(locked, A.FINISH)
    locked.version += 1
    locked.lines = found.lines
    for name in ("value", "bound", "spent_ms"):
        setattr(locked, name, sum(one[name] for one in found.lines.values()))
    locked.ended_at = began + timedelta(milliseconds=locked.spent_ms)
    locked.save(update_fields=["state", "version", "lines", "value", "bound", "spent_ms", "ended_at"])
    fixed = set(locked.places.filter(is_fixed=True).values_list("allocation_id", flat=True))
    locked.places.filter(is_fixed=False).delete()
    DraftPlace.objects.bulk_create(
        DraftPlace(
            draft=locked,
            allocation=gathered.allocations[one.number],
            beamline=gathered.lines[one.line],
            operator=gathered.people.get(found.staff.get(one.number, "")),
            during=_range(gathered.cycle.period(one.start, one.shifts)),
            version=locked.version,
        )
        for one in found.placed
        if one.number in gathered.allocations and gathered.allocations[one.number].pk not in fixed
    )
    for row in locked.places.filter(is_fixed=True):
        row.operator = gathered.people.get(found.staff.get(f"A{row.allocation_id}", ""))
        row.save(update_fields=["operator"])


def _range(period: Any) -> tuple[datetime, datetime]:
    return period.start, period.end


def left(*, now: datetime) -> list[int]:
    """Return the drafts nobody computes: their hint was lost, or their worker died. For the clock."""
    waiting = ScheduleDraft.objects.filter(state="queued").alias(since=Coalesce("started_at", "made_at"))
    found = list(waiting.filter(since__lte=now - timedelta(minutes=1)).values_list("pk", flat=True))
    solving = ScheduleDraft.objects.filter(state="solving").select_related("cycle__facility")
    return found + [draft.pk for draft in solving if _is_left(draft, now=now)]


def _is_left(draft: ScheduleDraft, *, now: datetime) -> bool:
    """Say whether the worker of a draft must be dead: it would have finished long ago."""
    longest = timedelta(seconds=draft.seconds * draft.cycle.facility.beamlines.count() + 120)
    return draft.started_at is None or draft.started_at + longest < now
