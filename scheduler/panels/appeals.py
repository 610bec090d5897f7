"""Take a team's appeal and answer it: by somebody who decided nothing of it before; upheld, it is judged anew."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, PortalError, noop
from portal.kernel.states import next_state
from scheduler.panels import access, deciding, rounds, rules
from scheduler.panels.models import Appeal
from scheduler.proposals import outcomes
from scheduler.proposals.access import is_team
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import BeamProposalAction, RequestAction

__all__ = [
    "AlreadyAnswered",
    "AlreadyAppealed",
    "CycleOver",
    "DecidedBefore",
    "NothingToAppeal",
    "TooLate",
    "answer",
    "appeal",
    "refusal",
]

_ = noop
A, S = rules.AppealAction, rules.AppealState


class NothingToAppeal(Conflict):
    code = "appeal.nothing"
    message = _("只有未获机时或不可行的申请可以申诉。")


class AlreadyAppealed(Conflict):
    code = "appeal.open"
    message = _("已有一份申诉在等待答复。")


class AlreadyAnswered(Conflict):
    code = "appeal.answered"
    message = _("对这一决定的申诉已经答复，不能再次申诉。")


class TooLate(Conflict):
    code = "appeal.too_late"
    message = _("申诉须在决定后 %(days)s 天内提出，现已过期。可在下一次征集中重新申请。")


class CycleOver(Conflict):
    code = "appeal.cycle_over"
    message = _("申请的运行周期已结束或已关闭，无法重新评审。请答复申诉不成立并说明，课题组可在下一次征集中重新申请。")


class DecidedBefore(Forbidden):
    code = "appeal.decided_before"
    message = _("您参与过这项申请此前的审查或决定，申诉须由另一人答复。")


def refusal(proposal: BeamProposal, *, now: datetime) -> PortalError | None:
    """Return why nobody can appeal for a proposal now; None: its team can, once for each time it was decided. One query."""
    if proposal.state not in {"refused", "not_feasible"}:
        return NothingToAppeal()
    # Whatever was upheld was judged and decided anew afterwards: that may be appealed against again.
    latest = proposal.appeals.order_by("-pk").values_list("state", flat=True).first()
    if latest == S.OPEN.value:
        return AlreadyAppealed()
    if latest == S.DISMISSED.value:
        return AlreadyAnswered()
    if proposal.decided_at is not None and now >= proposal.decided_at + timedelta(days=rules.APPEAL_DAYS):
        return TooLate(days=rules.APPEAL_DAYS)
    return None


@transaction.atomic
def appeal(*, actor: Actor, proposal: BeamProposal, text: str, now: datetime) -> Appeal:
    """Appeal against a refusal, as somebody of the team, for the organisation she joined it for.

    Raises NothingToAppeal, AlreadyAppealed, AlreadyAnswered, TooLate, NoteMissing, Forbidden.
    """
    (locked,) = outcomes.lock([proposal.pk])
    if not is_team(actor, locked):
        raise Forbidden
    if refused := refusal(locked, now=now):
        raise refused
    said = rounds.note(text, field="text", most=rounds.TEXT)
    try:
        with transaction.atomic():
            made = Appeal.objects.create(proposal=locked, text=said, by_id=actor.person, at=now)
    except IntegrityError as error:
        raise AlreadyAppealed from error
    rounds.record(locked, action="appeal.made", actor=actor, now=now)
    return made


@transaction.atomic
def answer(*, actor: Actor, appeal: Appeal, uphold: bool, text: str, now: datetime) -> Appeal:
    """Answer an appeal with reasons, as director or user office; upheld, the proposal goes back to be judged anew.

    A refusal goes back to the panel, what was found not feasible to the staff. Raises CycleOver where nothing was asked
    of a cycle still to be given, DecidedBefore, OwnProposal, NoteMissing, InvalidTransition, Forbidden.
    """
    (locked,) = outcomes.lock([appeal.proposal_id])
    access.require(actor, locked.facility, Permission.FACILITY_DECIDE, Permission.FACILITY_MANAGE)
    rounds.not_in_team(actor, [locked])
    if actor.person in deciding.deciders([locked]):
        raise DecidedBefore
    row = Appeal.objects.select_for_update(no_key=True).order_by("pk").get(pk=appeal.pk)
    row.state = next_state(rules.APPEAL_TRANSITIONS, S(row.state), A.UPHOLD if uphold else A.DISMISS).value
    row.answer = rounds.note(text, field="text", most=rounds.TEXT)
    row.answered_by_id, row.answered_at = actor.person, now
    row.save()
    if uphold:
        _reopen(locked, now=now)
    rounds.tell(locked, locked.state if uphold else "dismissed", row.answer, key=f"appeal:{row.pk}", now=now)
    rounds.record(locked, action="appeal.answered", actor=actor, now=now, upheld=uphold)
    return row


def _reopen(proposal: BeamProposal, *, now: datetime) -> None:
    alive = proposal.requests.filter(cycle__closed_at__isnull=True, cycle__during__endswith__gt=now)
    if not alive.filter(state__in=["open", "refused"]).exists():
        raise CycleOver
    outcomes.move(proposal, BeamProposalAction.APPEAL)
    proposal.save(update_fields=["state", "version"])
    refused = alive.filter(state="refused").values_list("pk", flat=True)
    for request in outcomes.lock_requests(refused):
        outcomes.move_request(request, RequestAction.REOPEN)
        request.save(update_fields=["state"])
