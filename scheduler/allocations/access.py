"""Reach grants: who grants sees their own, a cluster's operator those on its partitions, an enterprise what it was granted."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.allocations.models import Allocation

__all__ = ["get_allocation", "get_managed", "managed_by", "visible_to"]

RELATED = ("organisation", "partition__cluster__owner", "granted_by")


def visible_to(actor: Actor) -> QuerySet[Allocation]:
    """Return the grants the actor may read. Raises Forbidden."""
    seen = Q(pk__in=())
    if actor.may(Permission.ALLOCATION_MANAGE):
        seen |= Q(granted_by_id=actor.acting_for) | Q(partition__cluster__owner_id=actor.acting_for)
    if actor.may(Permission.JOB_SUBMIT):
        seen |= Q(organisation_id=actor.acting_for)
    if not (actor.may(Permission.ALLOCATION_MANAGE) or actor.may(Permission.JOB_SUBMIT)):
        raise Forbidden
    return Allocation.objects.filter(seen).select_related(*RELATED)


def get_allocation(actor: Actor, number: str) -> Allocation:
    """Return one the actor may read. Raises NotFound, Forbidden."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def managed_by(actor: Actor) -> QuerySet[Allocation]:
    """Return the grants of the actor's own organisation: the ones it may change and end. Raises Forbidden."""
    actor.require(Permission.ALLOCATION_MANAGE)
    return Allocation.objects.filter(granted_by_id=actor.acting_for).select_related(*RELATED)


def get_managed(actor: Actor, number: str) -> Allocation:
    """Return one the actor may change. Raises NotFound, Forbidden."""
    found = managed_by(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found
