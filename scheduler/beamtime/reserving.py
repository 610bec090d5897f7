"""Give time that came free to the next on the reserve list of its beamline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.db.models import F

from portal.kernel.actors import Actor
from portal.kernel.period import Period
from portal.numbers.services import next_number
from scheduler.availability import claiming
from scheduler.beamtime import adopting, drafting, gathering
from scheduler.beamtime.models import BeamAllocation, BeamQuote, BeamVisit
from scheduler.beamtime.ports import Placed, Problem, Request
from scheduler.facilities import queries as facilities
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.facilities.shares import Pool
from scheduler.panels import pools
from scheduler.proposals import outcomes
from scheduler.proposals import rules as proposals
from scheduler.proposals.models import BeamProposal, BeamRequest
from scheduler.resources import services as resources

__all__ = ["move_up", "waiting"]

MOVED_UP: Final = "reserve"
"""Reason of an allocation that came from the reserve list."""


def waiting(cycle: RunCycle, beamline: Beamline) -> Iterator[BeamRequest]:
    """Yield the reserve list of a beamline, the best first; who gave time back in this cycle is not asked again.

    Nor is whose time is paid by contract: it gets a new quote.
    """
    declined = BeamVisit.objects.filter(state="declined", allocation__request__cycle=cycle)
    rows = (
        BeamRequest.objects.filter(cycle=cycle, beamline=beamline, state="reserve")
        .exclude(pk__in=declined.values("allocation__request_id"))
        .exclude(pk__in=BeamQuote.objects.filter(charge__isnull=False).values("request_id"))
        .select_related("proposal", "beamline")
        .prefetch_related("devices")
        .order_by(F("place").asc(nulls_last=True), "pk")
    )
    yield from rows


def move_up(*, cycle: RunCycle, beamline: Beamline, span: Period, now: datetime) -> list[BeamVisit]:
    """Offer free time to the reserve list in its order, each to the first it fits; return what was offered.

    Everything a request needs has to be there: its devices, somebody who can run it, none of its bad dates, and so many
    shifts in the pool of its own kind, whoever gave the time back (F18). The caller is in a transaction; nothing is offered where the time was taken meanwhile.
    """
    made: list[BeamVisit] = []
    if cycle.closed_at is not None or span.end <= now:
        return made
    courses = facilities.courses_of(beamline.facility)
    # Read once, and again after each offer: what one was given is there for nobody else.
    gathered, left = gathering.gather(cycle, now=now), dict[Pool, int]()
    for request in waiting(cycle, beamline):
        course = courses.get(ProposalKind(request.proposal.kind))
        if course is None:
            continue
        if course.pool not in left:
            left[course.pool] = pools.left(beamline, cycle, course.pool)
        if left[course.pool] < request.shifts:
            continue
        plan = _plan(request, beamline, span, gathered=gathered, pool=course.pool.value, now=now)
        if plan is None:
            continue
        resources.lock(resource_ids=adopting.touched([plan]))
        if not _still_waits(request) or pools.left(beamline, cycle, course.pool) < request.shifts:
            continue
        plan.allocation.save()
        number = next_number(prefix=adopting.NUMBERS, now=now)
        try:
            made.append(adopting.offer(plan=plan, number=number, actor=Actor.system(), now=now))
        except claiming.Taken:
            plan.allocation.delete()
            continue
        outcomes.move_request(request, proposals.RequestAction.ALLOCATE)
        request.save(update_fields=["state"])
        _accept(request, now=now)
        gathered, left = gathering.gather(cycle, now=now), {}
    return made


def _still_waits(request: BeamRequest) -> bool:
    """Lock a proposal, the beamline's pools, the request, in this order as all do; say whether it waits and is not withdrawn."""
    request.proposal = BeamProposal.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.proposal_id)
    pools.lock(request.beamline)
    held = BeamRequest.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.pk)
    request.state = held.state
    gone = proposals.BeamProposalState.WITHDRAWN.value
    return held.state == proposals.RequestState.RESERVE.value and request.proposal.state != gone


def _accept(request: BeamRequest, *, now: datetime) -> None:
    """The proposal of a request that moved up has beam time now."""
    proposal = request.proposal
    step = proposals.BeamProposalState(proposal.state), proposals.BeamProposalAction.ACCEPT
    if step in proposals.TRANSITIONS:
        proposal.state, proposal.decided_at = proposals.TRANSITIONS[step].value, now
        proposal.save(update_fields=["state", "decided_at"])


def _plan(
    request: BeamRequest, beamline: Beamline, span: Period, *, gathered: gathering.Gathered, pool: str, now: datetime
) -> adopting.Plan | None:
    """Return where in the free time a request fits, the best place for it first; None: nowhere."""
    cycle = gathered.cycle
    inside = cycle.within([span])
    if len(inside) < request.shifts:
        return None
    code = beamline.code
    worth = gathering.points(pool, request, beamline.facility)
    asked: Request = gathering.wish("new", request, cycle, shifts=request.shifts, worth=worth, code=code)
    standing = [one for one in gathered.problem.requests if one.number in gathered.visits]
    problem = Problem(gathered.problem.lines, (*standing, asked), gathered.problem.busy)
    [line] = [one for one in problem.lines if one.code == code]
    for start in sorted(drafting.starts(problem, asked, line), key=lambda at: (-drafting.worth(asked, at), at)):
        one = Placed(code, start, "new", request.shifts)
        placed = [one, *gathered.standing]
        if inside.issuperset(range(one.start, one.end)) and not any(
            fault.number == "new" for fault in drafting.faults(problem, placed, chosen=gathered.chosen())
        ):
            who = drafting.staff(problem, placed, chosen=gathered.chosen()).get("new", "")
            allocation = BeamAllocation(
                request=request, pool=pool, shifts=request.shifts, reason=MOVED_UP, given_at=now
            )
            return adopting.Plan(
                allocation, beamline, cycle.period(start, request.shifts), request.shifts, gathered.people.get(who)
            )
    return None
