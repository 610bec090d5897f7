"""How many shifts of a beamline's cycle a pool has, and how many of them are not given yet."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from django.db.models import Sum

from portal.kernel.period import Period
from scheduler.availability.models import Closure
from scheduler.availability.queries import period_of
from scheduler.facilities.grid import ShiftGrid
from scheduler.facilities.models import Beamline, Facility, MachinePeriod, PoolShare, RunCycle
from scheduler.facilities.plan import MachineMode, ModePeriod, user_shifts
from scheduler.facilities.shares import Pool, apportioned
from scheduler.proposals.models import BeamRequest

__all__ = ["given", "left", "parts"]


def _grid(facility: Facility) -> ShiftGrid:
    return ShiftGrid(
        facility.zone, facility.first_min, facility.length_min, tuple(facility.shift_names), facility.multiple
    )


def parts(facility: Facility, beamline: Beamline, cycle: RunCycle) -> Mapping[Pool, int]:
    """Return each pool's shifts: the beamline's user shifts divided by its own shares, else the facility's. Four queries."""
    rows = list(MachinePeriod.objects.filter(cycle=cycle))
    plan = [ModePeriod(period_of(row.during), MachineMode(row.mode)) for row in rows]
    closures = Closure.objects.filter(resource_id=beamline.pk, during__overlap=cycle.during)
    closed: list[Period] = [period_of(row.during) for row in closures]
    shifts = len(user_shifts(_grid(facility), plan, closed=closed))
    shares = list(PoolShare.objects.filter(facility=facility))
    own = [row for row in shares if row.beamline_id == beamline.pk] or [
        row for row in shares if row.beamline_id is None
    ]
    if not own:
        return {}
    return apportioned(shifts, {Pool(row.pool): Fraction(row.num, row.den) for row in own})


def given(beamline: Beamline, cycle: RunCycle) -> Mapping[Pool, int]:
    """Return how many shifts of each pool are given already, made-up ones not counted. One query."""
    rows = (
        BeamRequest.objects.filter(beamline=beamline, cycle=cycle, allocations__ended_at__isnull=True)
        .filter(allocations__made_up_for__isnull=True, allocations__isnull=False)
        .order_by()
        .values("allocations__pool")
        .annotate(total=Sum("allocations__shifts"))
    )
    return {Pool(row["allocations__pool"]): row["total"] for row in rows}


def left(facility: Facility, beamline: Beamline, cycle: RunCycle, pool: Pool) -> int:
    """Return how many shifts of a pool can still be given; never below zero. Five queries."""
    return max(0, parts(facility, beamline, cycle).get(pool, 0) - given(beamline, cycle).get(pool, 0))
