"""Endpoints of refunds and write-offs that need a second person."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from portal.wire import ActorRequest, Block, Cursor, Number, PageOut, StrictIn, paged, problems
from vouchers.charges import access, proposing
from vouchers.charges.api import ChargeProposalOut, proposed
from vouchers.charges.proposal_rules import ChargeProposalKind, ProposalState

__all__ = ["router"]

router = Router(tags=["charges"])


class SendBackIn(StrictIn):
    """Why; who asked reads it."""

    note: Annotated[Block, Field(max_length=300)]


class ChargeProposalFilter(Cursor):
    """``?state=proposed`` is the queue of who approves."""

    state: ProposalState | None = None
    kind: ChargeProposalKind | None = None


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return proposed(access.get_proposal(request.actor, number))


@router.get("", response={200: PageOut[ChargeProposalOut], **problems()})
def list_proposals(request: ActorRequest, wanted: Query[ChargeProposalFilter]) -> dict[str, Any]:
    """List refunds and write-offs asked for: finance sees all, a provider those of its charges."""
    rows = access.proposals_visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    if wanted.kind is not None:
        rows = rows.filter(kind=wanted.kind.value)
    return paged(rows, wanted, proposed)


@router.get("/{number}", response={200: ChargeProposalOut, **problems(404)})
def get_proposal(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one."""
    return _again(request, number)


@router.post("/{number}/approve", response={200: ChargeProposalOut, **problems(404, 409)})
def approve(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Approve as another person than the one who asked: the refund is made, or the share given up."""
    proposing.approve(actor=request.actor, proposal=access.get_proposal(request.actor, number), now=timezone.now())
    return _again(request, number)


@router.post("/{number}/return", response={200: ChargeProposalOut, **problems(404, 409)})
def send_back(request: ActorRequest, number: Number, payload: SendBackIn) -> dict[str, Any]:
    """Send one back with a reason, or take back one's own."""
    proposing.send_back(
        actor=request.actor,
        proposal=access.get_proposal(request.actor, number),
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, number)
