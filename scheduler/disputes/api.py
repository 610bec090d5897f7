"""Endpoints of disputes over the time a use was charged for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from scheduler.bookings import access as bookings
from scheduler.disputes import access, services
from scheduler.disputes.models import Dispute
from scheduler.disputes.rules import NOTE, DisputeState

router = Router(tags=["disputes"])

Note = Annotated[Block, Field(min_length=1, max_length=NOTE)]
Seconds = Annotated[Whole, Field(ge=0, le=10**7)]


class DisputeIn(StrictIn):
    """How many seconds the organisation says it used, of which booking, and why; the lab reads it."""

    booking: Number
    used_s: Seconds
    reason: Note


class DisputeAnswerIn(StrictIn):
    """Why, and how many seconds count; null: the charge stands."""

    counted_s: Seconds | None = None
    note: Note


class DisputeNoteIn(StrictIn):
    """Why; everybody concerned reads it."""

    note: Note


class DisputeOut(Schema):
    """One dispute. `due_at` is the lab's deadline while it is open, the organisation's once the charge was upheld."""

    number: str
    booking: str
    organisation: str
    lab: str
    state: DisputeState
    state_label: str
    charged_s: int
    claimed_s: int
    reason: str
    opened_at: datetime
    due_at: datetime | None
    answer_s: int | None
    answer_note: str
    appeal_note: str
    counted_s: int | None
    decision_note: str
    by_department: bool
    corrected: MoneyOut
    settled_at: datetime | None


def _shown(row: Dispute) -> dict[str, Any]:
    return {
        "number": row.number,
        "booking": row.booking.number,
        "organisation": row.booking.organisation.name,
        "lab": row.booking.resource.owner.name,
        "state": row.state,
        "state_label": row.get_state_display(),
        "charged_s": row.charged_s,
        "claimed_s": row.claimed_s,
        "reason": row.reason,
        "opened_at": row.opened_at,
        "due_at": row.due_at,
        "answer_s": row.answer_s,
        "answer_note": row.answer_note,
        "appeal_note": row.appeal_note,
        "counted_s": row.counted_s,
        "decision_note": row.decision_note,
        "by_department": row.by_department,
        "corrected": money(row.corrected_fen),
        "settled_at": row.settled_at,
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return _shown(access.get_dispute(request.actor, number))


@router.post("", response={201: DisputeOut, **problems(404, 409)})
def open_dispute(request: ActorRequest, payload: DisputeIn) -> Status[dict[str, Any]]:
    """Dispute the time one's own booking was charged for; the charge is held back from payment to the lab."""
    made = services.open_dispute(
        actor=request.actor,
        booking=bookings.get_own(request.actor, payload.booking),
        claimed_s=payload.used_s,
        reason=payload.reason,
        now=timezone.now(),
    )
    return Status(201, _again(request, made.number))


@router.get("", response={200: PageOut[DisputeOut], **problems()})
def list_disputes(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the disputes of the caller's organisation, of its lab, or of its department's vouchers."""
    return paged(access.visible_to(request.actor), wanted, _shown)


@router.get("/{number}", response={200: DisputeOut, **problems(404)})
def get_dispute(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one dispute."""
    return _again(request, number)


@router.post("/{number}/answer", response={200: DisputeOut, **problems(404, 409)})
def answer(request: ActorRequest, number: Number, payload: DisputeAnswerIn) -> dict[str, Any]:
    """Answer as the lab; another person decides."""
    services.answer(
        actor=request.actor,
        dispute=access.get_dispute(request.actor, number),
        counted_s=payload.counted_s,
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/decide", response={200: DisputeOut, **problems(404, 409)})
def decide(request: ActorRequest, number: Number, payload: DisputeAnswerIn) -> dict[str, Any]:
    """Decide as a second person of the lab, or as the department; what is not counted is given back at once."""
    services.decide(
        actor=request.actor,
        dispute=access.get_dispute(request.actor, number),
        counted_s=payload.counted_s,
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/appeal", response={200: DisputeOut, **problems(404, 409)})
def appeal(request: ActorRequest, number: Number, payload: DisputeNoteIn) -> dict[str, Any]:
    """Ask the department, where the lab has upheld its charge."""
    services.appeal(
        actor=request.actor,
        dispute=access.get_dispute(request.actor, number),
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/withdraw", response={200: DisputeOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Withdraw one's own dispute before it is decided: the charge stands."""
    services.withdraw(actor=request.actor, dispute=access.get_dispute(request.actor, number), now=timezone.now())
    return _again(request, number)
