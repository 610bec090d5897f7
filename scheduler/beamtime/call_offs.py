"""What becomes of allocation and request when a visit will not be, or is over."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Q, Sum

from scheduler.beamtime import rules
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.proposals import finishing
from scheduler.proposals.models import BeamRequest

__all__ = ["call_back", "end_allocation", "lock_allocation", "unmet", "without"]

S = rules.VisitState


def lock_allocation(visit: BeamVisit) -> BeamAllocation:
    """Lock the allocation of a visit whose end is written: of two that end at once, the later sees both."""
    return (
        BeamAllocation.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=visit.allocation_id)
    )


def end_allocation(visit: BeamVisit, *, now: datetime) -> None:
    """End the allocation of a visit that will not be: it counts no more and is not scheduled again.

    Where other visits of it stand or were had, only this one's shifts go.
    """
    known, held = visit.allocation, lock_allocation(visit)
    if held.ended_at is None:
        gone = [S.DECLINED.value, S.CANCELLED.value, S.MISSED.value]
        others = held.visits.exclude(pk=visit.pk).exclude(state__in=gone)
        if left := sum(others.values_list("shifts", flat=True)):
            held.shifts = left
        else:
            held.ended_at = now
        held.save(update_fields=["shifts", "ended_at"])
    known.shifts, known.ended_at = held.shifts, held.ended_at


def call_back(visit: BeamVisit, *, now: datetime) -> None:
    """End the allocation of a visit the facility cancels: its request waits on the reserve list, unless it had more time."""
    end_allocation(visit, now=now)
    without(visit.allocation.request)


def without(request: BeamRequest) -> None:
    """Say what becomes of a request whose allocation ended: in reserve where no time is left, served where all was had."""
    rest = request.allocations.filter(ended_at__isnull=True)
    if not rest.exists():
        finishing.give_up(request=request)
    elif not unmet(request):
        finishing.serve(request=request)


def unmet(request: BeamRequest) -> bool:
    """Say whether a request is still to have time that it was given."""
    over = Q(visits__state__in=[S.DONE.value, S.CLOSED.value])
    rest = request.allocations.filter(ended_at__isnull=True)
    found = rest.annotate(had=Sum("visits__shifts", filter=over))
    return found.filter(Q(had__isnull=True) | Q(had__lt=F("shifts"))).exists()
