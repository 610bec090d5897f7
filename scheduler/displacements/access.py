"""Reach outages and displaced bookings: the lab sees its own, an enterprise those of its bookings."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.displacements.models import Displacement, Outage


def declared_by(actor: Actor) -> QuerySet[Outage]:
    """Return the outages of the lab's resources. Raises Forbidden without the permission."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    return Outage.objects.filter(resource__owner_id=actor.acting_for).select_related("resource", "declared_by")


def get_outage(actor: Actor, number: str) -> Outage:
    """Return one of the lab's outages. Raises NotFound, Forbidden."""
    found = declared_by(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def of_mine(actor: Actor) -> QuerySet[Displacement]:
    """Return what outages did to the enterprise's bookings. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return (
        Displacement.objects.filter(booking__organisation_id=actor.acting_for)
        .select_related("outage", "outage__resource", "booking", "booking__resource", "booking__charge")
        .prefetch_related("options__resource")
    )


def get_mine(actor: Actor, number: str) -> Displacement:
    """Return the latest displacement of one of the enterprise's bookings, by its number. Raises NotFound, Forbidden."""
    found = of_mine(actor).filter(booking__number=number).order_by("-pk").first()
    if found is None:
        raise NotFound
    return found
