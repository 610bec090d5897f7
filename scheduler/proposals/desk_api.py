"""Endpoints of a user office's desk: what was sent, the formal check, proposals brought in by a file."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from ninja import Query, Router

from portal.wire import ActorRequest, Number, PageOut, paged, problems
from scheduler.proposals import access, services
from scheduler.proposals.api import row_of, shown
from scheduler.proposals.schemas import BeamProposalFilter, BeamProposalOut, BeamProposalRowOut, ProposalNoteIn

router = Router(tags=["beam proposals"])


@router.get("", response={200: PageOut[BeamProposalRowOut], **problems()})
def list_sent(request: ActorRequest, wanted: Query[BeamProposalFilter]) -> dict[str, Any]:
    """List what was sent to the facilities the caller serves."""
    rows = access.served_proposals(request.actor).prefetch_related("requests")
    for name, column in (
        ("state", "state"),
        ("kind", "kind"),
        ("facility", "facility__code"),
        ("call", "call__number"),
    ):
        if (value := getattr(wanted, name)) is not None:
            rows = rows.filter(**{column: value})
    return paged(rows, wanted, row_of)


@router.post("/{number}/admit", response={200: BeamProposalOut, **problems(404, 409)})
def admit_proposal(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Pass a proposal on to feasibility and safety, as the user office."""
    found = access.get_checked(request.actor, number)
    services.admit(actor=request.actor, proposal=found, now=timezone.now())
    return shown(request, number)


@router.post("/{number}/return", response={200: BeamProposalOut, **problems(404, 409)})
def return_proposal(request: ActorRequest, number: Number, payload: ProposalNoteIn) -> dict[str, Any]:
    """Return a proposal to its team with what is to be mended, as the user office."""
    found = access.get_checked(request.actor, number)
    services.send_back(actor=request.actor, proposal=found, note=payload.note, now=timezone.now())
    return shown(request, number)
