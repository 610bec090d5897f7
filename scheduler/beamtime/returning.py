"""End allocations that never got a visit: planner or office give them back, a closed cycle ends what is left of it."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import DatabaseError, transaction
from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, NotFound, PortalError, Reason, noop
from scheduler.beamtime import billing, call_offs, drafts, gathering, reporting, visit_rules
from scheduler.beamtime.models import BeamAllocation, BeamVisit, DraftPlace
from scheduler.beamtime.planning_access import planned_cycles
from scheduler.facilities.models import RunCycle
from scheduler.proposals import finishing, steps
from scheduler.resources import services as resources

__all__ = ["RETURNS", "AlreadyPlaced", "get_allocation", "give_back", "lapse_due"]

_ = noop
logger = structlog.get_logger("beamtime")
RETURNS = (Permission.BEAMTIME_PLAN, Permission.FACILITY_MANAGE)
"""Who gives back what cannot be placed."""
BATCH = 200


class AlreadyPlaced(Conflict):
    code = "beamtime.placed"
    message = _("这项机时已有安排（%(visit)s），不能退回。请先取消该安排。")


def get_allocation(actor: Actor, cycle: RunCycle, allocation_id: int) -> BeamAllocation:
    """Return an allocation of a cycle whose schedule the actor reads, or beam made up for earlier. Raises NotFound."""
    own = planned_cycles(actor).filter(facility=cycle.facility_id).values("pk")
    found = BeamAllocation.objects.filter(pk=allocation_id, request__cycle__in=own).first()
    if found is None or (found.made_up_for_id is None and found.request.cycle_id != cycle.pk):
        raise NotFound
    return found


def _lock(allocation: BeamAllocation) -> BeamAllocation:
    """Lock what its visit would hold first, as whoever adopts a draft does, then the allocation."""
    resources.lock(resource_ids=[allocation.request.beamline_id])
    return (
        BeamAllocation.objects.select_for_update(no_key=True, of=("self",))
        .select_related("request__proposal__facility", "request__beamline", "request__cycle")
        .order_by("pk")
        .get(pk=allocation.pk)
    )


@transaction.atomic
def give_back(*, actor: Actor, allocation: BeamAllocation, reason: str, now: datetime) -> BeamAllocation:
    """End an allocation that has no visit, as planner or user office, with a reason the team reads. Twice changes nothing.

    The pool has its shifts again and the request waits on the reserve list; a price held for it is free. Raises
    AlreadyPlaced while a visit stands, ReasonMissing, Forbidden.
    """
    if not any(actor.may(one) for one in RETURNS):
        raise Forbidden
    locked = _lock(allocation)
    if locked.request.proposal.facility.owner_id != actor.organisation_id:
        raise Forbidden
    said = visit_rules.noted(reason)
    if locked.ended_at is None:
        _end(locked, reason=said, actor=actor, now=now)
    return locked


def _end(locked: BeamAllocation, *, reason: str, actor: Actor, now: datetime) -> None:
    standing = BeamVisit.objects.filter(allocation=locked).exclude(state__in=gathering.NOT_HAD).first()
    if standing is not None:
        raise AlreadyPlaced(visit=standing.number)
    request, proposal = locked.request, locked.request.proposal
    DraftPlace.objects.filter(allocation=locked, draft__state__in=drafts.OPEN).delete()
    locked.ended_at = now
    locked.save(update_fields=["ended_at"])
    call_offs.without(request)
    billing.follow(request=request, actor=actor, now=now)
    code = request.beamline.code
    steps.record(proposal, action="beam_allocation.returned", actor=actor, now=now, beamline=code, shifts=locked.shifts)
    said = {"line": code, "cycle": request.cycle.code, "shifts": locked.shifts, "why": reason}
    text = _("线站 %(line)s 运行周期 %(cycle)s 的 %(shifts)s 个班次未能安排，已退回，理由：%(why)s")
    remedy = _("申请仍在候补名单上；有机时空出时按名次安排。")
    if request.cycle.closed_at is not None:
        text = text if reason else _("线站 %(line)s 运行周期 %(cycle)s 已结账，分得的 %(shifts)s 个班次没有安排。")
        remedy = _("这个运行周期不再安排。需要机时的，请在以后的周期申请。")
    steps.tell(proposal, [Reason("allocation.returned", text, remedy, "", said)], key=f"back:{locked.pk}", now=now)


def _left_over() -> QuerySet[BeamAllocation]:
    """Return what was given in cycles that are closed and never got a visit; made up beam may be had in any later one."""
    visited = BeamVisit.objects.exclude(state__in=gathering.NOT_HAD).values("allocation")
    found = BeamAllocation.objects.filter(
        request__cycle__closed_at__isnull=False, ended_at__isnull=True, made_up_for__isnull=True
    )
    return found.exclude(pk__in=visited).select_related("request__proposal").order_by("pk")


def lapse_due(*, now: datetime) -> int:
    """End what was given in cycles that are closed and never had; return how many.

    Kinds that stand for one cycle lapse with it, others wait for the next as whoever got no time. By the clock, safe at
    any time; one that cannot be ended keeps no other back.
    """
    ended, actor = 0, Actor.system("自动处理")
    for one in _left_over()[:BATCH]:
        try:
            ended += _lapse(one, actor=actor, now=now)
        except (DatabaseError, PortalError):
            logger.exception("beamtime.return_failed", allocation=one.pk)
    return ended


@transaction.atomic
def _lapse(one: BeamAllocation, *, actor: Actor, now: datetime) -> bool:
    locked = _lock(one)
    if locked.ended_at is not None:
        return False
    _end(locked, reason="", actor=actor, now=now)
    proposal = locked.request.proposal
    course = steps.course_of(proposal.facility, proposal.kind)
    if course is None or course.cycles < 2:
        finishing.lapse(request=locked.request)
        reporting.close_over(proposal=proposal, actor=actor, now=now)
    return True
