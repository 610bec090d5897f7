"""Reach quotes of beam time: the enterprise its own, the user office and the director those of their facilities."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.beamtime.models import BeamQuote
from scheduler.facilities import access as facilities

__all__ = ["get_quote", "visible_to"]

RELATED = ("request__proposal__organisation", "request__proposal__facility", "request__cycle", "request__beamline")


def visible_to(actor: Actor) -> QuerySet[BeamQuote]:
    """Return every quote the actor may see."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(request__proposal__organisation_id=actor.organisation_id)
    if facilities.is_staff(actor, Permission.FACILITY_MANAGE, Permission.FACILITY_DECIDE):
        seen |= Q(request__proposal__facility__owner_id=actor.organisation_id)
    return BeamQuote.objects.filter(seen).select_related(*RELATED, "charge")


def get_quote(actor: Actor, pk: int) -> BeamQuote:
    """Return a quote the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found
