"""Reach sample orders: the enterprise that sent them and the lab that tests them see them, nobody else."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.samples.models import Sample, SampleOrder

RELATED = (
    "resource",
    "resource__owner",
    "organisation",
    "requested_by",
    "charge",
    "charge__voucher",
    "drafted_by",
    "reviewed_by",
)


def own_orders(actor: Actor) -> QuerySet[SampleOrder]:
    """Return the sample orders of the actor's organisation. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return SampleOrder.objects.filter(organisation_id=actor.acting_for).select_related(*RELATED)


def served_orders(actor: Actor) -> QuerySet[SampleOrder]:
    """Return the sample orders on the lab's instruments. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_DECIDE)
    return SampleOrder.objects.filter(resource__owner_id=actor.acting_for).select_related(*RELATED)


def visible_to(actor: Actor) -> QuerySet[SampleOrder]:
    """Return every sample order the actor may see."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(organisation_id=actor.organisation_id)
    if actor.may(Permission.BOOKING_DECIDE):
        seen |= Q(resource__owner_id=actor.organisation_id)
    return SampleOrder.objects.filter(seen).select_related(*RELATED).prefetch_related("charge__parts__voucher")


def get_order(actor: Actor, number: str) -> SampleOrder:
    """Return a sample order the actor may see. Raises NotFound."""
    order = visible_to(actor).filter(number=number).first()
    if order is None:
        raise NotFound
    return order


def is_sender(actor: Actor, order: SampleOrder) -> bool:
    return actor.may(Permission.BOOKING_REQUEST) and order.organisation_id == actor.organisation_id


def is_lab(actor: Actor, order: SampleOrder) -> bool:
    return actor.may(Permission.BOOKING_DECIDE) and order.resource.owner_id == actor.organisation_id


def get_own(actor: Actor, number: str) -> SampleOrder:
    """Return a sample order of the actor's organisation. Raises NotFound, Forbidden."""
    order = get_order(actor, number)
    if not is_sender(actor, order):
        raise Forbidden
    return order


def get_served(actor: Actor, number: str) -> SampleOrder:
    """Return a sample order on one of the actor's own instruments. Raises NotFound, Forbidden."""
    order = get_order(actor, number)
    if not is_lab(actor, order):
        raise Forbidden
    return order


def get_sample(order: SampleOrder, position: int) -> Sample:
    """Return one sample of an order the actor may see. Raises NotFound."""
    sample = order.samples.filter(position=position).first()
    if sample is None:
        raise NotFound
    return sample
