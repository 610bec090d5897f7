"""Reach quotes of beam time: the enterprise its own, the user office and the director those of their facilities."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.beamtime import quoting
from scheduler.beamtime.models import BeamQuote
from scheduler.beamtime.rules import BeamQuoteState
from scheduler.facilities import access as facilities
from scheduler.facilities.models import FacilityCourse
from scheduler.proposals.models import BeamRequest

__all__ = ["get_quotable", "get_quote", "quotable", "visible_to"]

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


def quotable(actor: Actor, *, now: datetime) -> QuerySet[BeamRequest]:
    """Return the paid requests that were found feasible and wait for a quote, at the facilities the actor is the office of.

    Raises Forbidden for others.
    """
    own = facilities.facilities_of(actor, Permission.FACILITY_MANAGE)
    paid = FacilityCourse.objects.filter(
        facility=OuterRef("proposal__facility"), kind=OuterRef("proposal__kind"), paid=True
    )
    standing = Q(state=BeamQuoteState.ACCEPTED.value) | Q(state=BeamQuoteState.OFFERED.value, valid_until__gt=now)
    return BeamRequest.objects.filter(
        Exists(paid),
        ~Exists(BeamQuote.objects.filter(standing, request=OuterRef("pk"))),
        proposal__facility__in=own,
        proposal__state__in=quoting.QUOTED,
        state__in=quoting.ASKED,
    ).select_related(
        "proposal__organisation", "proposal__facility", "cycle", "beamline__facility", "beamline__resource"
    )


def get_quotable(actor: Actor, pk: int, *, now: datetime) -> BeamRequest:
    """Return a request the actor may quote a price for. Raises NotFound, Forbidden."""
    found = quotable(actor, now=now).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found
