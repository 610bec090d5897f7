"""Endpoints of bank statements, for finance: take one, look at its lines, say what they are."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from ninja import File, Form, Query, Router, Status, UploadedFile

from portal.http import explain_reason
from portal.kernel.errors import Reason
from portal.wire import ActorRequest, Cursor, PageOut, money, paged
from portal.wire import problems as answers
from vouchers.banking import access, importing, queries, services, suggesting, tasks, undoing, wanting
from vouchers.banking.models import BankAccount, BankMatch, StatementImport, StatementLine
from vouchers.banking.rules import LineState
from vouchers.banking.schemas import (
    BankAccountOut,
    Code,
    Id,
    LineMatchIn,
    MatchNoteIn,
    StatementImportOut,
    StatementLineFilter,
    StatementLineOut,
    StatementLineWholeOut,
    StatementPreviewOut,
    StatementTakeForm,
)
from vouchers.evidence import services as files

router = Router(tags=["bank statements"])

SHOWN = 200
"""Most rows and reasons a preview tells one by one."""


def _account(found: BankAccount) -> dict[str, Any]:
    return {"code": found.code, "holder": found.holder, "bank": found.bank, "number": found.number}


def _sum(fen: int | None) -> dict[str, Any] | None:
    return None if fen is None else money(fen)


def _reason(reason: Reason) -> dict[str, str]:
    return explain_reason(reason)


def _import(found: StatementImport) -> dict[str, Any]:
    return {
        "id": found.pk,
        "account": found.account.code,
        "name": found.name,
        "sha256": found.sha256,
        "layout": found.layout,
        "encoding": found.encoding,
        "starts_on": found.starts_on,
        "ends_on": found.ends_on,
        "opening": _sum(found.opening_fen),
        "closing": _sum(found.closing_fen),
        "new": found.lines_new,
        "known": found.lines_known,
        "faulty": found.lines_faulty,
        "gaps": found.gaps,
        "looked": found.looked,
        "matched": found.matched,
        "imported_at": found.imported_at,
        "finished_at": found.finished_at,
    }


def _line(found: StatementLine) -> dict[str, Any]:
    return {
        "id": found.pk,
        "account": found.account.code,
        "reference": found.reference,
        "booked_on": found.booked_on,
        "value_on": found.value_on,
        "amount": money(found.amount_fen),
        "balance": _sum(found.balance_fen),
        "name": found.name,
        "counter_account": found.counter_account,
        "counter_bank": found.counter_bank,
        "memo": found.memo,
        "state": found.state,
        "hint": found.hint,
    }


def _part(part: Any) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "amount": money(part.amount_fen),
        "payment": part.payment.number if part.payment else "",
        "batch": part.batch.number if part.batch else "",
        "rail": part.rail,
        "line": part.returned.pk if part.returned else None,
        "payer": part.payer.credit_code if part.payer else "",
        "recovery": part.recovery.number if part.recovery else "",
    }


def _match(found: BankMatch) -> dict[str, Any]:
    return {
        "id": found.pk,
        "state": found.state,
        "reasons": found.reasons,
        "proposer": found.proposer,
        "proposed_at": found.proposed_at,
        "note": found.note,
        "doubt": found.doubt,
        "parts": [_part(part) for part in found.parts.all()],
    }


def _whole(line: StatementLine) -> dict[str, Any]:
    open_ = line.state in {LineState.OPEN.value, LineState.PARKED.value}
    found = suggesting.suggestions(line, suggesting.load([line])) if open_ else []
    return {
        **_line(line),
        "matches": [_match(one) for one in queries.matches_of(line)],
        "suggestions": [
            {"reasons": one.reasons, "certain": one.certain, "parts": [_part(part) for part in one.parts]}
            for one in found
        ],
    }


def _again(request: ActorRequest, pk: int) -> dict[str, Any]:
    return _whole(access.get_line(request.actor, pk))


def _upload(file: UploadedFile) -> files.Upload:
    return files.Upload(file.name or "file", file.read(importing.LIMITS.size + 1))


@router.get("/accounts", response={200: list[BankAccountOut], **answers()})
def list_accounts(request: ActorRequest) -> list[dict[str, Any]]:
    """List the operator's bank accounts."""
    access.require_finance(request.actor)
    importing.main_account(now=timezone.now())
    return [_account(found) for found in access.accounts(request.actor)]


@router.post("/accounts/{code}/preview", response={200: StatementPreviewOut, **answers(404, 409)})
def preview(
    request: ActorRequest, code: Code, file: File[UploadedFile], wanted: Form[StatementTakeForm]
) -> dict[str, Any]:
    """Say row by row what taking a statement (xlsx or CSV, at most 10 MB) would do; writes nothing."""
    account = access.get_account(request.actor, code)
    found = importing.preview(account=account, upload=_upload(file), layout=wanted.layout)
    return {
        "layout": found.statement.layout,
        "encoding": found.statement.encoding,
        "new": found.new,
        "known": found.known,
        "faulty": found.faults,
        "notes": found.statement.notes,
        "incoming": money(found.incoming_fen),
        "outgoing": money(found.outgoing_fen),
        "gaps": [_reason(gap.reason) for gap in found.gaps[:SHOWN]],
        "rows": [_row(row) for row in sorted(found.rows, key=lambda row: not row.reasons)[:SHOWN]],
        "known_import": found.known_import and found.known_import.pk,
    }


def _row(row: importing.Row) -> dict[str, Any]:
    line = row.line
    return {
        "row": row.number,
        "verdict": row.verdict,
        "reference": line.reference if line else "",
        "booked_on": line.booked_on if line else None,
        "amount": money(line.amount_fen) if line else None,
        "name": line.name if line else "",
        "memo": line.memo if line else "",
        "reasons": [_reason(reason) for reason in row.reasons],
    }


@router.post("/accounts/{code}/imports", response={201: StatementImportOut, **answers(404, 409)})
def take(
    request: ActorRequest, code: Code, file: File[UploadedFile], wanted: Form[StatementTakeForm]
) -> Status[dict[str, Any]]:
    """Take a statement; the same file or lines again change nothing. Its lines are matched afterwards: see `looked`."""
    made = importing.import_file(
        actor=request.actor,
        account=access.get_account(request.actor, code),
        upload=_upload(file),
        now=timezone.now(),
        accept=wanted.accept,
        layout=wanted.layout,
        wake=tasks.wake,
    )
    return Status(201, _import(access.get_import(request.actor, made.pk)))


@router.get("/imports", response={200: PageOut[StatementImportOut], **answers()})
def list_imports(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List statements that were taken, newest first."""
    access.require_finance(request.actor)
    return paged(access.imports(request.actor), wanted, _import)


@router.get("/imports/{import_id}", response={200: StatementImportOut, **answers(404)})
def get_import(request: ActorRequest, import_id: Id) -> dict[str, Any]:
    """Return one statement, and how far its lines have been looked through."""
    return _import(access.get_import(request.actor, import_id))


@router.get("/lines", response={200: PageOut[StatementLineOut], **answers()})
def list_lines(request: ActorRequest, wanted: Query[StatementLineFilter]) -> dict[str, Any]:
    """List statement lines, newest first. ``?state=open`` is what nobody has placed yet."""
    access.require_finance(request.actor)
    by = queries.Narrowing(
        state=wanted.state.value if wanted.state else "",
        direction=wanted.direction.value if wanted.direction else "",
        upload=wanted.upload,
        since=wanted.since,
        until=wanted.until,
        hinted=wanted.hinted,
        text=wanted.q,
    )
    return paged(queries.narrowed(access.lines(request.actor), by), wanted, _line)


@router.get("/lines/{line_id}", response={200: StatementLineWholeOut, **answers(404)})
def get_line(request: ActorRequest, line_id: Id) -> dict[str, Any]:
    """Return one line with what it was said to be and what it may be."""
    return _again(request, line_id)


@router.post("/lines/{line_id}/match", response={200: StatementLineWholeOut, **answers(404, 409)})
def match_line(request: ActorRequest, line_id: Id, payload: LineMatchIn) -> dict[str, Any]:
    """Say what a line is; its parts must come to it to the fen. From the limit on a second person confirms."""
    line = access.get_line(request.actor, line_id)
    wanted = [
        wanting.Wanted(part.kind, part.target, part.amount.value().fen if part.amount else None)
        for part in payload.parts
    ]
    services.match(
        actor=request.actor,
        line=line,
        parts=wanting.parts_of(line, wanted),
        reasons=("person",),
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, line_id)


@router.post("/lines/{line_id}/park", response={200: StatementLineWholeOut, **answers(404, 409)})
def park_line(request: ActorRequest, line_id: Id) -> dict[str, Any]:
    """Book money of an unknown payer as unapplied, until it is placed or goes back."""
    services.park(actor=request.actor, line=access.get_line(request.actor, line_id), now=timezone.now())
    return _again(request, line_id)


@router.post("/matches/{match_id}/confirm", response={200: StatementLineWholeOut, **answers(404, 409)})
def confirm_match(request: ActorRequest, match_id: Id) -> dict[str, Any]:
    """Confirm a proposed match as a second person; it is booked."""
    found = access.get_match(request.actor, match_id)
    services.confirm(actor=request.actor, match=found, now=timezone.now())
    return _again(request, found.line_id)


@router.post("/matches/{match_id}/refuse", response={200: StatementLineWholeOut, **answers(404, 409)})
def refuse_match(request: ActorRequest, match_id: Id, payload: MatchNoteIn) -> dict[str, Any]:
    """Refuse a proposed match; nothing is booked."""
    found = access.get_match(request.actor, match_id)
    services.refuse(actor=request.actor, match=found, note=payload.note, now=timezone.now())
    return _again(request, found.line_id)


@router.post("/matches/{match_id}/doubt", response={200: StatementLineWholeOut, **answers(404, 409)})
def doubt_match(request: ActorRequest, match_id: Id, payload: MatchNoteIn) -> dict[str, Any]:
    """Say that a booked match is wrong, and why; a second person reverses it."""
    found = access.get_match(request.actor, match_id)
    undoing.doubt(actor=request.actor, match=found, reason=payload.note, now=timezone.now())
    return _again(request, found.line_id)


@router.post("/matches/{match_id}/stand", response={200: StatementLineWholeOut, **answers(404, 409)})
def let_match_stand(request: ActorRequest, match_id: Id) -> dict[str, Any]:
    """Let a doubted match stand."""
    found = access.get_match(request.actor, match_id)
    undoing.stand(actor=request.actor, match=found, now=timezone.now())
    return _again(request, found.line_id)


@router.post("/matches/{match_id}/reverse", response={200: StatementLineWholeOut, **answers(404, 409)})
def reverse_match(request: ActorRequest, match_id: Id) -> dict[str, Any]:
    """Reverse a doubted match as a second person; every journal of it is mirrored."""
    found = access.get_match(request.actor, match_id)
    undoing.reverse(actor=request.actor, match=found, now=timezone.now())
    return _again(request, found.line_id)
