"""Reach violations: the organisation they count for and the lab that counts them see them, nobody else."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.conduct.models import Violation


def visible_to(actor: Actor) -> QuerySet[Violation]:
    """Return the violations the actor may see, newest first."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(organisation_id=actor.organisation_id)
    if actor.may(Permission.BOOKING_DECIDE):
        seen |= Q(owner_id=actor.organisation_id)
    return Violation.objects.filter(seen).select_related("booking__resource", "organisation", "owner")


def get_violation(actor: Actor, pk: int) -> Violation:
    """Return a violation the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found
