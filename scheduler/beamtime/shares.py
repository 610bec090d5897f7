"""What each pool has of a cycle, in whole shifts: allocated and delivered, beamline by beamline (F18)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from django.db.models import QuerySet, Sum

from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.beamtime.gathering import NOT_HAD
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.beamtime.rules import VisitState
from scheduler.facilities import standing
from scheduler.facilities.models import RunCycle
from scheduler.facilities.shares import Pool

__all__ = ["allocated_of", "delivered_of", "standing_of"]

DELIVERED = (VisitState.DONE.value, VisitState.CLOSED.value)


def _within(cycle: RunCycle) -> QuerySet[BeamVisit]:
    """Return the visits that lie in a cycle: beam given back for lost beam may have been given in an earlier one."""
    whole = cycle.during
    return BeamVisit.objects.filter(
        beamline__facility=cycle.facility, during__startswith__gte=whole.lower, during__startswith__lt=whole.upper
    )


def allocated_of(cycle: RunCycle) -> dict[int, dict[Pool, int]]:
    """Return the shifts that stand in a cycle by beamline and pool. Two queries.

    What makes up for lost beam counts in the cycle its visit lies in, and in none before it has one.
    """
    allocated: dict[int, dict[Pool, int]] = defaultdict(lambda: defaultdict(int))
    rows = BeamAllocation.objects.filter(request__cycle=cycle, ended_at__isnull=True, made_up_for__isnull=True)
    back = _within(cycle).filter(allocation__made_up_for__isnull=False, allocation__ended_at__isnull=True)
    back = back.exclude(state__in=NOT_HAD)
    for found in (
        rows.values_list("request__beamline", "pool").annotate(all=Sum("shifts")),
        back.values_list("beamline", "allocation__pool").annotate(all=Sum("shifts")),
    ):
        for line, pool, shifts in found.order_by():
            allocated[line][Pool(pool)] += shifts
    return allocated


def delivered_of(cycle: RunCycle) -> dict[int, dict[Pool, int]]:
    """Return the shifts of a cycle's visits that are over by beamline and pool; what enterprises booked and used is the
    industry's.

    Two queries.
    """
    delivered: dict[int, dict[Pool, int]] = defaultdict(lambda: defaultdict(int))
    visits = _within(cycle).filter(state__in=DELIVERED)
    for line, pool, shifts in visits.values_list("beamline", "allocation__pool").annotate(all=Sum("shifts")).order_by():
        delivered[line][Pool(pool)] += shifts
    booked = Claim.objects.filter(
        resource__beamline__facility=cycle.facility,
        booking__isnull=False,
        state=Claim.State.DONE.value,
        during__overlap=(cycle.during.lower, cycle.during.upper),
    )
    length = timedelta(minutes=cycle.facility.length_min)
    for claim in booked:
        delivered[claim.resource_id][Pool.INDUSTRY] += max(1, round(period_of(claim.during).duration / length))
    return delivered


def standing_of(cycle: RunCycle) -> list[standing.LineStanding]:
    """Return how each beamline's shares stand in a cycle. Ten queries.

    Allocated is what stands of panel, director and contract, and what makes up for lost beam in this cycle. Delivered
    is what `delivered_of` says.
    """
    return standing.standing(cycle, allocated=allocated_of(cycle), delivered=delivered_of(cycle))
