"""Gather what is to be scheduled in a run cycle from the tables: the problem a planner is asked, and who is who in it.

Time counts in shifts from the first of the cycle. What is open to users is the machine's user beam less each beamline's
closures and whatever else occupies it; visits that stand are part of the problem, fixed where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability.models import BLOCKING, Claim, Closure
from scheduler.availability.rules import Audience
from scheduler.beamtime.models import BeamAllocation, BeamVisit, DraftPlace
from scheduler.beamtime.ports import Line, Placed, Problem, Request
from scheduler.facilities import queries as facilities
from scheduler.facilities.grid import Shift, shifts_in
from scheduler.facilities.models import Beamline, Facility, RunCycle
from scheduler.facilities.plan import MachineMode, ModePeriod, user_beam
from scheduler.proposals.models import BeamRequest
from scheduler.resources.models import Resource, Skill

__all__ = [
    "HOLDING",
    "NOT_HAD",
    "Cycle",
    "Gathered",
    "cycle_of",
    "due_offers",
    "gather",
    "placed_of",
    "points",
    "to_place",
    "wish",
]

HOLDING: Final = ("offered", "scheduled", "ready", "running")
"""States in which a visit holds its time; the exclusion constraint repeats them."""
NOT_HAD: Final = ("declined", "cancelled")
"""States of visits that took nothing of their allocation; where it ended with them, `ended_at` says so."""
BONUS: Final = 10
FIRST: Final = 300


@dataclass(frozen=True, slots=True)
class Cycle:
    """A run cycle as a row of shifts; `beam` is the machine's user beam."""

    row: RunCycle
    shifts: tuple[Shift, ...]
    beam: tuple[Period, ...]

    def period(self, start: int, shifts: int) -> Period:
        """Return the time of `shifts` shifts from number `start` on."""
        return Period(self.shifts[start].period.start, self.shifts[start + shifts - 1].period.end)

    def start_of(self, moment: datetime) -> int | None:
        """Return the number of the shift that starts at `moment`, or None."""
        return next((at for at, one in enumerate(self.shifts) if one.period.start == moment), None)

    def span_of(self, period: Period) -> tuple[int, int] | None:
        """Return first shift and how many, of a time that is whole shifts of this cycle; else None."""
        inside = [at for at, one in enumerate(self.shifts) if period.covers(one.period)]
        if not inside or self.period(inside[0], len(inside)) != period:
            return None
        return inside[0], len(inside)

    def met(self, spans: Iterable[Period]) -> frozenset[int]:
        """Return the shifts of which any of `spans` takes a part."""
        known = list(spans)
        return frozenset(at for at, one in enumerate(self.shifts) if any(one.period.overlaps(span) for span in known))

    def within(self, spans: Iterable[Period]) -> frozenset[int]:
        """Return the shifts that lie whole in one of `spans`."""
        known = list(spans)
        return frozenset(at for at, one in enumerate(self.shifts) if any(span.covers(one.period) for span in known))


@dataclass(frozen=True, slots=True)
class Gathered:
    """A problem with its rows. Requests of allocations are numbered ``A<id>``, visits that stand ``V<id>``.

    Things that are needed are ``R<id>`` of their resource.
    """

    cycle: Cycle
    lines: Mapping[str, Beamline]
    problem: Problem
    allocations: Mapping[str, BeamAllocation]
    visits: Mapping[str, BeamVisit]
    standing: tuple[Placed, ...]
    people: Mapping[str, Resource]
    unattended: frozenset[str] = frozenset()
    """Visits that stand on a line somebody has to run, and nobody who is to run it is there all the time any more."""

    def request(self, number: str) -> Request:
        return next(one for one in self.problem.requests if one.number == number)

    def chosen(self) -> dict[str, str]:
        """Return who runs the visits that stand."""
        return {number: f"R{one.operator_id}" for number, one in self.visits.items() if one.operator_id is not None}


def to_place(cycle: RunCycle) -> QuerySet[BeamAllocation]:
    """Return the allocations of a cycle that count and have no visit yet, with what a draft needs of them.

    What makes up for beam lost in an earlier cycle can be had in any later one.
    """
    made_up = Q(
        made_up_for__isnull=False,
        request__cycle__facility=cycle.facility_id,
        request__cycle__during__endswith__lte=cycle.during.lower,
    )
    visited = BeamVisit.objects.exclude(state__in=NOT_HAD).values("allocation_id")
    return (
        BeamAllocation.objects.filter(Q(request__cycle=cycle) | made_up, ended_at__isnull=True)
        .exclude(pk__in=visited)
        .select_related("request__proposal__organisation", "request__beamline")
        .prefetch_related("request__devices")
        .order_by("pk")
    )


def cycle_of(visit: BeamVisit) -> RunCycle | None:
    """Return the run cycle in which a visit is: of made up beam not that of its request."""
    return (
        RunCycle.objects.filter(facility_id=visit.beamline.facility_id, during__contains=visit.during.lower)
        .select_related("facility")
        .first()
    )


def due_offers(now: datetime) -> Q:
    """Return which visits were offered and not answered in time."""
    return Q(state="offered", answer_by__lte=now)


def points(allocation_pool: str, request: BeamRequest, facility: Facility, *, made_up: bool = False) -> int:
    """Return what one shift of a request is worth: 100 to 200 by its grade with ageing; 300 where time is owed.

    Owed are contracts (industry), urgent work, and beam that was lost. What was never graded counts like the middle.
    """
    if made_up or allocation_pool in {"urgent", "industry"}:
        return FIRST
    if request.grade_c is None:
        return 150
    is_high = facility.best == Facility.Best.HIGH.value
    gain = facility.ageing_c * min(request.waited, facility.ageing_cycles)
    aged = request.grade_c + (gain if is_high else -gain)
    aged = min(max(aged, facility.lowest_c), facility.highest_c)
    whole = facility.highest_c - facility.lowest_c
    part = (aged - facility.lowest_c) if is_high else (facility.highest_c - aged)
    return 100 + 100 * part // whole


def wish(number: str, request: BeamRequest, cycle: Cycle, *, shifts: int, worth: int, code: str) -> Request:
    """Return a request for beam time as the planner sees it. Bad is a shift any part of which lies on a bad local day."""
    zone = ZoneInfo(cycle.row.facility.zone)
    good, bad = set(request.good), set(request.bad)

    def days(one: Shift) -> set[str]:
        last = one.period.end - timedelta(microseconds=1)
        return {one.period.start.astimezone(zone).date().isoformat(), last.astimezone(zone).date().isoformat()}

    return Request(
        number=number,
        lines=(code,),
        shifts=shifts,
        value=worth * shifts,
        bonus=BONUS * shifts if good else 0,
        good=frozenset(at for at, one in enumerate(cycle.shifts) if good and days(one) <= good),
        bad=frozenset(at for at, one in enumerate(cycle.shifts) if bad and days(one) & bad),
        needs=frozenset(f"R{device.pk}" for device in request.devices.all()),
        setup=request.setup,
    )


def gather(
    cycle: RunCycle,
    *,
    now: datetime,
    fixed: Mapping[str, tuple[str, int]] | None = None,
    without: Iterable[int] = (),
) -> Gathered:
    """Return all that is to be scheduled in a cycle, in a constant number of queries.

    `fixed` says where requests stay: line and shift by number. Visits `without` are taken for absent. Shifts that have
    begun are open to nobody; an offer nobody answered in time holds nothing any more.
    """
    facility = cycle.facility
    span = Period(cycle.during.lower, cycle.during.upper)
    plan = [ModePeriod(availability.period_of(one.during), MachineMode(one.mode)) for one in cycle.periods.all()]
    grid = Cycle(cycle, shifts_in(facilities.grid_of(facility), span), tuple(user_beam(plan)))
    lines = {one.code: one for one in facility.beamlines.select_related("resource").all()}
    skills = _skills(lines.values())
    allocations = {f"A{one.pk}": one for one in to_place(cycle)}
    visits = _visits(cycle, now=now, without=list(without))
    standing = _standing(visits, grid)
    things = {one.pk for row in allocations.values() for one in row.request.devices.all()}
    things |= {one.pk for row in visits.values() for one in row.devices.all()}
    ids = {one.pk for one in lines.values()} | things | {skill.operator_id for skill in skills}
    taken = _taken(ids, span, now=now, but=[visits[one.number].pk for one in standing], without=without)
    people = {f"R{skill.operator_id}": skill.operator for skill in skills}
    there = _there(skills, people, grid, taken, span)
    unattended = _stay(there, standing, visits)
    begun = frozenset(at for at, one in enumerate(grid.shifts) if one.period.start <= now)
    running: dict[str, set[int]] = defaultdict(set)
    for visit in standing:
        running[visit.line] |= set(range(visit.start, visit.end))
    problem = Problem(
        lines=tuple(
            Line(
                code,
                tuple(sorted(grid.within(grid.beam) - grid.met(taken[one.pk]) - (begun - running[code]))),
                one.changeover_shifts,
                tuple(sorted(there[one.pk].items())) if one.needs_operator else None,
            )
            for code, one in sorted(lines.items())
        ),
        requests=tuple(_requests(grid, allocations, visits, standing, fixed or {})),
        busy={f"R{pk}": grid.met(taken[pk]) for pk in things if taken[pk]},
    )
    return Gathered(grid, lines, problem, allocations, visits, standing, people, unattended)


def _requests(
    grid: Cycle,
    allocations: Mapping[str, BeamAllocation],
    visits: Mapping[str, BeamVisit],
    standing: Sequence[Placed],
    fixed: Mapping[str, tuple[str, int]],
) -> list[Request]:
    found = []
    for number, row in allocations.items():
        worth = points(row.pool, row.request, grid.row.facility, made_up=row.made_up_for_id is not None)
        asked = wish(number, row.request, grid, shifts=row.shifts, worth=worth, code=row.request.beamline.code)
        found.append(replace(asked, fixed=fixed.get(number)))
    for one in standing:
        visit = visits[one.number]
        needs = frozenset(f"R{device.pk}" for device in visit.devices.all())
        setup = visit.allocation.request.setup
        found.append(
            Request(one.number, (one.line,), one.shifts, 0, needs=needs, setup=setup, fixed=(one.line, one.start))
        )
    return found


def _visits(cycle: RunCycle, *, now: datetime, without: Sequence[int]) -> dict[str, BeamVisit]:
    rows = (
        BeamVisit.objects.filter(
            beamline__facility_id=cycle.facility_id,
            state__in=HOLDING,
            during__overlap=(cycle.during.lower, cycle.during.upper),
        )
        .exclude(due_offers(now))
        .exclude(pk__in=without)
        .select_related("beamline", "allocation__request__proposal__organisation", "operator")
        .prefetch_related("devices")
    )
    return {f"V{row.pk}": row for row in rows}


def _standing(visits: Mapping[str, BeamVisit], grid: Cycle) -> tuple[Placed, ...]:
    """Return the visits that can be part of the problem: whole shifts in user beam. Others only occupy their time."""
    found = []
    for number, row in visits.items():
        period = availability.period_of(row.during)
        span = grid.span_of(period)
        if span is not None and any(beam.covers(period) for beam in grid.beam):
            found.append(Placed(row.beamline.code, span[0], number, span[1]))
    return tuple(sorted(found))


def _skills(lines: Iterable[Beamline]) -> list[Skill]:
    attended = [one.pk for one in lines if one.needs_operator]
    if not attended:
        return []
    return list(
        Skill.objects.filter(instrument_id__in=attended, operator__state=Resource.State.PUBLISHED.value)
        .select_related("operator")
        .order_by("operator_id", "valid")
    )


def _taken(
    ids: Iterable[int], span: Period, *, now: datetime, but: Sequence[int], without: Iterable[int]
) -> dict[int, list[Period]]:
    """Return when each resource is closed or occupied by anything but the visits that are part of the problem."""
    known = list(ids)
    found: dict[int, list[Period]] = defaultdict(list)
    window = (span.start, span.end)
    for row in Closure.objects.filter(resource_id__in=known, during__overlap=window):
        found[row.resource_id].append(availability.period_of(row.during))
    gone = BeamVisit.objects.filter(due_offers(now)).values("pk")
    claims = Claim.objects.filter(
        availability.not_ended(now), resource_id__in=known, state__in=BLOCKING, blocked__overlap=window
    ).exclude(visit_id__isnull=False, visit_id__in=[*but, *without])
    for claim in claims.exclude(visit_id__isnull=False, visit_id__in=gone):
        found[claim.resource_id].append(availability.period_of(claim.blocked))
    return found


def _there(
    skills: Sequence[Skill],
    people: Mapping[str, Resource],
    grid: Cycle,
    taken: Mapping[int, list[Period]],
    span: Period,
) -> dict[int, dict[str, frozenset[int]]]:
    """Return by beamline who can run it in which shifts: open hours, a skill in force that day, nothing else to do."""
    found: dict[int, dict[str, frozenset[int]]] = defaultdict(dict)
    if not people:
        return found
    hours = availability.open_periods(list(people.values()), window=span, audience=Audience.OWN)
    free = {pk: grid.within(hours[pk]) - grid.met(taken.get(pk, ())) for pk in hours}
    for skill in skills:
        able = frozenset(at for at, one in enumerate(grid.shifts) if _in_force(skill, one))
        before = found[skill.instrument_id].get(f"R{skill.operator_id}", frozenset())
        found[skill.instrument_id][f"R{skill.operator_id}"] = before | (able & free[skill.operator_id])
    return found


def _stay(
    there: dict[int, dict[str, frozenset[int]]], standing: Iterable[Placed], visits: Mapping[str, BeamVisit]
) -> frozenset[str]:
    """Let each visit that stands keep whoever is to run it, though they are not there any more; return those visits.

    What stands is no contradiction that would keep all else from being planned; planners are told at the visit.
    """
    found = []
    for one in standing:
        visit = visits[one.number]
        if not visit.beamline.needs_operator:
            continue
        who = f"R{visit.operator_id}" if visit.operator_id is not None else one.number
        span = frozenset(range(one.start, one.end))
        before = there[visit.beamline_id].get(who, frozenset())
        if not span <= before:
            found.append(one.number)
            there[visit.beamline_id][who] = before | span
    return frozenset(found)


def _in_force(skill: Skill, shift: Shift) -> bool:
    first, end = skill.valid.lower, skill.valid.upper
    return (first is None or first <= shift.day) and (end is None or shift.day < end)


def placed_of(places: Iterable[DraftPlace], cycle: Cycle) -> list[Placed]:
    """Return the places of a draft in shifts. What is no longer on the grid of the cycle is left out."""
    found = []
    for row in places:
        span = cycle.span_of(availability.period_of(row.during))
        if span is not None:
            found.append(Placed(row.beamline.code, span[0], f"A{row.allocation_id}", span[1]))
    return sorted(found)
