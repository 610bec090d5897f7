"""Move a visit that was offered already: the team is asked again."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Invalid, NotFound, noop
from portal.kernel.period import Period
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.beamtime import adopting, answering, drafting, faulting, gathering, offer_news, rules
from scheduler.beamtime.arranging import NoShiftThere
from scheduler.beamtime.drafts import ChangedMeanwhile
from scheduler.beamtime.models import BeamVisit
from scheduler.beamtime.planning_access import require_planner
from scheduler.beamtime.ports import Placed, Problem
from scheduler.resources.models import Resource

__all__ = ["MoveReason", "move"]

_ = noop
REASON: Final = 500


class MoveReason(Invalid):
    code = "beamtime.move_reason"
    message = _("请写明改期的原因（500 字以内），课题组会看到。")


def move(*, actor: Actor, visit: BeamVisit, starts_at: datetime, seen: int, reason: str, now: datetime) -> BeamVisit:
    """Move a visit to the shift that starts at `starts_at`, as the planner, with a reason the team reads.

    It is an offer again, whatever it was: its claims are held and the team answers anew. `seen` is the visit's version.
    Offers nobody answered in time lapse first.
    Raises NotAsDrafted with everything it would meet, ChangedMeanwhile, NoShiftThere, MoveReason, InvalidTransition,
    Forbidden.
    """
    require_planner(actor, visit.beamline.facility)
    if not 1 <= len(reason.strip()) <= REASON:
        raise MoveReason(field="reason")
    offered = BeamVisit.objects.filter(gathering.due_offers(now), beamline__facility=visit.beamline.facility)
    answering.lapse_due(now=now, visit_ids=list(offered.values_list("pk", flat=True)))
    return _move(actor=actor, visit=visit, starts_at=starts_at, seen=seen, reason=reason.strip(), now=now)


@transaction.atomic
def _move(*, actor: Actor, visit: BeamVisit, starts_at: datetime, seen: int, reason: str, now: datetime) -> BeamVisit:
    locked = answering.lock(visit)
    if locked.version != seen:
        raise ChangedMeanwhile
    if locked.state != rules.VisitState.OFFERED.value and locked.promised_at is None:
        # The team had said yes: whatever becomes of the new day, this beam was promised.
        locked.promised_at = locked.answered_at or now
    answering.step(locked, rules.VisitAction.MOVE)
    cycle = gathering.cycle_of(locked)
    if cycle is None:
        raise NotFound
    gathered = gathering.gather(cycle, now=now, without=[locked.pk])
    request = locked.allocation.request
    number = f"A{locked.allocation_id}"
    asked = gathering.wish(number, request, gathered.cycle, shifts=locked.shifts, worth=0, code=locked.beamline.code)
    start = gathered.cycle.start_of(starts_at)
    if start is None or start + locked.shifts > len(gathered.cycle.shifts):
        raise NoShiftThere(field="starts_at")
    standing = tuple(one for one in gathered.problem.requests if one.number in gathered.visits)
    placed = [Placed(locked.beamline.code, start, number, locked.shifts), *gathered.standing]
    problem = Problem(gathered.problem.lines, (*standing, asked), gathered.problem.busy)
    known = {**gathered.allocations, number: locked.allocation}
    about = gathering.Gathered(
        gathered.cycle, gathered.lines, problem, known, gathered.visits, gathered.standing, gathered.people
    )
    staffed = {"chosen": gathered.chosen()}
    if locked.operator_id is not None:
        staffed["preferred"] = {number: f"R{locked.operator_id}"}
    if wrong := [one for one in drafting.faults(problem, placed, **staffed) if one.number == number]:
        raise faulting.NotAsDrafted([faulting.explain(one, about) for one in wrong])
    who = drafting.staff(problem, placed, **staffed).get(number, "")
    was, period = locked.during.lower.isoformat(), gathered.cycle.period(start, locked.shifts)
    _moved(locked, period=period, operator=gathered.people.get(who), now=now)
    adopting.record(locked, action="visit.moved", actor=actor, now=now, was=was, reason=reason)
    offer_news.moved(locked, now=now)
    return locked


def _moved(locked: BeamVisit, *, period: Period, operator: Resource | None, now: datetime) -> None:
    adopting.free(locked)
    locked.during = (period.start, period.end)
    locked.operator = operator
    locked.offered_at = now
    locked.answer_by = adopting.answer_by(locked.beamline.facility, starts_at=period.start, now=now)
    locked.answered_by, locked.answered_at, locked.answer_note = None, None, ""
    # Who was there, and what was taken late, was so for another day.
    locked.checked_in_at, locked.late_reason = None, ""
    plan = adopting.Plan(locked.allocation, locked.beamline, period, locked.shifts, operator)
    try:
        with transaction.atomic():
            locked.save()
        locked.refresh_from_db(fields=["during"])
        adopting.claim(locked, state=Claim.State.HELD)
    except claiming.Taken as taken:
        raise faulting.NotAsDrafted([adopting.clash(plan, taken.resource_ids)]) from None
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", "") != "23P01":
            raise
        raise faulting.NotAsDrafted([adopting.clash(plan, [locked.beamline_id])]) from None
