"""Reach waiting lists: an enterprise sees its own entries, a lab how many wait for its instruments."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.resources.models import Resource
from scheduler.waitlist import rules
from scheduler.waitlist.models import WaitlistEntry

WAITS = (rules.EntryState.WAITING.value, rules.EntryState.OFFERED.value)


def mine(actor: Actor) -> QuerySet[WaitlistEntry]:
    """Return the organisation's entries. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return (
        WaitlistEntry.objects.filter(organisation_id=actor.acting_for)
        .select_related("resource", "booking")
        .prefetch_related("offers__resource")
    )


def get_mine(actor: Actor, entry_id: int) -> WaitlistEntry:
    """Return one of the organisation's entries. Raises NotFound, Forbidden."""
    found = mine(actor).filter(pk=entry_id).first()
    if found is None:
        raise NotFound
    return found


def received(actor: Actor) -> QuerySet[WaitlistEntry]:
    """Return what waits for the lab's instruments. Callers tell of it who waits only where it is `named`, and never what for.

    Raises Forbidden without the permission.
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    return WaitlistEntry.objects.filter(resource__owner_id=actor.acting_for, state__in=WAITS).select_related(
        "resource", "organisation"
    )


def waiting_for(actor: Actor, resource: Resource) -> int:
    """Return how many entries wait for one of the lab's instruments; who they are is not told. Raises Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    return WaitlistEntry.objects.filter(resource=resource, state__in=WAITS).count()
