"""What each pool has of a cycle, in whole shifts: allocated and delivered, beamline by beamline (F18)."""

from __future__ import annotations

from collections import defaultdict

from django.db.models import Sum

from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.beamtime.rules import VisitState
from scheduler.facilities import standing
from scheduler.facilities.models import RunCycle
from scheduler.facilities.shares import Pool

__all__ = ["standing_of"]

DELIVERED = (VisitState.DONE.value, VisitState.CLOSED.value)


def standing_of(cycle: RunCycle) -> list[standing.LineStanding]:
    """Return how each beamline's shares stand in a cycle. Eight queries.

    Allocated is what stands of panel, director and contract; what makes up for lost beam counts, too. Delivered are the
    shifts of visits that are over.
    """
    allocated: dict[int, dict[Pool, int]] = defaultdict(dict)
    rows = BeamAllocation.objects.filter(request__cycle=cycle, ended_at__isnull=True)
    for line, pool, shifts in rows.values_list("request__beamline", "pool").annotate(all=Sum("shifts")).order_by():
        allocated[line][Pool(pool)] = shifts
    delivered: dict[int, dict[Pool, int]] = defaultdict(dict)
    visits = BeamVisit.objects.filter(allocation__request__cycle=cycle, state__in=DELIVERED)
    for line, pool, shifts in visits.values_list("beamline", "allocation__pool").annotate(all=Sum("shifts")).order_by():
        delivered[line][Pool(pool)] = shifts
    return standing.standing(cycle, allocated=allocated, delivered=delivered)
