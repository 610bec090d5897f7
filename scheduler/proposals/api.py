"""Endpoints of proposals: a team's own, and the answers to its invitations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Query, Router, Status, UploadedFile

from portal.http import explain_reason
from portal.kernel.errors import Reason
from portal.wire import ActorRequest, IdempotencyKey, Number, PageOut, key_from, paged, problems
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.grid import offered
from scheduler.proposals import access, continuing, drafting, files, queries, services, steps, team
from scheduler.proposals.models import BeamProposal, BeamRequest, TeamMember
from scheduler.proposals.schemas import (
    BeamProposalFilter,
    BeamProposalOut,
    BeamProposalRowOut,
    BeginProposalIn,
    CarryOverIn,
    Code,
    Id,
    InvitationAnswerIn,
    ProposalNoteIn,
    SaveProposalIn,
    TeamMemberIn,
)
from vouchers.evidence import rules as evidence
from vouchers.evidence import services as store

router = Router(tags=["beam proposals"])


def row_of(found: BeamProposal) -> dict[str, Any]:
    """Return a proposal as `BeamProposalRowOut`."""
    return {
        "number": found.number,
        "facility": found.facility.code,
        "call": found.call.number if found.call else None,
        "kind": found.kind,
        "state": found.state,
        "state_label": found.get_state_display(),
        "title": found.title,
        "organisation": found.organisation.name,
        "is_confidential": found.is_confidential,
        "shifts": sum(one.shifts for one in found.requests.all()),
        "sent_at": found.sent_at,
    }


def _request(row: BeamRequest, multiple: int) -> dict[str, Any]:
    return {
        "beamline": row.beamline.code,
        "cycle": row.cycle.code,
        "state": row.state,
        "state_label": row.get_state_display(),
        "shifts": row.shifts,
        "offers": list(offered(row.shifts, multiple=multiple)) if row.shifts else [],
        "reason": row.off_multiple_reason,
        "good": [date.fromisoformat(day) for day in row.good],
        "bad": [date.fromisoformat(day) for day in row.bad],
        "devices": [device.code for device in row.devices.all()],
        "setup": row.setup,
        "by_mail": row.by_mail,
        "waited": row.waited,
    }


def _member(row: TeamMember, *, whole: bool) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "email": row.email if whole and not row.email.endswith("@portal.invalid") else "",
        "organisation": row.organisation.name if row.organisation else "",
        "is_leader": row.is_leader,
        "state": row.state,
    }


def shown(request: ActorRequest, number: str) -> dict[str, Any]:
    """Return a proposal the caller may see as `BeamProposalOut`."""
    found = access.get_proposal(request.actor, number)
    ours = access.is_team(request.actor, found)
    wanting: list[Reason] = []
    if found.state in steps.EDITABLE and ours:
        wanting, _told = services.wanting(proposal=found, past=queries.past_of(found), now=timezone.now())
    names = ("summary", "urgency", "no_samples", "version", "return_note", "decision_note", "owed")
    parts = ("name", "amount", "afterwards", "substance", "form", "hazards", "handling")
    present = found.team.exclude(state="removed").select_related("organisation")
    asked = found.requests.select_related("beamline", "cycle").prefetch_related("devices")
    return {
        **row_of(found),
        **{name: getattr(found, name) for name in names},
        "partner_part": found.partner_part.code if found.partner_part else "",
        "team": [_member(one, whole=ours) for one in present],
        "samples": [{name: getattr(one, name) for name in parts} for one in found.samples.all()],
        "requests": [_request(one, found.facility.multiple) for one in asked],
        "answers": [
            {
                "form": one.form.code,
                **{name: getattr(one, name) for name in ("text", "name", "pages", "size", "sha256", "at")},
            }
            for one in found.answers.select_related("form")
        ],
        "wanting": [explain_reason(reason) for reason in wanting],
    }


def _act(request: ActorRequest, number: str, act: Callable[..., object], **more: Any) -> dict[str, Any]:
    act(actor=request.actor, proposal=access.get_own(request.actor, number), now=timezone.now(), **more)
    return shown(request, number)


@router.post("", response={201: BeamProposalOut, **problems(404, 409)})
def begin_proposal(request: ActorRequest, payload: BeginProposalIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Begin a draft under a call, or of a kind that needs none; who begins it leads the team."""
    wanted = drafting.Begun(
        facility=access.get_facility(payload.facility),
        kind=ProposalKind(payload.kind),
        title=payload.title,
        call=access.get_call(payload.call) if payload.call else None,
        partner_part=payload.partner_part,
    )
    made = drafting.begin(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, shown(request, made.number))


@router.get("", response={200: PageOut[BeamProposalRowOut], **problems()})
def list_proposals(request: ActorRequest, wanted: Query[BeamProposalFilter]) -> dict[str, Any]:
    """List the proposals the caller may see: of its teams, of its organisation, and those sent to its facilities."""
    rows = access.visible_to(request.actor).prefetch_related("requests")
    for name, column in (
        ("state", "state"),
        ("kind", "kind"),
        ("facility", "facility__code"),
        ("call", "call__number"),
    ):
        if (value := getattr(wanted, name)) is not None:
            rows = rows.filter(**{column: value})
    return paged(rows, wanted, row_of)


@router.get("/{number}", response={200: BeamProposalOut, **problems(404)})
def get_beam_proposal(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one proposal."""
    return shown(request, number)


@router.put("/{number}", response={200: BeamProposalOut, **problems(404, 409)})
def save_proposal(request: ActorRequest, number: Number, payload: SaveProposalIn) -> dict[str, Any]:
    """Keep what the team wrote, finished or not. `wanting` in the answer says what keeps it from being sent."""
    return _act(request, number, drafting.save, content=payload.value(), version=payload.version)


@router.post("/{number}/files/{form}", response={200: BeamProposalOut, **problems(404, 409)})
def upload_proposal_file(request: ActorRequest, number: Number, form: Code, file: File[UploadedFile]) -> dict[str, Any]:
    """Hand in a PDF for a form of the call: pages and size are checked at once, all that is wrong is said."""
    sent = store.Upload(file.name or "file", file.read(evidence.MAX_BYTES + 1))
    return _act(request, number, files.upload, code=form, file=sent)


@router.delete("/{number}/files/{form}", response={200: BeamProposalOut, **problems(404, 409)})
def remove_proposal_file(request: ActorRequest, number: Number, form: Code) -> dict[str, Any]:
    """Take a file back."""
    return _act(request, number, files.remove, code=form)


@router.get("/{number}/files/{form}", response={200: bytes, **problems(404)})
def get_proposal_file(request: ActorRequest, number: Number, form: Code) -> HttpResponse:
    """Return the bytes of a file."""
    kept = files.stored(access.get_proposal(request.actor, number), form)
    response = HttpResponse(store.read(file=kept), content_type=kept.media_type)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


@router.post("/{number}/submit", response={200: BeamProposalOut, **problems(404, 409)})
def submit_proposal(request: ActorRequest, number: Number, key: IdempotencyKey) -> dict[str, Any]:
    """Send a proposal, as its leader. 409 carries every reason against it; the draft stays as it is."""
    found = access.get_own(request.actor, number)
    now = timezone.now()
    services.submit(actor=request.actor, proposal=found, past=queries.past_of(found), now=now, key=key_from(key))
    return shown(request, number)


@router.post("/{number}/withdraw", response={200: BeamProposalOut, **problems(404, 409)})
def withdraw_proposal(request: ActorRequest, number: Number, payload: ProposalNoteIn) -> dict[str, Any]:
    """Withdraw a proposal and what it asks for, as its leader."""
    return _act(request, number, services.withdraw, note=payload.note)


@router.post("/{number}/carry-over", response={200: BeamProposalOut, **problems(404, 409)})
def carry_over(request: ActorRequest, number: Number, payload: CarryOverIn) -> dict[str, Any]:
    """Go on with a long-term or block proposal in a later run cycle, as its leader or as the user office."""
    found = access.get_proposal(request.actor, number)
    cycle = queries.get_cycle(found.facility, payload.cycle)
    continuing.carry_over(actor=request.actor, proposal=found, cycle=cycle, now=timezone.now())
    return shown(request, number)


@router.post("/{number}/team", response={200: BeamProposalOut, **problems(404, 409)})
def invite_to_team(request: ActorRequest, number: Number, payload: TeamMemberIn) -> dict[str, Any]:
    """Ask somebody into the team by mail, as its leader."""
    return _act(request, number, team.invite, name=payload.name, email=payload.email)


@router.post("/{number}/team/{member_id}/again", response={200: BeamProposalOut, **problems(404, 409)})
def invite_again(request: ActorRequest, number: Number, member_id: Id) -> dict[str, Any]:
    """Send a new link to somebody who has not answered or declined; the old one ends."""
    return _act(request, number, team.invite_again, member_id=member_id)


@router.post("/{number}/team/{member_id}/lead", response={200: BeamProposalOut, **problems(404, 409)})
def hand_over_lead(request: ActorRequest, number: Number, member_id: Id) -> dict[str, Any]:
    """Hand the lead of the team to somebody who has joined; once its leader has left, as anybody of it or the office."""
    found = access.get_led(request.actor, number)
    team.lead(actor=request.actor, proposal=found, member_id=member_id, now=timezone.now())
    return shown(request, number)


@router.delete("/{number}/team/{member_id}", response={200: BeamProposalOut, **problems(404, 409)})
def remove_from_team(request: ActorRequest, number: Number, member_id: Id) -> dict[str, Any]:
    """Take somebody out of the team, as its leader."""
    return _act(request, number, team.remove, member_id=member_id)


@router.post("/invitations/accept", response={200: BeamProposalOut, **problems(404, 409)})
def accept_invitation(request: ActorRequest, payload: InvitationAnswerIn) -> dict[str, Any]:
    """Join a team, by the secret of the link that was mailed, for the organisation the caller acts for."""
    member = team.join(actor=request.actor, secret=payload.secret, now=timezone.now())
    return shown(request, member.proposal.number)


@router.post("/invitations/decline", response={204: None, **problems(404, 409)})
def decline_invitation(request: ActorRequest, payload: InvitationAnswerIn) -> Status[None]:
    """Decline to join a team."""
    team.decline(actor=request.actor, secret=payload.secret, now=timezone.now())
    return Status(204, None)
