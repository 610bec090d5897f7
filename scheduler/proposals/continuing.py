"""Let long-term and block proposals ask for time in the next cycle, and let lapse what does not roll over."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, noop
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import FacilityCourse, RunCycle
from scheduler.proposals import access, rules, services, steps
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["AllCycles", "NotContinued", "carry_over", "lapse_due"]

_ = noop

R, S = rules.RequestState, rules.BeamProposalState
HAD_TIME = (R.ALLOCATED.value, R.SERVED.value)
GOING_ON = (S.FEASIBLE.value, S.GRADED.value, S.ACCEPTED.value)


class NotContinued(Conflict):
    code = "proposal.not_continued"
    message = _("只有获准的长期课题和机时包课题可以接着申请下一个运行周期的机时。")


class AllCycles(Conflict):
    """The kind stands for so many cycles and no more."""

    code = "proposal.all_cycles"
    message = _("这项课题有效期为 %(cycles)s 个运行周期，已经用完。请提交新的课题。")


class NotLater(Conflict):
    code = "proposal.not_later"
    message = _("运行周期 %(cycle)s 不在上一次申请之后。请选择尚未开始的周期。")


class NotDecided(Conflict):
    """Waiting counts for what was decided: nobody ages by asking for many cycles at once (E3)."""

    code = "proposal.not_decided"
    message = _("运行周期 %(cycle)s 的申请还没有决定。请在决定之后再延续到以后的周期。")


@transaction.atomic
def carry_over(*, actor: Actor, proposal: BeamProposal, cycle: RunCycle, now: datetime) -> list[BeamRequest]:
    """Ask for the same time in a later cycle, as the leader or the user office; idempotent per beamline.

    What got no time has waited one cycle more: that is what ageing counts (E3); after an allocation it starts anew, and who
    was offered time and gave it back has not waited for it.
    Dates are not carried over. Raises NotContinued, AllCycles, NotLater, NotDecided, NotLeader, Forbidden.
    """
    locked = steps.lock(proposal)
    if not access.is_office(actor, locked):
        actor.require(Permission.PROPOSAL_SUBMIT)
        services.leads(actor=actor, locked=locked)
    if cycle.facility_id != locked.facility_id:
        raise Forbidden
    course = steps.course_of(locked.facility, locked.kind)
    rows = list(
        locked.requests.select_for_update(no_key=True, of=("self",))
        .select_related("cycle", "beamline")
        .order_by("cycle__during", "pk")
    )
    present = [row for row in rows if row.cycle_id == cycle.pk]
    if present:
        return present
    if course is None or course.cycles < 2 or locked.state not in GOING_ON or not rows:
        raise NotContinued
    if len({row.cycle_id for row in rows}) >= course.cycles:
        raise AllCycles(cycles=course.cycles)
    last = max(rows, key=lambda row: row.cycle.during.lower).cycle
    if cycle.during.lower <= max(last.during.lower, now):
        raise NotLater(cycle=cycle.code)
    if last.during.upper > now and any(row.cycle_id == last.pk and row.state == R.OPEN.value for row in rows):
        raise NotDecided(cycle=last.code)
    going = [row for row in rows if row.cycle_id == last.pk and row.state != R.WITHDRAWN.value]
    declined = set(locked.requests.filter(allocations__visits__state="declined").values_list("pk", flat=True))
    made = [_next(row, cycle, has_declined=row.pk in declined, now=now) for row in going]
    steps.record(locked, action="beam_proposal.continued", actor=actor, now=now, cycle=cycle.code, requests=len(made))
    return made


def _next(row: BeamRequest, cycle: RunCycle, *, has_declined: bool, now: datetime) -> BeamRequest:
    waited = row.waited if has_declined else row.waited + 1
    made = BeamRequest.objects.create(
        proposal_id=row.proposal_id,
        cycle=cycle,
        beamline=row.beamline,
        shifts=row.shifts,
        off_multiple_reason=row.off_multiple_reason,
        setup=row.setup,
        by_mail=row.by_mail,
        waited=0 if row.state in HAD_TIME else waited,
        grade_c=row.grade_c,
        carried_from=row,
        created_at=now,
    )
    made.devices.set(row.devices.all())
    return made


def lapse_due(*, now: datetime) -> int:
    """End what got no time in a cycle that is over and does not roll over (rapid, E4); return how many requests.

    A proposal with nothing left open ends with it; its team is told that a regular one is needed.
    """
    kinds = FacilityCourse.objects.filter(lapses=True).values_list("facility_id", "kind")
    ended = 0
    for facility_id, kind in list(kinds):
        open_ = BeamRequest.objects.filter(
            proposal__facility_id=facility_id,
            proposal__kind=ProposalKind(kind).value,
            proposal__sent_at__isnull=False,
            state__in=[R.OPEN.value, R.RESERVE.value],
            cycle__during__endswith__lte=now,
        )
        for pk in sorted(set(open_.values_list("proposal_id", flat=True))):
            ended += _lapse(pk, now=now)
    return ended


@transaction.atomic
def _lapse(proposal_id: int, *, now: datetime) -> int:
    locked = steps.lock(BeamProposal(pk=proposal_id))
    rows = locked.requests.select_for_update(no_key=True, of=("self",)).select_related("cycle").order_by("pk")
    over = [row for row in rows if row.state in (R.OPEN.value, R.RESERVE.value) and row.cycle.during.upper <= now]
    for row in over:
        steps.move_request(row, rules.RequestAction.LAPSE)
    if not over:
        return 0
    waiting = locked.requests.filter(state__in=[R.OPEN.value, R.RESERVE.value, *HAD_TIME]).exists()
    step = rules.BeamProposalAction.REFUSE if locked.state in GOING_ON[:2] else rules.BeamProposalAction.WITHDRAW
    if not waiting and (S(locked.state), step) in rules.TRANSITIONS:
        steps.move(locked, step)
        locked.decided_at = now
        locked.save(update_fields=["state", "decided_at"])
    system = Actor.system(_("快速课题失效"))
    steps.record(locked, action="beam_proposal.lapsed", actor=system, now=now, requests=len(over))
    text, remedy = _("运行周期 %(cycle)s 已结束，没有分到机时，申请失效。"), _("仍需要机时的，请在下一次征集期内申请。")
    reason = Reason("proposal.lapsed", text, remedy, params={"cycle": over[-1].cycle.code})
    steps.tell(locked, [reason], key=f"lapsed:{over[-1].pk}", now=now)
    return len(over)
