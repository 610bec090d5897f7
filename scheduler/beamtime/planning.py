"""Read a cycle's schedule as a board: every line's shifts, what is placed, what waits, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.kernel.errors import Reason
from portal.kernel.period import Period
from scheduler.availability.queries import period_of
from scheduler.beamtime import drafts, faulting, gathering
from scheduler.beamtime.models import BeamAllocation, BeamVisit, DraftPlace, ScheduleDraft
from scheduler.beamtime.ports import Fault, Request
from scheduler.facilities.models import RunCycle

__all__ = ["Block", "Board", "Row", "board", "gap", "latest_draft"]


@dataclass(frozen=True, slots=True)
class Block:
    """Something in its place: a place of the draft, or a visit. `start` and `shifts` count from the first of the cycle."""

    number: str
    start: int
    shifts: int
    period: Period
    allocation: BeamAllocation
    place: DraftPlace | None = None
    visit: BeamVisit | None = None
    faults: Sequence[Reason] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A beamline: its blocks by time, and which shifts it has open."""

    code: str
    name: str
    name_en: str
    blocks: Sequence[Block]
    open: frozenset[int]
    changeover: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """All of a cycle's schedule. `waiting` has no place; `reasons` are all faults of the draft's places."""

    cycle: gathering.Cycle
    draft: ScheduleDraft | None
    rows: Sequence[Row]
    waiting: Sequence[BeamAllocation]
    why: Mapping[int, str]
    """By id of a waiting allocation why the planner left it out: `nowhere` or `crowded`; absent where it was taken out."""
    reasons: Sequence[Reason]
    requests: Mapping[str, Request]
    """By number what each request and visit needs, with its good and bad shifts."""
    bound: int = 0
    """What no schedule of the draft's requests and of those given since can exceed."""


def latest_draft(cycle: RunCycle) -> ScheduleDraft | None:
    """Return the draft that is open or, where none is, the one that was made last."""
    related = ScheduleDraft.objects.filter(cycle=cycle).select_related("cycle__facility", "made_by", "adopted_by")
    return related.filter(state__in=drafts.OPEN).first() or related.first()


def gap(value: int, bound: int) -> float:
    """Return how far a draft may be from the best, 0 to 1."""
    return 0.0 if bound <= value else (bound - value) / bound


def board(cycle: RunCycle, *, now: datetime) -> Board:
    """Return a cycle's schedule as it is now. A constant number of queries."""
    draft = latest_draft(cycle)
    gathered = gathering.gather(cycle, now=now)
    is_shown = draft is not None and draft.state == ScheduleDraft.State.DRAFTED.value
    places = (
        list(
            draft.places.select_related(
                "beamline", "operator", "moved_by", "allocation__request__proposal__organisation"
            )
        )
        if draft is not None and is_shown
        else []
    )
    reasons = faulting.faults_of(gathered, places)
    blocks: dict[str, list[Block]] = {code: [] for code in gathered.lines}
    for row in places:
        number = f"A{row.allocation_id}"
        mine = [one for one in reasons if one.field == number]
        span = gathered.cycle.span_of(period_of(row.during))
        if span is not None:
            period = gathered.cycle.period(*span)
            blocks[row.beamline.code].append(Block(number, *span, period, row.allocation, place=row, faults=mine))
    for number, visit in gathered.visits.items():
        span = gathered.cycle.span_of(period_of(visit.during))
        if span is not None:
            period = gathered.cycle.period(*span)
            wrong = [faulting.explain(Fault(number, "nobody"), gathered)] if number in gathered.unattended else []
            blocks[visit.beamline.code].append(
                Block(number, *span, period, visit.allocation, visit=visit, faults=wrong)
            )
    lines = {line.code: line for line in gathered.problem.lines}
    rows = [
        Row(
            code,
            gathered.lines[code].resource.name,
            gathered.lines[code].resource.name_en,
            sorted(blocks[code], key=lambda one: one.start),
            frozenset(lines[code].open),
            lines[code].changeover,
        )
        for code in sorted(gathered.lines)
    ]
    placed = {row.allocation_id for row in places}
    waiting = [row for row in gathered.allocations.values() if row.pk not in placed]
    why = {int(number[1:]): code for one in _lines(draft) for number, code in one.get("unplaced", [])}
    requests = {one.number: one for one in gathered.problem.requests}
    bound = drafts.bound_of(draft, gathered) if draft is not None and is_shown else 0
    return Board(gathered.cycle, draft, rows, waiting, why, reasons, requests, bound)


def _lines(draft: ScheduleDraft | None) -> list[dict[str, list[list[str]]]]:
    return list(draft.lines.values()) if draft is not None else []
