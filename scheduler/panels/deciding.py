"""Decide a panel's list, and requests that no panel grades; say what was given, so that it can be allocated with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, Refused, noop
from scheduler.facilities.models import FacilityCourse, Partner, RunCycle
from scheduler.facilities.shares import Pool
from scheduler.panels import access, authors, pools, ranking, rounds, rules
from scheduler.panels.models import Assessment, Grading, RankedRequest, Ranking
from scheduler.proposals import outcomes, partners
from scheduler.proposals.models import BeamProposal, BeamRequest
from scheduler.proposals.rules import BeamProposalAction, RequestAction

__all__ = [
    "Assessed",
    "BadDecision",
    "Direct",
    "Given",
    "Graded",
    "NotDirect",
    "SameDecider",
    "WhichCycle",
    "decide",
    "decide_direct",
    "deciders",
]

_ = noop


class SameDecider(Forbidden):
    code = "panel.same_person"
    message = _("这份排序由您草拟、编排或提出，须由另一人决定。")


class Assessed(Forbidden):
    code = "panel.decider_assessed"
    message = _("您已对这项申请作过可行性或安全审查，须由另一人决定。")


class Graded(Forbidden):
    code = "panel.decider_graded"
    message = _("您评审过排序中的申请，须由另一人决定。")


class BadDecision(Refused):
    code = "panel.decision"
    message = _("还不能决定，原因如下。")


class WhichCycle(Conflict):
    code = "panel.which_cycle"
    message = _("这项申请在该线站的多个运行周期都待决定：%(cycles)s。请指明决定哪一个周期。")


class NotDirect(Conflict):
    code = "panel.not_direct"
    message = _("这项申请须经评审组排序或以合同约定，不能直接决定，或目前不在待决定阶段。")


@dataclass(frozen=True, slots=True)
class Given:
    """Shifts that were given to a request from a pool, and why: what becomes an allocation."""

    request_id: int
    pool: Pool
    shifts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Direct:
    """What the director decides of a request without a panel; 0 shifts: refused. `pool` None: the pool of its kind.

    `cycle` is the code of the run cycle; empty where one request alone waits on the beamline.
    """

    beamline: str
    shifts: int
    to_team: str
    pool: Pool | None = None
    cycle: str = ""


@transaction.atomic
def decide(*, actor: Actor, ranking_: Ranking, version: int, now: datetime) -> list[Given]:
    """Decide a proposed list as it is, as the director; return what it gives. The caller allocates in this transaction.

    By nobody who drafted, arranged or proposed it, is in a team on it, or found feasible or safe or graded anything on
    it. Refused where one on it is no longer there, where together more than the open pool has would be given, or anything of a cycle that is over
    or closed. Raises SameDecider, OwnProposal, Assessed, Graded, BadDecision with every reason, Changed,
    InvalidTransition, Forbidden.
    """
    locked = ranking.lock(ranking_, version=version)
    panel = locked.panel
    access.require(actor, panel.facility, Permission.FACILITY_DECIDE)
    if actor.person in authors.authors([locked])[locked.pk]:
        raise SameDecider
    rows = list(locked.rows.select_related("request").order_by("place"))
    proposals = {one.pk: one for one in outcomes.lock(row.request.proposal_id for row in rows)}
    rounds.not_in_team(actor, proposals.values())
    _not_judge(actor, proposals)
    ranking.step(locked, rules.RankingAction.DECIDE)
    pools.lock(locked.beamline)
    requests = {one.pk: one for one in outcomes.lock_requests(row.request_id for row in rows)}
    _check(locked, rows, requests, proposals, now=now)
    locked.decided_by_id, locked.decided_at = actor.person, now
    locked.save()
    given = [one for row in rows if (one := _apply(row, requests[row.request_id], locked))]
    for row in rows:
        request = requests[row.request_id]
        _close(proposals[request.proposal_id], request, row.to_team, key=f"list:{locked.pk}", actor=actor, now=now)
    ranking.record(locked, action="ranking.decided", actor=actor, now=now, shifts=sum(one.shifts for one in given))
    return given


def _not_judge(actor: Actor, proposals: Collection[int]) -> None:
    """Raise Assessed or Graded where the actor judged any of the proposals (by key) before, in whichever round."""
    found = Assessment.objects.filter(proposal__in=proposals, kind__in=["technical", "safety"], by_id=actor.person)
    if found.exists():
        raise Assessed
    if Grading.objects.filter(proposal__in=proposals, state="graded", panelist__user_id=actor.person).exists():
        raise Graded


def _check(
    locked: Ranking,
    rows: Sequence[RankedRequest],
    requests: dict[int, BeamRequest],
    proposals: dict[int, BeamProposal],
    *,
    now: datetime,
) -> None:
    found: list[Reason] = []
    for row in rows:
        proposal = proposals[row.request.proposal_id]
        if requests[row.request_id].state != "open" or proposal.state not in {"graded", "accepted"}:
            text = _("%(number)s 已撤回或不再待定。")
            remedy = _("请退回评审组重新排序。")
            found.append(Reason("panel.gone", text, remedy, "rows", {"number": proposal.number}))
    left = pools.left(locked.beamline, locked.panel.call.cycle, Pool.OPEN)
    if (total := sum(row.shifts for row in rows)) > left:
        text = _("共分配 %(total)s 个班次，开放机时只剩 %(most)s 个。")
        params = {"total": total, "most": left}
        found.append(Reason("panel.pool_short", text, _("请退回评审组减少。"), "rows", params))
    if total:
        found += _over(locked.panel.call.cycle, _("请退回评审组，改为不分配。"), "rows", now=now)
    if found:
        raise BadDecision(found)


def _over(cycle: RunCycle, remedy: str, field: str, *, now: datetime) -> list[Reason]:
    """Return why nothing is given of a cycle any more: it is over or closed."""
    if cycle.closed_at is None and cycle.during.upper > now:
        return []
    text = _("运行周期 %(cycle)s 已结束或已关闭，不能再分配。")
    return [Reason("panel.cycle_over", text, remedy, field, {"cycle": cycle.code})]


def _apply(row: RankedRequest, request: BeamRequest, locked: Ranking) -> Given | None:
    """Move a locked request as its row says; return what it was given."""
    action = RequestAction.REFUSE
    if row.shifts:
        action = RequestAction.ALLOCATE
    elif row.on_reserve:
        action = RequestAction.RESERVE
    outcomes.move_request(request, action)
    request.place = row.place
    request.save(update_fields=["state", "place"])
    if not row.shifts:
        return None
    return Given(request.pk, Pool.OPEN, row.shifts, row.moved_note or f"{locked.panel.name} · {row.place}")


TOLD: Final = {"allocated": "accepted", "reserve": "graded"}
"""What a team is told of a request by its state."""


def _close(
    proposal: BeamProposal, request: BeamRequest, to_team: str, *, key: str, actor: Actor, now: datetime
) -> None:
    """Say what became of a locked proposal: accepted with any time at all, refused once nothing is left to wait for.

    The team is told of each request as it is decided, whichever others were before.
    """
    states = set(proposal.requests.values_list("state", flat=True))
    if "allocated" in states:
        action: BeamProposalAction | None = BeamProposalAction.ACCEPT
    else:
        action = None if states & {"open", "reserve", "served"} else BeamProposalAction.REFUSE
    if action is not None and proposal.state in {"feasible", "graded"}:
        outcomes.move(proposal, action)
    said = to_team.strip()
    proposal.decision_note = said or proposal.decision_note
    proposal.decided_at, proposal.decided_by_id = now, actor.person
    proposal.save()
    is_one = proposal.requests.exclude(state="withdrawn").count() == 1
    outcome = TOLD.get(request.state, "refused" if proposal.state == "refused" else "nothing")
    rounds.tell(proposal, outcome, said, key=key, now=now, where=None if is_one else request)
    rounds.record(proposal, action="beam_proposal.decided", actor=actor, now=now, note=said)


@transaction.atomic
def decide_direct(*, actor: Actor, proposal: BeamProposal, choice: Direct, now: datetime) -> list[Given]:
    """Decide a request of a kind that no panel grades (urgent, rapid, partner) as the director; return what it gives.

    From the kind's own pool, or the director's. By nobody in the team or who found it feasible or safe. Paid kinds
    come by contract. Nothing is given of a cycle that is over or closed. Raises NotDirect, WhichCycle, Assessed,
    OwnProposal, BadDecision, NoteMissing, InvalidTransition, Forbidden.
    """
    (locked,) = outcomes.lock([proposal.pk])
    access.require(actor, locked.facility, Permission.FACILITY_DECIDE)
    rounds.not_in_team(actor, [locked])
    course = FacilityCourse.objects.filter(facility=locked.facility, kind=locked.kind).first()
    if course is None or course.peer_review or course.paid or locked.state not in {"feasible", "accepted"}:
        raise NotDirect
    _not_judge(actor, [locked.pk])
    request = _asked(locked, choice)
    said = rounds.note(choice.to_team, field="to_team")
    pools.lock(request.beamline)
    (held,) = outcomes.lock_requests([request.pk])
    pool = choice.pool or Pool(course.pool)
    faults = _direct_faults(locked, held, choice, pool, own=Pool(course.pool))
    if choice.shifts:
        faults += _over(held.cycle, _("请填 0 并说明，或请课题组改申请以后的周期。"), "cycle", now=now)
    if faults:
        raise BadDecision(faults)
    outcomes.move_request(held, RequestAction.ALLOCATE if choice.shifts else RequestAction.REFUSE)
    held.save(update_fields=["state"])
    _close(locked, held, said, key=f"decided:{held.pk}:{locked.version}", actor=actor, now=now)
    return [Given(held.pk, pool, choice.shifts, said[:500])] if choice.shifts else []


def _asked(proposal: BeamProposal, choice: Direct) -> BeamRequest:
    """Return the open request that is meant. Raises NotDirect, WhichCycle."""
    rows = proposal.requests.filter(beamline__code=choice.beamline, state="open").select_related("beamline", "cycle")
    found = [one for one in rows if choice.cycle in {"", one.cycle.code}]
    if not found:
        raise NotDirect(field="cycle" if choice.cycle else "beamline")
    if len(found) > 1:
        raise WhichCycle(field="cycle", cycles="、".join(sorted(one.cycle.code for one in found)))
    return found[0]


def _direct_faults(proposal: BeamProposal, held: BeamRequest, choice: Direct, pool: Pool, *, own: Pool) -> list[Reason]:
    found: list[Reason] = []
    if not 0 <= choice.shifts <= held.shifts:
        text = _("申请 %(wanted)s 个班次，不能分配 %(shifts)s 个。")
        params = {"wanted": held.shifts, "shifts": choice.shifts}
        found.append(Reason("panel.award", text, _("请填写 0 到申请数之间的班次。"), "shifts", params))
    elif choice.shifts % proposal.facility.multiple and choice.shifts != held.shifts:
        found.append(rounds.off_multiple(proposal.number, proposal.facility, field="shifts"))
    if pool not in {own, Pool.DIRECTOR}:
        found.append(Reason("panel.pool", _("只能从该类课题的机时或主任基金机时中分配。"), "", "pool"))
    left = pools.left(held.beamline, held.cycle, pool)
    if choice.shifts > left:
        text = _("这部分机时只剩 %(most)s 个班次。")
        remedy = _("请减少班次，或从主任基金机时中分配。")
        found.append(Reason("panel.pool_short", text, remedy, "shifts", {"most": left}))
    if choice.shifts and pool is Pool.PARTNER and proposal.partner is not None:
        found += _queues(proposal.partner, held, choice.shifts)
    return found


def _queues(partner: Partner, held: BeamRequest, shifts: int) -> list[Reason]:
    """Return why a partner's request waits: above its share it comes behind every open one of its beamline (E6)."""
    if partners.is_first(partner, held.cycle, further=shifts):
        return []
    waiting = BeamRequest.objects.filter(
        beamline=held.beamline, cycle=held.cycle, state__in=["open", "reserve"], proposal__partner__isnull=True
    ).filter(proposal__state__in=["admitted", "feasible", "graded"])
    if not waiting.exists():
        return []
    text = _("合作方本周期保有 %(kept)s 个班次，已有 %(had)s 个；超出部分排在开放课题之后。")
    params = {"kept": partners.kept(partner, held.cycle), "had": partners.allocated(partner, held.cycle)}
    remedy = _("请先决定该线站的开放课题，或减少班次。")
    return [Reason("panel.partner_share", text, remedy, "shifts", params)]


def deciders(proposals: Iterable[BeamProposal]) -> set[int]:
    """Return who decided anything about the proposals so far: findings, lists, decisions, answers to appeals."""
    pks = [one.pk for one in proposals]
    lists = Ranking.objects.filter(rows__request__proposal__in=pks, decided_by__isnull=False)
    found = set(lists.values_list("decided_by_id", flat=True)) | set(lists.values_list("proposed_by_id", flat=True))
    found |= set(Assessment.objects.filter(proposal__in=pks, passed=False).values_list("by_id", flat=True))
    found |= set(BeamProposal.objects.filter(pk__in=pks).values_list("decided_by_id", flat=True))
    answers = BeamProposal.objects.filter(pk__in=pks, appeals__answered_by__isnull=False)
    return (found | set(answers.values_list("appeals__answered_by_id", flat=True))) - {None}
