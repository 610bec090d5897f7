"""Occupy and free time: the one way a claim is written for a booking. Callers run in a transaction.

Order of work (docs/adr/0004): lock every resource, lowest id first; look; insert all claims in one statement. The
exclusion constraint and the capacity trigger have the last word, so a writer who forgot to look is refused, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction

from portal.kernel.errors import Conflict, noop
from portal.kernel.period import Period
from scheduler.availability import rules
from scheduler.availability.models import Claim
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

_ = noop

FIT = """
    SELECT unit FROM generate_series(1, %(capacity)s) AS unit
    WHERE NOT EXISTS (
        SELECT 1 FROM claim WHERE resource_id = %(resource)s AND unit_no = unit AND claim_blocks(state)
            AND blocked && tstzrange(%(start)s, %(end)s)
    )
    ORDER BY coalesce((
        SELECT min(lower(blocked)) - %(end)s FROM claim WHERE resource_id = %(resource)s AND unit_no = unit
            AND claim_blocks(state) AND blocked && tstzrange(%(end)s, %(end)s::timestamptz + interval '30 days')
    ), interval '30 days') + coalesce((
        SELECT %(start)s - max(upper(blocked)) FROM claim WHERE resource_id = %(resource)s AND unit_no = unit
            AND claim_blocks(state) AND blocked && tstzrange(%(start)s::timestamptz - interval '30 days', %(start)s)
    ), interval '30 days'), unit
    LIMIT 1
"""
"""The free unit that leaves least idle time around the span (best fit), the lowest number among equals."""


class Taken(Conflict):
    """Somebody else occupies part of the time. `resource_ids`: of which of the things asked for, as far as known."""

    code = "booking.taken"
    message = _("所选时段（含准备和清理时间）已被占用。")

    def __init__(self, *, resource_ids: Sequence[int] = ()) -> None:
        super().__init__(field="starts_at")
        self.resource_ids = tuple(resource_ids)


@dataclass(frozen=True, slots=True)
class Ask:
    """Time wanted of one resource: `during` is used, `blocked` adds set-up and clean-up; `units` are counted places.

    `unit_no` insists on one numbered unit; None takes the one that fits best.
    """

    resource: Resource
    during: Period
    blocked: Period
    units: int = 1
    role: rules.ClaimRole = rules.ClaimRole.MAIN
    unit_no: int | None = None


def occupy(
    asks: Sequence[Ask],
    *,
    state: Claim.State,
    booking_id: int | None = None,
    visit_id: int | None = None,
    hold_until: datetime | None = None,
) -> list[Claim]:
    """Claim all that is asked for, for a booking or a visit, or nothing. Raises Taken, naming what is not free.

    Locks the resources; a claim held until `hold_until` (aware, exclusive) ends then by itself.
    """
    resources.lock(resource_ids=[ask.resource.pk for ask in asks])
    claims = [_claim(ask, state=state, booking_id=booking_id, visit_id=visit_id, hold_until=hold_until) for ask in asks]
    if missing := [ask.resource.pk for ask, claim in zip(asks, claims, strict=True) if claim is None]:
        raise Taken(resource_ids=missing)
    try:
        with transaction.atomic():
            return Claim.objects.bulk_create(claim for claim in claims if claim is not None)
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", "") != "23P01":
            raise
        raise Taken(resource_ids=[ask.resource.pk for ask in asks]) from None


def _claim(
    ask: Ask, *, state: Claim.State, booking_id: int | None, visit_id: int | None, hold_until: datetime | None
) -> Claim | None:
    counted = ask.resource.counting == resource_rules.Counting.FUNGIBLE.value
    unit = None if counted else ask.unit_no or _unit(ask)
    if not counted and unit is None:
        return None
    return Claim(
        resource=ask.resource,
        unit_no=unit,
        units=ask.units,
        role=ask.role.value,
        during=(ask.during.start, ask.during.end),
        blocked=(ask.blocked.start, ask.blocked.end),
        state=state,
        hold_until=hold_until,
        booking_id=booking_id,
        visit_id=visit_id,
    )


def _unit(ask: Ask) -> int | None:
    """Return the number of a unit that is free for all of the time, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            FIT,
            {
                "resource": ask.resource.pk,
                "capacity": ask.resource.capacity,
                "start": ask.blocked.start,
                "end": ask.blocked.end,
            },
        )
        row = cursor.fetchone()
    return row[0] if row else None


def peak(resource: Resource, span: Period) -> int:
    """Return how many of the resource's places are taken at the busiest moment of `span`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT claim_peak(%s, tstzrange(%s, %s))", [resource.pk, span.start, span.end])
        return int(cursor.fetchone()[0])
