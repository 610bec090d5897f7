"""Reach the people and benches of a lab that are booked beside its instruments: for the lab that manages them."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.resources.models import Resource
from scheduler.resources.rules import ResourceKind

__all__ = ["get_own_operator", "own_operators"]


def own_operators(actor: Actor) -> QuerySet[Resource]:
    """Return the operators of the actor's lab. Raises Forbidden without the permission."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    return Resource.objects.filter(kind=ResourceKind.OPERATOR.value, owner_id=actor.organisation_id).select_related(
        "owner"
    )


def get_own_operator(actor: Actor, number: str) -> Resource:
    """Return an operator of the actor's lab by number. Raises NotFound, Forbidden."""
    found = own_operators(actor).filter(number=number).first()
    if found is None:
        raise NotFound(field="operator")
    return found
