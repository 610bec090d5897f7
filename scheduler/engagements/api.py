"""Endpoints of engagements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Router, Status, UploadedFile

from portal.http import explain_reason
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.wire import ActorRequest, Cursor, IdempotencyKey, Number, PageOut, key_from, money, paged, problems
from scheduler.engagements import access, delivering, quoting, rules, services, steps
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.engagements.schemas import (
    EngagementAcceptIn,
    EngagementFilter,
    EngagementIn,
    EngagementNoteIn,
    EngagementOut,
    EngagementQuoteIn,
    EngagementRowOut,
    Id,
    MilestoneRulingIn,
    MilestoneRulingOut,
    Note,
    PaymentPlanOut,
    PayWith,
    Position,
)
from scheduler.resources import access as resources
from vouchers.charges.api import charged
from vouchers.evidence import services as files
from vouchers.evidence.rules import MAX_BYTES
from vouchers.wallets import access as wallet

router = Router(tags=["engagements"])


def _quoted(line: Any) -> dict[str, Any]:
    names = ("position", "name", "deliverable", "due_on")
    return {**{name: getattr(line, name) for name in names}, "price": money(line.price_fen)}


def _quote(row: EngagementQuote) -> dict[str, Any]:
    names = ("version", "state", "acceptance_days", "note", "quoted_at", "open_until", "answer", "answered_at")
    lines = list(row.lines.all())
    return {
        **{name: getattr(row, name) for name in names},
        "state_label": row.get_state_display(),
        "milestones": [_quoted(line) for line in lines],
        "price": money(sum(line.price_fen for line in lines)),
    }


def _file(file: Any) -> dict[str, Any]:
    names = ("name", "size", "sha256", "uploaded_at")
    delivery = int(file.purpose.removeprefix("delivery-"))
    return {"id": file.pk, "delivery": delivery, **{name: getattr(file, name) for name in names}}


def _milestone(request: ActorRequest, row: Milestone, *, found: list[Any]) -> dict[str, Any]:
    names = ("state", "delivery_note", "delivered_at", "deemed_at", "return_note", "accepted_at", "is_deemed")
    more = ("dispute_note", "disputed_at", "ruling_note", "ruled_at")
    return {
        **_quoted(row.line),
        **{name: getattr(row, name) for name in names + more},
        "position": row.position,
        "state_label": row.get_state_display(),
        "charge": charged(row.charge, actor=request.actor),
        "files": [_file(file) for file in found],
    }


def _ruling(row: Milestone, *, found: list[Any]) -> dict[str, Any]:
    names = ("state", "delivery_note", "return_note", "dispute_note", "disputed_at", "ruling_note", "ruled_at")
    taken = row.charge.actual_fen
    return {
        **_quoted(row.line),
        **{name: getattr(row, name) for name in names},
        "number": row.engagement.number,
        "position": row.position,
        "organisation": row.engagement.organisation.name,
        "lab": row.engagement.resource.owner.name,
        "state_label": row.get_state_display(),
        "counted": None if taken is None else money(taken),
        "files": [_file(file) for file in found],
    }


def _row(engagement: Engagement) -> dict[str, Any]:
    names = ("number", "title", "description", "wanted", "wanted_by", "state", "note", "created_at", "updated_at")
    return {
        **{name: getattr(engagement, name) for name in names},
        "instrument": engagement.resource.number,
        "lab": engagement.resource.owner.name,
        "organisation": engagement.organisation.name,
        "state_label": engagement.get_state_display(),
    }


def _shown(request: ActorRequest, number: str) -> dict[str, Any]:
    engagement = access.get_engagement(request.actor, number)
    rows = access.milestones_of(engagement)
    kept = access.files_of_all(rows)
    return {
        **_row(engagement),
        "quotes": [_quote(row) for row in engagement.quotes.prefetch_related("lines")],
        "milestones": [_milestone(request, row, found=kept.get(row.subject, [])) for row in rows],
    }


def _act(
    request: ActorRequest, number: str, reach: Callable[..., Engagement], act: Callable[..., object], **more: Any
) -> dict[str, Any]:
    act(actor=request.actor, engagement=reach(request.actor, number), now=timezone.now(), **more)
    return _shown(request, number)


@router.post("", response={201: EngagementOut, **problems(404, 409)})
def request_service(request: ActorRequest, payload: EngagementIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Ask a lab for technical service; nothing is held before its quote is accepted. 409 carries every reason."""
    wanted = services.Wanted(
        resource=resources.get_instrument(request.actor, payload.instrument),
        title=payload.title,
        description=payload.description,
        wanted=payload.wanted,
        wanted_by=payload.wanted_by,
    )
    made = services.request(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _shown(request, made.number))


@router.get("", response={200: PageOut[EngagementRowOut], **problems()})
def list_engagements(request: ActorRequest, wanted: Query[EngagementFilter]) -> dict[str, Any]:
    """List the engagements the caller asked for and those its lab serves."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _row)


@router.get("/rulings", response={200: PageOut[MilestoneRulingOut], **problems()})
def list_rulings(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the disputed milestones the caller's department rules on, and those ruled on; without their files."""
    return paged(access.disputed(request.actor), wanted, lambda row: _ruling(row, found=[]))


@router.get("/{number}/milestones/{position}/ruling", response={200: MilestoneRulingOut, **problems(404)})
def get_ruling(request: ActorRequest, number: Number, position: Position) -> dict[str, Any]:
    """Return one disputed milestone with its files, as the department that rules on it."""
    row = access.get_disputed(request.actor, number, position)
    return _ruling(row, found=access.files_of_all([row]).get(row.subject, []))


@router.get("/{number}", response={200: EngagementOut, **problems(404)})
def get_engagement(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one engagement."""
    return _shown(request, number)


@router.post("/{number}/quote", response={200: EngagementOut, **problems(404, 409)})
def quote(request: ActorRequest, number: Number, payload: EngagementQuoteIn) -> dict[str, Any]:
    """Quote milestones, as the lab; again until accepted, and while it runs for a change of plan."""
    lines = [rules.Line(one.name, one.deliverable, one.due_on, one.price.value().fen) for one in payload.milestones]
    plan = quoting.Plan(lines, payload.acceptance_days, payload.note)
    return _act(request, number, access.get_served, quoting.quote, plan=plan)


@router.get("/{number}/payment", response={200: PaymentPlanOut, **problems(404)})
def payment(request: ActorRequest, number: Number, vouchers: Query[PayWith]) -> dict[str, Any]:
    """Say how the open quote would be paid with these vouchers: each milestone's split, and every ground against it."""
    engagement = access.get_own(request.actor, number)
    waiting = steps.open_quote(engagement)
    if waiting is None:
        raise NotFound
    chosen = wallet.get_vouchers(request.actor, vouchers.voucher)
    paying = quoting.payment_plan(engagement=engagement, quote=waiting, vouchers=chosen, now=timezone.now())
    lines = list(waiting.lines.all())
    return {
        "version": waiting.version,
        "price": money(sum(line.price_fen for line in lines)),
        "voucher": money(paying.voucher),
        "own": money(paying.own),
        "milestones": [
            {
                "name": line.name,
                "price": money(line.price_fen),
                "voucher": money(plan.split.voucher),
                "own": money(plan.split.own),
                "parts": [{"voucher": part.number, "amount": money(part.amount)} for part in plan.split.parts],
            }
            for line, plan in zip(lines, paying.plans, strict=True)
        ],
        "reasons": [explain_reason(reason) for reason in paying.reasons],
    }


@router.post("/{number}/accept", response={200: EngagementOut, **problems(404, 409)})
def accept(request: ActorRequest, number: Number, payload: EngagementAcceptIn) -> dict[str, Any]:
    """Accept the open quote, as the enterprise: every milestone's price is held; a change of plan frees the old one's."""
    vouchers = wallet.get_vouchers(request.actor, payload.vouchers)
    seen: Money = payload.price.value()
    return _act(request, number, access.get_own, quoting.accept, seen=(payload.version, seen.fen), vouchers=vouchers)


@router.post("/{number}/refuse", response={200: EngagementOut, **problems(404, 409)})
def refuse(request: ActorRequest, number: Number, payload: EngagementNoteIn) -> dict[str, Any]:
    """Refuse the open quote, as the enterprise, with a reason; the lab may quote again."""
    return _act(request, number, access.get_own, quoting.refuse, note=payload.note)


@router.post("/{number}/decline", response={200: EngagementOut, **problems(404, 409)})
def decline(request: ActorRequest, number: Number, payload: EngagementNoteIn) -> dict[str, Any]:
    """Say, as the lab, that it cannot be done, with a reason."""
    return _act(request, number, access.get_served, services.decline, note=payload.note)


@router.post("/{number}/cancel", response={200: EngagementOut, **problems(404, 409)})
def cancel(request: ActorRequest, number: Number, payload: EngagementNoteIn) -> dict[str, Any]:
    """Withdraw the request, as the enterprise, before a quote is accepted."""
    return _act(request, number, access.get_own, services.cancel, note=payload.note)


@router.post("/{number}/stop", response={200: EngagementOut, **problems(404, 409)})
def stop(request: ActorRequest, number: Number, payload: EngagementNoteIn) -> dict[str, Any]:
    """End a running engagement between milestones, as either party, with a reason; what is not delivered is free again."""
    return _act(request, number, access.get_engagement, services.stop, note=payload.note)


@router.post("/{number}/milestones/{position}/deliver", response={200: EngagementOut, **problems(404, 409)})
def deliver(
    request: ActorRequest,
    number: Number,
    position: Position,
    file: File[list[UploadedFile]],
    note: Form[Note] = "",
) -> dict[str, Any]:
    """Deliver a milestone, as the lab: one to five files (each at most 20 MB)."""
    milestone = access.get_milestone(access.get_served(request.actor, number), position)
    uploads = [files.Upload(one.name or "file", one.read(MAX_BYTES + 1)) for one in file[: rules.DELIVERY_FILES + 1]]
    delivering.deliver(actor=request.actor, milestone=milestone, uploads=uploads, note=note, now=timezone.now())
    return _shown(request, number)


@router.post("/{number}/milestones/{position}/accept", response={200: EngagementOut, **problems(404, 409)})
def accept_milestone(request: ActorRequest, number: Number, position: Position) -> dict[str, Any]:
    """Accept a delivery, as the enterprise: its price is captured at once."""
    milestone = access.get_milestone(access.get_own(request.actor, number), position)
    delivering.accept(actor=request.actor, milestone=milestone, now=timezone.now())
    return _shown(request, number)


@router.post("/{number}/milestones/{position}/return", response={200: EngagementOut, **problems(404, 409)})
def return_milestone(
    request: ActorRequest, number: Number, position: Position, payload: EngagementNoteIn
) -> dict[str, Any]:
    """Return a delivery, as the enterprise, with reasons."""
    milestone = access.get_milestone(access.get_own(request.actor, number), position)
    delivering.send_back(actor=request.actor, milestone=milestone, note=payload.note, now=timezone.now())
    return _shown(request, number)


@router.post("/{number}/milestones/{position}/dispute", response={200: EngagementOut, **problems(404, 409)})
def dispute_milestone(
    request: ActorRequest, number: Number, position: Position, payload: EngagementNoteIn
) -> dict[str, Any]:
    """Ask for a ruling on a returned delivery, as either party, with reasons."""
    milestone = access.get_milestone(access.get_engagement(request.actor, number), position)
    delivering.dispute(actor=request.actor, milestone=milestone, note=payload.note, now=timezone.now())
    return _shown(request, number)


@router.post("/{number}/milestones/{position}/rule", response={200: MilestoneRulingOut, **problems(404, 409)})
def rule_milestone(
    request: ActorRequest, number: Number, position: Position, payload: MilestoneRulingIn
) -> dict[str, Any]:
    """Rule on a disputed milestone, as the department: what counts is captured, the rest is free again."""
    delivering.rule(
        actor=request.actor,
        milestone=access.get_disputed(request.actor, number, position),
        counted=None if payload.amount is None else payload.amount.value(),
        note=payload.note,
        now=timezone.now(),
    )
    return get_ruling(request, number, position)


@router.get("/{number}/milestones/{position}/files/{file_id}", response={200: bytes, **problems(404)})
def get_delivered_file(request: ActorRequest, number: Number, position: Position, file_id: Id) -> HttpResponse:
    """Return the bytes of a delivered file."""
    file = access.get_file(request.actor, number, position, file_id)
    response = HttpResponse(files.read(file=file), content_type=file.media_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
