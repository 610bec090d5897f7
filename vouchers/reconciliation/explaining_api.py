"""Endpoints of what persons say of entries that do not match."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from django.conf import settings
from django.utils import timezone
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.wire import ActorRequest, Block, Cursor, Day, Line, MoneyOut, PageOut, StrictIn, money, paged, problems
from vouchers.reconciliation import access, explaining
from vouchers.reconciliation.models import EntryExplanation
from vouchers.reconciliation.rules import ExplanationKind, ExplanationState

__all__ = ["ExplanationOut", "explanation", "router"]

router = Router(tags=["reconciliation"])
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


class ExplanationOut(Schema):
    """What a person says an entry is. It counts while `state` is ``accepted`` and the entry differs by `difference`."""

    id: int
    rail: str
    day: date
    entry: str
    difference: MoneyOut
    kind: ExplanationKind
    reason: str
    state: ExplanationState
    proposed_by: str
    proposed_at: datetime
    decided_at: datetime | None
    ended_at: datetime | None
    note: str


class ExplanationIn(StrictIn):
    """Which entry of which day of which gateway, as ``entry`` of that day names it, what it is, and why that is so."""

    rail: Annotated[Line, Field(max_length=24)]
    day: Day
    entry: Annotated[Line, Field(max_length=140)]
    kind: ExplanationKind
    reason: Annotated[Block, Field(max_length=300)]


class ExplanationNoteIn(StrictIn):
    """Why it is sent back or undone."""

    note: Annotated[Block, Field(max_length=300)]


class ExplanationFilter(Cursor):
    """``?state=proposed`` is the queue of who accepts."""

    state: ExplanationState | None = None


def explanation(row: EntryExplanation) -> dict[str, Any]:
    """Return an explanation as the API says it."""
    return {
        "id": row.pk,
        "rail": row.rail,
        "day": row.day,
        "entry": row.entry,
        "difference": money(row.difference_fen),
        "kind": row.kind,
        "reason": row.reason,
        "state": row.state,
        "proposed_by": row.signature,
        "proposed_at": row.proposed_at,
        "decided_at": row.decided_at,
        "ended_at": row.undone_at,
        "note": row.note,
    }


@router.get("", response={200: PageOut[ExplanationOut], **problems()})
def list_explanations(request: ActorRequest, wanted: Query[ExplanationFilter]) -> dict[str, Any]:
    """List what persons said of entries, newest first."""
    rows = access.explanations(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, explanation)


@router.post("", response={201: ExplanationOut, **problems(404, 409)})
def explain(request: ActorRequest, payload: ExplanationIn) -> Status[dict[str, Any]]:
    """Say what an entry is that does not match; above the threshold it counts once another person accepts it."""
    request.actor.require(Permission.PAYMENT_CONFIRM)
    made = explaining.explain(
        actor=request.actor,
        rail=access.get_rail(request.actor, payload.rail, configured=settings.PAYMENT_RAILS),
        day=payload.day,
        entry=payload.entry,
        kind=payload.kind,
        reason=payload.reason,
        now=timezone.now(),
    )
    return Status(201, explanation(made))


@router.post("/{explanation_id}/accept", response={200: ExplanationOut, **problems(404, 409)})
def accept_explanation(request: ActorRequest, explanation_id: Id) -> dict[str, Any]:
    """Let another person's word count."""
    found = access.get_explanation(request.actor, explanation_id)
    return explanation(explaining.accept(actor=request.actor, explanation=found, now=timezone.now()))


@router.post("/{explanation_id}/return", response={200: ExplanationOut, **problems(404, 409)})
def return_explanation(request: ActorRequest, explanation_id: Id, payload: ExplanationNoteIn) -> dict[str, Any]:
    """Send a word back that waits, or take back one's own, with a reason."""
    found = access.get_explanation(request.actor, explanation_id)
    done = explaining.send_back(actor=request.actor, explanation=found, note=payload.note, now=timezone.now())
    return explanation(done)


@router.post("/{explanation_id}/undo", response={200: ExplanationOut, **problems(404, 409)})
def undo_explanation(request: ActorRequest, explanation_id: Id, payload: ExplanationNoteIn) -> dict[str, Any]:
    """Take a word back that counts, with a reason."""
    found = access.get_explanation(request.actor, explanation_id)
    return explanation(explaining.undo(actor=request.actor, explanation=found, note=payload.note, now=timezone.now()))
