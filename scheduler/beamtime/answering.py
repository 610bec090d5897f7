"""Teams answer offers; what is declined or not answered in time goes to the next on the reserve list."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog
from django.db import DatabaseError, transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, PortalError, noop
from portal.kernel.states import next_state
from scheduler.availability import queries
from scheduler.availability.models import Claim
from scheduler.beamtime import adopting, billing, call_offs, gathering, offer_news, reserving, rules
from scheduler.beamtime.models import BeamVisit
from scheduler.facilities.models import Beamline, Device
from scheduler.proposals import services as proposals
from scheduler.resources import services as resources
from scheduler.resources.models import Skill

__all__ = ["BeamBegun", "NoteTooLong", "OfferLapsed", "accept", "decline", "lapse_due", "lock", "step"]

_ = noop
logger = structlog.get_logger("beamtime")
A = rules.VisitAction
NOTE: Final = 500
BATCH: Final = 100


class OfferLapsed(Conflict):
    code = "beamtime.offer_lapsed"
    message = _("答复期限已过，机时已转给候补课题。如仍需要，请联系用户办公室。")


class BeamBegun(Conflict):
    code = "beamtime.begun"
    message = _("机时已经开始，不能再谢绝。如不能到场，请立即联系线站工作人员。")


class NoteTooLong(Invalid):
    code = "beamtime.note"
    message = _("说明最多 500 字。")


def lock(visit: BeamVisit) -> BeamVisit:
    """Lock whatever a visit at its facility may hold, then the visit, and return it as it is now.

    All of the facility: who moves up in its stead may need other devices and people.
    """
    facility_id = Beamline.objects.values_list("facility_id", flat=True).get(pk=visit.beamline_id)
    lines = Beamline.objects.filter(facility_id=facility_id)
    things = Device.objects.filter(facility_id=facility_id)
    people = Skill.objects.filter(instrument_id__in=lines.values("pk"))
    held = Claim.objects.filter(visit=visit).values_list("resource_id", flat=True)
    found = {*lines.values_list("pk", flat=True), *things.values_list("pk", flat=True), *held}
    resources.lock(resource_ids=found | set(people.values_list("operator_id", flat=True)))
    return (
        BeamVisit.objects.select_for_update(no_key=True, of=("self",))
        .select_related("beamline__facility", "beamline__resource", "operator", "allocation__request__proposal")
        .order_by("pk")
        .get(pk=visit.pk)
    )


def step(visit: BeamVisit, action: rules.VisitAction) -> None:
    """Take a locked visit's transition; the caller saves. Raises InvalidTransition."""
    visit.state = next_state(rules.TRANSITIONS, rules.VisitState(visit.state), action).value
    visit.version += 1


def _of_team(actor: Actor, visit: BeamVisit) -> None:
    actor.require(Permission.PROPOSAL_SUBMIT)
    if not visit.allocation.request.proposal.team.filter(
        user_id=actor.person, organisation_id=actor.acting_for, state="joined"
    ).exists():
        raise Forbidden


def _noted(note: str) -> str:
    if len(note.strip()) > NOTE:
        raise NoteTooLong(field="note")
    return note.strip()


def accept(*, actor: Actor, visit: BeamVisit, note: str = "", now: datetime) -> BeamVisit:
    """Accept an offer, as the team; its claims are confirmed. The same again changes nothing.

    Raises OfferLapsed from `answer_by` on (it has lapsed then, whoever looked first), Barred, InvalidTransition, Forbidden.
    """
    _of_team(actor, visit)
    if lapse_due(now=now, visit_ids=[visit.pk]):
        raise OfferLapsed
    with transaction.atomic():
        locked = lock(visit)
        if locked.state == BeamVisit.State.SCHEDULED.value and locked.answered_by_id == actor.user_id:
            return locked
        if locked.answered_at is None and locked.state == BeamVisit.State.DECLINED.value:
            raise OfferLapsed
        if proposals.barred(proposal=locked.allocation.request.proposal, now=now):
            raise proposals.Barred
        step(locked, A.ACCEPT)
        locked.answered_by_id, locked.answered_at, locked.answer_note = actor.user_id, now, _noted(note)
        locked.save(update_fields=["state", "version", "answered_by", "answered_at", "answer_note"])
        Claim.objects.filter(visit=locked, state=Claim.State.HELD).update(state=Claim.State.CONFIRMED)
        adopting.record(locked, action="visit.accepted", actor=actor, now=now)
        return locked


@transaction.atomic
def decline(*, actor: Actor, visit: BeamVisit, note: str = "", now: datetime) -> BeamVisit:
    """Decline an offer, as the team, or give back what was accepted; the next on the reserve list is offered the time.

    Raises BeamBegun from its start on, NoteTooLong, InvalidTransition, Forbidden.
    """
    _of_team(actor, visit)
    locked = lock(visit)
    next_state(rules.TRANSITIONS, rules.VisitState(locked.state), A.DECLINE)
    if now >= locked.during.lower:
        raise BeamBegun
    locked.answered_by_id, locked.answered_at, locked.answer_note = actor.user_id, now, _noted(note)
    _give_back(locked, action="visit.declined", actor=actor, now=now)
    return locked


def _give_back(locked: BeamVisit, *, action: str, actor: Actor, now: datetime) -> None:
    step(locked, A.DECLINE)
    locked.save(update_fields=["state", "version", "answered_by", "answered_at", "answer_note"])
    adopting.free(locked)
    call_offs.end_allocation(locked, now=now)
    call_offs.without(locked.allocation.request)
    billing.follow(request=locked.allocation.request, actor=actor, now=now)
    adopting.record(locked, action=action, actor=actor, now=now)
    cycle, made = gathering.cycle_of(locked), []
    if cycle is not None:
        span = queries.period_of(locked.during)
        made = reserving.move_up(cycle=cycle, beamline=locked.beamline, span=span, now=now)
    offer_news.came_back(locked, lapsed=locked.answered_at is None, made=made, now=now)


def lapse_due(*, now: datetime, visit_ids: list[int] | None = None) -> int:
    """End the offers nobody answered until `answer_by`, and return how many ended: for the clock, and for whoever looks.

    Each in a transaction of its own; what cannot be ended now is left to the next time and keeps no other back.
    """
    due = BeamVisit.objects.filter(gathering.due_offers(now))
    if visit_ids is not None:
        due = due.filter(pk__in=visit_ids)
    ended = 0
    for visit in due.order_by("answer_by", "pk")[:BATCH]:
        try:
            ended += _lapse(visit, now=now)
        except (DatabaseError, PortalError):
            logger.exception("beamtime.lapse_failed", visit=visit.number)
    return ended


@transaction.atomic
def _lapse(visit: BeamVisit, *, now: datetime) -> bool:
    locked = lock(visit)
    is_due = locked.state == BeamVisit.State.OFFERED.value and locked.answer_by <= now
    if is_due:
        _give_back(locked, action="visit.lapsed", actor=Actor.system(), now=now)
        offer_news.lapsed(locked, now=now)
    return is_due
