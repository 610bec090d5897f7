"""The list of visits that lost beam, in the order in which time is given back, and what is decided of each.

Source: lost beam is not credited by itself; who was hit is listed and somebody decides (Diamond, E8).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.states import next_state
from scheduler.beamtime import rules, telling, visit_rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamAllocation, BeamVisit, Compensation
from scheduler.facilities.grades import Direction
from scheduler.facilities.models import Facility, RunCycle
from scheduler.panels import rounds
from scheduler.proposals import finishing

__all__ = ["ask", "decline", "grant", "ordered"]

C = rules.CompensationState


def ordered(*, facility: Facility, cycle: RunCycle | None = None) -> list[Compensation]:
    """Return what waits for a decision at a facility (of one cycle), in the order of `rules.compensation`. One query."""
    rows = Compensation.objects.filter(
        visit__beamline__facility=facility, state=C.LISTED.value, lost_min__gte=1
    ).select_related(
        "visit__beamline__facility",
        "visit__allocation__request__cycle",
        "visit__allocation__request__proposal__organisation",
    )
    if cycle is not None:
        rows = rows.filter(visit__allocation__request__cycle=cycle)
    by_number = {one.visit.number: one for one in rows}
    hits = [_hit(one) for one in by_number.values()]
    return [by_number[hit.number] for hit in rules.compensation(hits, best=Direction(facility.best))]


def _hit(one: Compensation) -> rules.Hit:
    request = one.visit.allocation.request
    return rules.Hit(
        number=one.visit.number,
        cancelled=one.is_cancelled,
        lost_min=one.lost_min,
        grade=None if request.grade_c is None else Decimal(request.grade_c) / 100,
        by_mail=request.by_mail,
        ended_at=one.visit.ended_at,
    )


def _lock(visit: BeamVisit) -> Compensation:
    found = (
        Compensation.objects.select_for_update(no_key=True, of=("self",))
        .select_related("visit__beamline__facility", "visit__allocation__request__proposal")
        .filter(visit=visit)
        .order_by("pk")
        .first()
    )
    if found is None:
        raise NotFound
    return found


@transaction.atomic
def ask(*, actor: Actor, visit: BeamVisit, note: str, now: datetime) -> Compensation:
    """Say, as the team, what the lost beam meant and what is still needed. It credits nothing.

    Raises NotFound where nothing is listed, InvalidTransition once it is decided, ReasonMissing, Forbidden.
    """
    actor.require(Permission.PROPOSAL_SUBMIT)
    if not access.is_team(actor, visit):
        raise Forbidden
    locked = _lock(visit)
    next_state(rules.COMPENSATION_TRANSITIONS, C(locked.state), rules.CompensationAction.GRANT)
    locked.asked_note = visit_rules.noted(note, field="note")
    locked.save(update_fields=["asked_note"])
    visits.record(locked.visit, action="compensation.asked", actor=actor, now=now)
    return locked


def _decide(
    *, actor: Actor, visit: BeamVisit, action: rules.CompensationAction, note: str, now: datetime
) -> Compensation:
    actor.require(Permission.FACILITY_DECIDE)
    locked = _lock(visit)
    if locked.visit.beamline.facility.owner_id != actor.organisation_id:
        raise Forbidden
    rounds.not_in_team(actor, [locked.visit.allocation.request.proposal])
    locked.state = next_state(rules.COMPENSATION_TRANSITIONS, C(locked.state), action).value
    locked.decision_note = visit_rules.noted(note, field="note")
    locked.decided_by_id, locked.decided_at = actor.person, now
    locked.save()
    return locked


@transaction.atomic
def grant(*, actor: Actor, visit: BeamVisit, shifts: int, note: str, now: datetime) -> BeamAllocation:
    """Give shifts back for lost beam, as the director, with a reason: an allocation from the same pool, to be scheduled
    in this cycle or any later one.

    By nobody of its team. Raises BadBack above the visit's own shifts, NotFound where nothing is listed, InvalidTransition
    the second time, ReasonMissing, OwnProposal, Forbidden.
    """
    decided = _decide(actor=actor, visit=visit, action=rules.CompensationAction.GRANT, note=note, now=now)
    lost = decided.visit
    if not 1 <= shifts <= lost.shifts:
        raise visit_rules.BadBack(field="shifts", most=lost.shifts)
    made = BeamAllocation.objects.create(
        request=lost.allocation.request,
        pool=lost.allocation.pool,
        shifts=shifts,
        made_up_for=lost,
        reason=decided.decision_note,
        given_by_id=actor.person,
        given_at=now,
    )
    finishing.allocate(request=lost.allocation.request)
    telling.decided(lost, shifts=shifts, why=decided.decision_note, now=now)
    visits.record(lost, action="compensation.granted", actor=actor, now=now, shifts=shifts)
    return made


@transaction.atomic
def decline(*, actor: Actor, visit: BeamVisit, note: str, now: datetime) -> Compensation:
    """Give nothing back for lost beam, as the director, with a reason the team reads.

    Raises NotFound, InvalidTransition, ReasonMissing, OwnProposal, Forbidden.
    """
    decided = _decide(actor=actor, visit=visit, action=rules.CompensationAction.DECLINE, note=note, now=now)
    telling.decided(decided.visit, shifts=0, why=decided.decision_note, now=now)
    visits.record(decided.visit, action="compensation.declined", actor=actor, now=now)
    return decided
