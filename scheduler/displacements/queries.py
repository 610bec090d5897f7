"""Look for what may be offered instead of a booking, and tell a lab how far its people have chosen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q, QuerySet

from portal.kernel.period import Period
from scheduler.availability import impacts
from scheduler.availability import rules as availability
from scheduler.bookings import bundles
from scheduler.bookings.bundles import ANYBODY, Wanted
from scheduler.bookings.models import Booking
from scheduler.displacements import rules
from scheduler.displacements.models import Outage
from scheduler.resources.models import Resource

__all__ = ["affected", "first_fit", "like", "with_progress"]

LATER: Final = timedelta(days=30)
"""How far after an outage the same instrument is looked at."""
NEAR: Final = timedelta(days=1)
"""How far from the booked time an instrument like it is looked at."""


def affected(resource: Resource, *, period: Period, now: datetime) -> list[impacts.Affected]:
    """Return the bookings an outage would displace or end; a use beside it loses its changeover only. One query."""
    met = impacts.impact(resource, lost=[period], now=now)
    return [row for row in met if row.period.overlaps(period)]


def like(booking: Booking, *, resource: Resource, period: Period) -> Wanted:
    """Return what the booking asks for, on another resource or at another time."""
    return Wanted(
        resource=resource,
        period=period,
        title=booking.title,
        units=booking.units,
        operator=ANYBODY if booking.operator_id is not None else None,
    )


def first_fit(wanted: Wanted, *, window: Period, now: datetime) -> Period | None:
    """Return the use like `wanted` inside `window` whose start is nearest to the wanted one; None without any."""
    found = availability.alternatives(
        bundles.free_spans(replace(wanted, configuration=""), window=window, now=now),
        duration=wanted.period.duration,
        granularity=timedelta(seconds=wanted.resource.granularity_s),
        offset=timedelta(seconds=wanted.resource.grid_from_s),
        zone=wanted.resource.zone,
        near=wanted.period.start,
        count=1,
    )
    return next(iter(found), None)


def with_progress(outages: QuerySet[Outage]) -> QuerySet[Outage]:
    """Add to each outage how many bookings it displaced, and how many of them stand where."""
    states = {state.value: Count("displacements", filter=Q(displacements__state=state.value)) for state in rules.S}
    return outages.annotate(displaced=Count("displacements"), **{f"n_{name}": count for name, count in states.items()})
