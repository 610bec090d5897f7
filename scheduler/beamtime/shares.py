"""What each pool has of a cycle, in whole shifts: allocated and delivered, beamline by beamline (F18)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from django.db.models import Sum

from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.beamtime.rules import VisitState
from scheduler.facilities import standing
from scheduler.facilities.models import RunCycle
from scheduler.facilities.shares import Pool

__all__ = ["delivered_of", "standing_of"]

DELIVERED = (VisitState.DONE.value, VisitState.CLOSED.value)


def delivered_of(cycle: RunCycle) -> dict[int, dict[Pool, int]]:
    """Return the shifts of visits that are over by beamline and pool; what enterprises booked and used is the industry's.

    Two queries.
    """
    delivered: dict[int, dict[Pool, int]] = defaultdict(lambda: defaultdict(int))
    visits = BeamVisit.objects.filter(allocation__request__cycle=cycle, state__in=DELIVERED)
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
    """Return how each beamline's shares stand in a cycle. Nine queries.

    Allocated is what stands of panel, director and contract; what makes up for lost beam counts, too. Delivered is
    what `delivered_of` says.
    """
    allocated: dict[int, dict[Pool, int]] = defaultdict(dict)
    rows = BeamAllocation.objects.filter(request__cycle=cycle, ended_at__isnull=True)
    for line, pool, shifts in rows.values_list("request__beamline", "pool").annotate(all=Sum("shifts")).order_by():
        allocated[line][Pool(pool)] = shifts
    return standing.standing(cycle, allocated=allocated, delivered=delivered_of(cycle))
