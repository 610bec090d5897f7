"""Take an instrument off the catalogue with the sample orders on it, in the same transaction as its bookings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from portal.kernel.actors import Actor
from scheduler.catalogue import withdrawing
from scheduler.resources.models import Resource
from scheduler.samples import services
from scheduler.samples.models import SampleOrder
from scheduler.samples.rules import Feasibility
from scheduler.samples.rules import SampleOrderState as S

__all__ = ["Orders", "Withdrawn", "ordered", "settle", "withdraw"]

UNAGREED: Final = (S.REQUESTED.value, S.NEEDS_METHOD.value, S.FEASIBLE.value, S.QUOTED.value)
"""Nobody has accepted a price: the lab may still decline."""
AGREED: Final = (
    *(S.ACCEPTED.value, S.SAMPLES_REJECTED.value, S.RECEIVED.value, S.QUEUED.value, S.TESTING.value),
    *(S.DRAFTED.value, S.REVIEWED.value, S.REPORTED.value),
)
"""A contract: each side performs it as agreed (Civil Code 509), so the lab finishes the tests, catalogue or not."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Sample orders that are finished as agreed, and those that are declined. Nothing is held for the latter."""

    kept: Sequence[SampleOrder]
    ended: Sequence[SampleOrder]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What became of everything on an instrument."""

    bookings: withdrawing.Settled
    orders: Orders


def ordered(resource: Resource) -> list[SampleOrder]:
    """Return the sample orders of an instrument that are not over, oldest first. One query."""
    rows = SampleOrder.objects.filter(resource=resource, state__in=UNAGREED + AGREED)
    return list(rows.select_related("organisation", "resource").order_by("pk"))


def settle(found: Sequence[SampleOrder]) -> Orders:
    """Say which orders are finished and which are declined. Pure."""
    return Orders([row for row in found if row.state in AGREED], [row for row in found if row.state in UNAGREED])


@transaction.atomic
def withdraw(
    *, actor: Actor, resource: Resource, plan: withdrawing.Plan, seen: Collection[str], now: datetime
) -> Withdrawn:
    """Take an instrument off the catalogue as `catalogue.withdrawing.withdraw`, and decline what nobody agreed to yet.

    The enterprises read the reason with their orders. `seen` are the numbers of bookings and sample orders a person was
    shown before confirming. All or nothing. Raises Changed, naming every other one, and what that function raises.
    """
    found = ordered(resource)
    here = [row.number for row in withdrawing.booked(resource, now=now)] + [row.number for row in found]
    if unseen := [number for number in here if number not in set(seen)]:
        raise withdrawing.Changed(field="seen", bookings=unseen)
    settled = withdrawing.withdraw(actor=actor, resource=resource, plan=plan, seen=seen, now=now)
    orders = settle(found)
    for row in orders.ended:
        services.answer(actor=actor, order=row, feasibility=Feasibility.CANNOT, note=plan.reason, now=now)
    return Withdrawn(settled, orders)
