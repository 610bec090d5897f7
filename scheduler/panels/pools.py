"""How many shifts of a beamline's cycle a pool has, and how many of them are not given yet."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Sum

from scheduler.facilities import queries
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.facilities.shares import Pool, apportioned
from scheduler.proposals.models import BeamRequest

__all__ = ["given", "left", "lock", "parts"]


def lock(beamline: Beamline) -> None:
    """Lock a beamline: whatever gives of its pools comes one after the other. After proposals, before their requests."""
    list(Beamline.objects.select_for_update(no_key=True).filter(pk=beamline.pk).order_by("pk"))


def parts(beamline: Beamline, cycle: RunCycle) -> Mapping[Pool, int]:
    """Return each pool's shifts: the beamline's user shifts divided by its shares, as compliance counts them (F18)."""
    shares = queries.shares_of_line(beamline)
    return apportioned(len(queries.user_shifts(cycle, [beamline])[beamline.pk]), shares) if shares else {}


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


def left(beamline: Beamline, cycle: RunCycle, pool: Pool) -> int:
    """Return how many shifts of a pool can still be given; never below zero. Five queries."""
    return max(0, parts(beamline, cycle).get(pool, 0) - given(beamline, cycle).get(pool, 0))
