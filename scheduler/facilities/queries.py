"""Read what facilities offer and what of it is taken. Constant query counts, whatever the number of beamlines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from django.db.models import Q

from portal.kernel.period import Period
from scheduler.availability.models import BLOCKING, Claim, Closure
from scheduler.availability.queries import not_ended, period_of
from scheduler.facilities import plan, shares
from scheduler.facilities.courses import Course, ProposalKind
from scheduler.facilities.grid import Shift, ShiftGrid
from scheduler.facilities.models import Beamline, Facility, PoolShare, RunCycle

__all__ = [
    "closed_of",
    "courses_of",
    "grid_of",
    "held",
    "period_of_cycle",
    "plan_of",
    "shares_of",
    "shares_of_line",
    "user_shifts",
]


def grid_of(facility: Facility) -> ShiftGrid:
    """Return the facility's shifts."""
    return ShiftGrid(
        facility.zone, facility.first_min, facility.length_min, tuple(facility.shift_names), facility.multiple
    )


def period_of_cycle(cycle: RunCycle) -> Period:
    """Return when a cycle runs."""
    return period_of(cycle.during)


def plan_of(cycle: RunCycle) -> list[plan.ModePeriod]:
    """Return the machine plan of a cycle, by time. One query."""
    return [plan.ModePeriod(period_of(row.during), plan.MachineMode(row.mode)) for row in cycle.periods.all()]


def closed_of(lines: Sequence[Beamline], *, window: Period) -> Mapping[int, list[Period]]:
    """Return when each beamline is closed by itself (closures and outages), by its id. Two queries."""
    ids = [line.pk for line in lines]
    inside = {"resource_id__in": ids}
    found: dict[int, list[Period]] = defaultdict(list)
    for row in Closure.objects.filter(**inside, during__overlap=(window.start, window.end)):
        found[row.resource_id].append(period_of(row.during))
    outages = Claim.objects.filter(**inside, state="outage", blocked__overlap=(window.start, window.end))
    for claim in outages:
        found[claim.resource_id].append(period_of(claim.blocked))
    return found


def user_shifts(cycle: RunCycle, lines: Sequence[Beamline]) -> dict[int, tuple[Shift, ...]]:
    """Return the shifts users can have on each beamline in a cycle, by its id. Three queries."""
    grid, spans = grid_of(cycle.facility), plan_of(cycle)
    closed = closed_of(lines, window=period_of_cycle(cycle))
    return {line.pk: plan.user_shifts(grid, spans, closed=closed.get(line.pk, ())) for line in lines}


def held(
    facility: Facility, *, since: datetime, window: Period | None = None, beamline: Beamline | None = None
) -> list[plan.Occupied]:
    """Return the visits and bookings on beamlines that end after `since`, by time: what a change may break. One query."""
    rows = Claim.objects.filter(
        Q(visit__isnull=False) | Q(booking__isnull=False),
        not_ended(since),
        resource__beamline__facility=facility,
        state__in=BLOCKING,
        during__endswith__gt=since,
    ).select_related("visit", "booking")
    if window is not None:
        rows = rows.filter(during__overlap=(window.start, window.end))
    if beamline is not None:
        rows = rows.filter(resource_id=beamline.pk)
    found = []
    for row in rows.order_by("during", "pk"):
        holder = row.visit or row.booking
        if holder is not None:
            found.append(plan.Occupied(holder.number, period_of(row.during)))
    return found


def courses_of(facility: Facility) -> dict[ProposalKind, Course]:
    """Return how each kind of proposal goes at the facility; a kind that is not there is not offered. One query."""
    return {
        ProposalKind(row.kind): Course(
            pool=shares.Pool(row.pool),
            peer_review=row.peer_review,
            reviewed_after=row.reviewed_after,
            cycles=row.cycles,
            lapses=row.lapses,
            own_schedule=row.own_schedule,
            report_months=row.report_months,
            paid=row.paid,
            confidential=row.confidential,
        )
        for row in facility.courses.all()
    }


def shares_of(facility: Facility) -> dict[int | None, dict[shares.Pool, Fraction]]:
    """Return who has which share, by beamline id, None for those that say nothing of their own. One query."""
    found: dict[int | None, dict[shares.Pool, Fraction]] = defaultdict(dict)
    for row in PoolShare.objects.filter(facility=facility).order_by("pk"):
        found[row.beamline_id][shares.Pool(row.pool)] = Fraction(row.num, row.den)
    return dict(found)


def shares_of_line(beamline: Beamline) -> dict[shares.Pool, Fraction]:
    """Return who has which share of a beamline; the facility's where it says nothing of its own, {} without any."""
    found = shares_of(beamline.facility)
    return found.get(beamline.pk) or found.get(None, {})
