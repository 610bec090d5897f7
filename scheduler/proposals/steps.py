"""What the writers of proposals share: lock, take a step and record it, tell the team."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.states import next_state
from scheduler.facilities.courses import Course, ProposalKind
from scheduler.facilities.models import Facility, FacilityCourse
from scheduler.facilities.shares import Pool
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.proposals import access, rules
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = [
    "EDITABLE",
    "Closed",
    "NoteMissing",
    "course_of",
    "edited",
    "local_day",
    "lock",
    "move",
    "move_request",
    "noted",
    "record",
    "tell",
]

_ = noop

NOTE = 500
EDITABLE = (rules.BeamProposalState.DRAFT.value, rules.BeamProposalState.RETURNED.value)
"""What a team may still change."""


class NoteMissing(Invalid):
    code = "proposal.note"
    message = _("请写明原因（500 字以内）。")


class Closed(Conflict):
    code = "proposal.closed"
    message = _("申请已经提交，不能再修改。需要修改时请联系用户办公室退回。")


def local_day(facility: Facility, now: datetime) -> date:
    return now.astimezone(ZoneInfo(facility.zone)).date()


def course_of(facility: Facility, kind: str) -> Course | None:
    """Return how a kind goes at a facility, None where it is not offered."""
    row = FacilityCourse.objects.filter(facility=facility, kind=ProposalKind(kind).value).first()
    if row is None:
        return None
    said = {name: getattr(row, name) for name in Course.__slots__ if name != "pool"}
    return Course(pool=Pool(row.pool), **said)


def lock(proposal: BeamProposal) -> BeamProposal:
    """Lock a proposal and return it as it is now; before its requests, after nothing."""
    return (
        BeamProposal.objects.select_for_update(no_key=True, of=("self",))
        .select_related("facility", "call__cycle", "organisation", "partner", "partner_part")
        .order_by("pk")
        .get(pk=proposal.pk)
    )


def edited(*, actor: Actor, proposal: BeamProposal) -> BeamProposal:
    """Lock a proposal that its team changes. Raises Forbidden, Closed."""
    actor.require(Permission.PROPOSAL_SUBMIT)
    locked = lock(proposal)
    if not access.is_team(actor, locked):
        raise Forbidden
    if locked.state not in EDITABLE:
        raise Closed
    return locked


def noted(note: str) -> str:
    """Return a reason given. Raises NoteMissing."""
    note = note.strip()
    if not note or len(note) > NOTE:
        raise NoteMissing(field="note")
    return note


def record(proposal: BeamProposal, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write down an act for the team's organisation and the facility; no title, no word of the work goes in."""
    audit.record(
        action=action,
        subject=proposal.subject,
        actor=actor,
        now=now,
        organisations=[proposal.organisation_id, proposal.facility.owner_id],
        data={"state": proposal.state, **data},
    )


def move(proposal: BeamProposal, step: rules.BeamProposalAction) -> None:
    """Take the transition; the caller saves `state`. Raises InvalidTransition."""
    proposal.state = next_state(rules.TRANSITIONS, rules.BeamProposalState(proposal.state), step).value


def move_request(request: BeamRequest, step: rules.RequestAction) -> None:
    """Take a request's transition and save it. Raises InvalidTransition."""
    request.state = next_state(rules.REQUEST_TRANSITIONS, rules.RequestState(request.state), step).value
    request.save(update_fields=["state"])


def tell(proposal: BeamProposal, reasons: list[Reason], *, key: str, now: datetime) -> None:
    """Tell every joined member of the team what happened. Neither title nor work is in the message.

    `key` makes it one thing told once. Call in the transaction in which it happens.
    """
    said = messages.said(reasons=reasons)
    for member in proposal.team.filter(state=rules.InvitationState.JOINED.value, user__isnull=False):
        messages.tell(
            told=messages.Told(
                kind=MessageKind.PROPOSAL_NEWS,
                organisation_id=member.organisation_id or proposal.organisation_id,
                user_id=member.user_id,
                key=f"proposal_news:{proposal.number}:{key}",
                instrument=proposal.facility.name,
                instrument_en=proposal.facility.name_en,
                about=proposal.number,
                params={"number": proposal.number},
                reasons=said,
                permission=Permission.PROPOSAL_SUBMIT,
                only_person=True,
            ),
            now=now,
        )
