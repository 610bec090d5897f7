"""Reach facilities: published ones are public; who works at one sees its drafts and, by permission, runs it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Prefetch, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.availability.models import Closure
from scheduler.facilities.models import Beamline, Device, Facility, Partner, PartnerPart, RunCycle
from scheduler.resources.models import Resource

__all__ = [
    "STAFF",
    "beamlines_of",
    "closures_of",
    "devices_of",
    "facilities_of",
    "get_beamline",
    "get_cycle",
    "get_device",
    "get_facility",
    "get_own",
    "get_partner",
    "is_staff",
    "partners_of",
    "require_own",
    "visible_to",
]

P = Permission
STAFF = frozenset(
    {P.FACILITY_MANAGE, P.BEAMTIME_PLAN, P.BEAMTIME_RUN, P.PROPOSAL_ASSESS, P.PROPOSAL_CLEAR, P.FACILITY_DECIDE}
)
"""What those hold who work at a facility."""


def is_staff(actor: Actor | None, *permissions: Permission) -> bool:
    """Say whether the actor holds one of `permissions` (any of the staff's where none is named)."""
    return actor is not None and any(actor.may(one) for one in permissions or STAFF)


def visible_to(actor: Actor | None) -> QuerySet[Facility]:
    """Return every published facility and, to its staff, the own unpublished ones."""
    seen = Q(is_published=True)
    if actor is not None and is_staff(actor):
        seen |= Q(owner_id=actor.organisation_id)
    return Facility.objects.filter(seen).select_related("owner")


def _works_at(actor: Actor | None, facility: Facility) -> bool:
    return actor is not None and is_staff(actor) and actor.organisation_id == facility.owner_id


def beamlines_of(actor: Actor | None, facility: Facility) -> QuerySet[Beamline]:
    """Return the beamlines of a facility the actor may see: published ones, and all of them its staff."""
    rows = facility.beamlines.select_related("resource").order_by("code")
    shown = Resource.State.PUBLISHED.value
    return rows if _works_at(actor, facility) else rows.filter(resource__state=shown)


def devices_of(actor: Actor | None, facility: Facility) -> QuerySet[Device]:
    """Return the devices of a facility the actor may see: published ones, and all of them its staff."""
    rows = facility.devices.select_related("resource").order_by("code")
    shown = Resource.State.PUBLISHED.value
    return rows if _works_at(actor, facility) else rows.filter(resource__state=shown)


def facilities_of(actor: Actor, *permissions: Permission) -> QuerySet[Facility]:
    """Return the facilities the actor works at by one of `permissions` (any of the staff's where none is named).

    Raises Forbidden without any.
    """
    if not is_staff(actor, *permissions):
        raise Forbidden
    return Facility.objects.filter(owner_id=actor.organisation_id).select_related("owner")


def get_facility(actor: Actor | None, code: str) -> Facility:
    """Return a facility the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(code=code).first()
    if found is None:
        raise NotFound
    return found


def require_own(actor: Actor, facility: Facility, *permissions: Permission) -> None:
    """Raises Forbidden unless the facility is the actor's and she holds one of `permissions`."""
    if not is_staff(actor, *permissions) or facility.owner_id != actor.organisation_id:
        raise Forbidden


def get_own(actor: Actor, code: str, *permissions: Permission) -> Facility:
    """Return a facility the actor works at by one of `permissions`. Raises NotFound, Forbidden."""
    found = get_facility(actor, code)
    require_own(actor, found, *permissions)
    return found


def get_beamline(facility: Facility, code: str) -> Beamline:
    """Return a beamline of a facility by its code. Raises NotFound."""
    found = facility.beamlines.select_related("resource__instrument", "facility__owner").filter(code=code).first()
    if found is None:
        raise NotFound(field="beamline")
    return found


def get_device(facility: Facility, code: str) -> Device:
    """Return a device of a facility by its code. Raises NotFound."""
    found = (
        facility.devices.select_related("resource", "facility")
        .prefetch_related(Prefetch("fits"))
        .filter(code=code)
        .first()
    )
    if found is None:
        raise NotFound(field="device")
    return found


def get_cycle(facility: Facility, code: str) -> RunCycle:
    """Return a run cycle of a facility by its code. Raises NotFound."""
    found = facility.cycles.select_related("facility").filter(code=code).first()
    if found is None:
        raise NotFound(field="cycle")
    return found


def closures_of(beamline: Beamline, *, since: datetime) -> QuerySet[Closure]:
    """Return when a beamline is closed by itself and that is not over at `since`, by time."""
    return Closure.objects.filter(resource_id=beamline.pk, during__endswith__gt=since).order_by("during", "pk")


def partners_of(beamline: Beamline) -> QuerySet[Partner]:
    """Return who has, had or will have a partner's share of a beamline, by first day, with its uses."""
    parts = Prefetch("parts", PartnerPart.objects.order_by("pk"))
    return beamline.partners.select_related("organisation").prefetch_related(parts).order_by("valid", "pk")


def get_partner(beamline: Beamline, partner_id: int) -> Partner:
    """Return a partner's share of a beamline. Raises NotFound."""
    found = partners_of(beamline).filter(pk=partner_id).first()
    if found is None:
        raise NotFound(field="partner")
    return found
