"""Endpoints of claims and payment runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Router, Status, UploadedFile

from portal.kernel.errors import NotFound
from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Number,
    PageOut,
    key_from,
    money,
    paged,
    problems,
)
from vouchers.claims import access, deciding, paying, printed, queries, services
from vouchers.claims.models import PaymentRun, RedemptionClaim
from vouchers.claims.schemas import (
    ClaimDetailOut,
    ClaimFileOut,
    ClaimFilter,
    ClaimIn,
    ClaimNoteIn,
    ClaimOut,
    ClaimVerdictIn,
    RunIn,
    RunOut,
)
from vouchers.evidence import access as evidence
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile
from vouchers.evidence.rules import MAX_BYTES
from vouchers.programmes.models import Programme

router = Router(tags=["claims"])


def _shown(claim: RedemptionClaim) -> dict[str, Any]:
    return {
        "number": claim.number,
        "mode": claim.mode,
        "state": claim.state,
        "state_label": claim.get_state_display(),
        "programme": claim.version.programme.code,
        "programme_name": claim.version.name,
        "claimant": claim.claimant.name,
        "payee": claim.payee.name,
        "amount": money(claim.amount_fen),
        "checked": None if claim.checked_fen is None else money(claim.checked_fen),
        "approved": None if claim.approved_fen is None else money(claim.approved_fen),
        "note": claim.note,
        "sampled": claim.sampled,
        "filed_at": claim.filed_at,
        "approved_at": claim.approved_at,
        "eligible_at": claim.eligible_at,
        "settled_at": claim.settled_at,
    }


def _file(row: EvidenceFile) -> dict[str, Any]:
    return {
        "id": row.pk,
        "document": row.purpose,
        "name": row.name,
        "media_type": row.media_type,
        "size": row.size,
        "sha256": row.sha256,
        "uploaded_at": row.uploaded_at,
    }


def _line(row: printed.MarkedLine) -> dict[str, Any]:
    line = row.line
    return {
        "what": line.what,
        "day": line.day.isoformat() if line.day else None,
        "invoice": line.invoice,
        "invoice_mark": row.mark,
        "reference": line.reference,
        "charge": line.charge.number if line.charge else None,
        "base": money(line.base_fen),
        "amount": money(line.amount_fen),
    }


def _detail(request: ActorRequest, number: str) -> dict[str, Any]:
    claim = access.get_claim(request.actor, number)
    return {
        **_shown(claim),
        "voucher": claim.voucher.number if claim.voucher else None,
        "application": claim.application.number if claim.application else None,
        "base": claim.base.number if claim.base else None,
        "lines": [_line(row) for row in printed.marked(claim)],
        "parts": [{"payer": part.payer, "amount": money(part.amount_fen)} for part in claim.parts.all()],
        "files": [_file(row) for row in evidence.files_of(queries.subject_of(claim))],
        "missing": queries.documents_missing(claim),
        "sample_seed": claim.sample_seed,
        "finding": claim.finding,
    }


@router.get("", response={200: PageOut[ClaimOut], **problems()})
def list_claims(request: ActorRequest, wanted: Query[ClaimFilter]) -> dict[str, Any]:
    """List the caller's own claims, or with ``desk`` those its department works on."""
    rows = access.cases(request.actor) if wanted.desk else access.own_claims(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@router.get("/runs", response={200: PageOut[RunOut], **problems()})
def list_runs(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List payment runs."""
    return paged(access.runs(request.actor), wanted, _run)


def _run(run: PaymentRun) -> dict[str, Any]:
    return {
        "number": run.number,
        "programme": run.programme.code,
        "starts_at": run.starts_at,
        "ends_at": run.ends_at,
        "opened_at": run.opened_at,
    }


@router.post("/runs", response={201: RunOut, **problems(404, 409)})
def call_run(request: ActorRequest, payload: RunIn) -> Status[dict[str, Any]]:
    """Call a run of a programme that pays in batches: everything approved so far; 409 when there is nothing."""
    programme = Programme.objects.filter(code=payload.programme).first()
    if programme is None:
        raise NotFound(field="programme")
    return Status(201, _run(paying.call_run(actor=request.actor, programme=programme, now=timezone.now())))


@router.post("", response={201: ClaimDetailOut, **problems(404, 409)})
def draft(request: ActorRequest, payload: ClaimIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Begin a claim. Nothing is checked or held before it is filed."""
    made = services.draft(actor=request.actor, wanted=payload.value(), now=timezone.now(), key=key_from(key))
    return Status(201, _detail(request, made.number))


@router.get("/{number}", response={200: ClaimDetailOut, **problems(404)})
def get_claim(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a claim."""
    return _detail(request, number)


def _act(request: ActorRequest, number: str, act: Callable[[RedemptionClaim, datetime], object]) -> dict[str, Any]:
    act(access.get_claim(request.actor, number), timezone.now())
    return _detail(request, number)


@router.put("/{number}", response={200: ClaimDetailOut, **problems(404, 409)})
def change(request: ActorRequest, number: Number, payload: ClaimIn) -> dict[str, Any]:
    """Replace amount and lines of a draft, or of a claim returned for supplements."""
    wanted = payload.value()
    return _act(
        request, number, lambda claim, now: services.change(actor=request.actor, claim=claim, wanted=wanted, now=now)
    )


@router.post("/{number}/files", response={201: ClaimFileOut, **problems(404, 409)})
def attach(
    request: ActorRequest,
    number: Number,
    document: Annotated[str, Form(min_length=1, max_length=300)],
    file: File[UploadedFile],
) -> Status[dict[str, Any]]:
    """Keep a document with a claim (at most 20 MB); the same bytes again change nothing."""
    kept = services.attach(
        actor=request.actor,
        claim=access.get_claim(request.actor, number),
        document=document,
        upload=files.Upload(file.name or "file", file.read(MAX_BYTES + 1)),
        now=timezone.now(),
    )
    return Status(201, _file(kept))


@router.get("/{number}/files/{file_id}", response={200: bytes, **problems(404)})
def get_file(request: ActorRequest, number: Number, file_id: int) -> HttpResponse:
    """Return a document's bytes, as a download."""
    claim = access.get_claim(request.actor, number)
    file = evidence.get_file(queries.subject_of(claim), file_id)
    response = HttpResponse(files.read(file=file), content_type="application/octet-stream")
    response["Content-Disposition"] = "attachment"
    return response


@router.post("/{number}/file", response={200: ClaimDetailOut, **problems(404, 409)})
def file(request: ActorRequest, number: Number) -> dict[str, Any]:
    """File a claim: 409 with every fault at once. A reimbursement is held on its voucher from now on."""
    return _act(request, number, lambda claim, now: services.file(actor=request.actor, claim=claim, now=now))


@router.post("/{number}/withdraw", response={200: ClaimDetailOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take a claim back before it is passed."""
    return _act(request, number, lambda claim, now: services.withdraw(actor=request.actor, claim=claim, now=now))


@router.post("/{number}/check", response={200: ClaimDetailOut, **problems(404, 409)})
def check(request: ActorRequest, number: Number, payload: ClaimVerdictIn) -> dict[str, Any]:
    """Pass a claim, in full or cut; some are drawn for audit."""
    amount = payload.amount.value() if payload.amount else None
    return _act(
        request,
        number,
        lambda claim, now: deciding.check(actor=request.actor, claim=claim, amount=amount, note=payload.note, now=now),
    )


@router.post("/{number}/find", response={200: ClaimDetailOut, **problems(404, 409)})
def find(request: ActorRequest, number: Number, payload: ClaimVerdictIn) -> dict[str, Any]:
    """Record the third-party auditor's finding on a drawn claim."""
    amount = payload.amount.value() if payload.amount else None
    return _act(
        request,
        number,
        lambda claim, now: deciding.find(
            actor=request.actor, claim=claim, amount=amount, finding=payload.note, now=now
        ),
    )


@router.post("/{number}/approve", response={200: ClaimDetailOut, **problems(404, 409)})
def approve(request: ActorRequest, number: Number, payload: ClaimVerdictIn) -> dict[str, Any]:
    """Approve a checked claim as another person: it is owed from now on."""
    amount = payload.amount.value() if payload.amount else None
    return _act(
        request,
        number,
        lambda claim, now: deciding.approve(
            actor=request.actor, claim=claim, amount=amount, note=payload.note, now=now
        ),
    )


@router.post("/{number}/return", response={200: ClaimDetailOut, **problems(404, 409)})
def send_back(request: ActorRequest, number: Number, payload: ClaimNoteIn) -> dict[str, Any]:
    """Return a claim to its claimant for supplements."""
    return _act(
        request,
        number,
        lambda claim, now: deciding.send_back(actor=request.actor, claim=claim, note=payload.note, now=now),
    )


@router.post("/{number}/recheck", response={200: ClaimDetailOut, **problems(404, 409)})
def recheck(request: ActorRequest, number: Number, payload: ClaimNoteIn) -> dict[str, Any]:
    """Send a checked claim back to its checkers."""
    return _act(
        request,
        number,
        lambda claim, now: deciding.recheck(actor=request.actor, claim=claim, note=payload.note, now=now),
    )


@router.post("/{number}/refuse", response={200: ClaimDetailOut, **problems(404, 409)})
def refuse(request: ActorRequest, number: Number, payload: ClaimNoteIn) -> dict[str, Any]:
    """Refuse a claim: the value goes back to where it came from."""
    return _act(
        request,
        number,
        lambda claim, now: deciding.refuse(actor=request.actor, claim=claim, note=payload.note, now=now),
    )


@router.post("/{number}/confirm", response={200: ClaimDetailOut, **problems(404, 409)})
def confirm(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Confirm a proposed top-up; another person approves it."""
    return _act(request, number, lambda claim, now: paying.confirm_topup(actor=request.actor, claim=claim, now=now))
