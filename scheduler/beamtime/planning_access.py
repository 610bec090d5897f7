"""Reach schedules and offers: a facility's planners its drafts, a team its own visits."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.beamtime.models import BeamVisit, ScheduleDraft
from scheduler.facilities.models import Facility, RunCycle

__all__ = [
    "get_cycle",
    "get_draft",
    "get_numbered",
    "get_offer",
    "get_planned",
    "offers_of",
    "planned_cycles",
    "require_planner",
]

RELATED = ("beamline__facility", "beamline__resource", "operator", "allocation__request__proposal__organisation")
READS = (
    Permission.BEAMTIME_PLAN,
    Permission.BEAMTIME_RUN,
    Permission.FACILITY_MANAGE,
    Permission.FACILITY_DECIDE,
)
"""Whoever works at a facility with one of these reads its schedule; BEAMTIME_PLAN alone changes it."""


def require_planner(actor: Actor, facility: Facility) -> None:
    """Raises Forbidden unless the actor plans at this facility."""
    actor.require(Permission.BEAMTIME_PLAN)
    if facility.owner_id != actor.organisation_id:
        raise Forbidden


def planned_cycles(actor: Actor) -> QuerySet[RunCycle]:
    """Return the run cycles whose schedule the actor reads. Raises Forbidden without any of the permissions."""
    if not any(actor.may(one) for one in READS):
        raise Forbidden
    return RunCycle.objects.filter(facility__owner_id=actor.acting_for).select_related("facility")


def get_cycle(actor: Actor, facility: str, cycle: str) -> RunCycle:
    """Return a run cycle of the actor's facility, by their codes. Raises NotFound, Forbidden."""
    found = planned_cycles(actor).filter(facility__code=facility, code=cycle).first()
    if found is None:
        raise NotFound
    return found


def get_numbered(actor: Actor, number: str) -> RunCycle:
    """Return a run cycle by ``facility.cycle``, the two codes. Raises NotFound, Forbidden."""
    facility, _dot, cycle = number.partition(".")
    return get_cycle(actor, facility, cycle)


def get_draft(actor: Actor, draft_id: int) -> ScheduleDraft:
    """Return a draft of the actor's facility. Raises NotFound, Forbidden."""
    found = (
        ScheduleDraft.objects.filter(pk=draft_id, cycle__in=planned_cycles(actor).values("pk"))
        .select_related("cycle__facility", "made_by", "adopted_by")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def offers_of(actor: Actor) -> QuerySet[BeamVisit]:
    """Return the visits of teams the actor has joined for the organisation acted for, the next first. Raises Forbidden without the permission."""
    actor.require(Permission.PROPOSAL_SUBMIT)
    return (
        BeamVisit.objects.filter(
            allocation__request__proposal__team__user_id=actor.user_id or 0,
            allocation__request__proposal__team__organisation_id=actor.organisation_id or 0,
            allocation__request__proposal__team__state="joined",
        )
        .select_related(*RELATED)
        .prefetch_related("devices")
        .order_by("during", "pk")
    )


def get_offer(actor: Actor, number: str) -> BeamVisit:
    """Return a visit of a team the actor has joined. Raises NotFound, Forbidden."""
    found = offers_of(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def get_planned(actor: Actor, number: str) -> BeamVisit:
    """Return a visit at a facility the actor plans for. Raises NotFound, Forbidden."""
    actor.require(Permission.BEAMTIME_PLAN)
    found = (
        BeamVisit.objects.filter(number=number, beamline__facility__owner_id=actor.acting_for)
        .select_related(*RELATED)
        .prefetch_related("devices")
        .first()
    )
    if found is None:
        raise NotFound
    return found
