"""Block a resource for an outage, around what its lab has entered already, and open it again. Callers hold the lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from portal.kernel.period import Period
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["block", "trim", "unblock"]


def block(resource: Resource, span: Period, *, note: str) -> list[Claim]:
    """Claim all units or places of a resource that are free in `span`."""
    counted = resource.counting == resource_rules.Counting.FUNGIBLE.value
    others = list(Claim.objects.filter(resource=resource, state__in=BLOCKING, blocked__overlap=(span.start, span.end)))
    made = []
    for unit in [None] if counted else range(1, resource.capacity + 1):
        held = [(period_of(claim.blocked), claim.units) for claim in others if counted or claim.unit_no == unit]
        edges = {span.start, span.end} | {
            moment for period, _units in held for moment in (period.start, period.end) if moment in span
        }
        ordered = sorted(edges)
        for start, end in pairwise(ordered):
            taken = sum(units for period, units in held if period.overlaps(Period(start, end)))
            left = (resource.capacity if counted else 1) - taken
            if left > 0:
                made.append(
                    Claim(
                        resource=resource,
                        unit_no=unit,
                        units=left,
                        during=(start, end),
                        blocked=(start, end),
                        state=Claim.State.OUTAGE,
                        note=note[:120],
                    )
                )
    resources.touch_calendar(resource_id=resource.pk)
    return Claim.objects.bulk_create(made)


def trim(claim: Claim, span: Period) -> None:
    """Let a use beside the outage lose what of its changeover lies in it."""
    blocked, during = period_of(claim.blocked), period_of(claim.during)
    start = max(blocked.start, span.end) if during.start >= span.end else blocked.start
    end = min(blocked.end, span.start) if during.end <= span.start else blocked.end
    Claim.objects.filter(pk=claim.pk).update(blocked=(start, end))


def unblock(claims: Sequence[Claim], *, now: datetime) -> None:
    """End the blocks of an outage at `now`; what is over stays as it was."""
    for claim in claims:
        if claim.state != Claim.State.OUTAGE or claim.during.upper <= now:
            continue
        if claim.during.lower >= now:
            claim.state = Claim.State.RELEASED
        else:
            claim.during = claim.blocked = (claim.during.lower, now)
        claim.save(update_fields=["state", "during", "blocked"])
        resources.touch_calendar(resource_id=claim.resource_id)
