"""Endpoints of settlement batches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.wire import (
    ActorRequest,
    Cursor,
    Line,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.ledger.models import Period
from vouchers.settlements import access, closing, files, offsetting, queries, services
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.rules import BatchState, Leg

router = Router(tags=["settlements"])


class PayeeOut(Schema):
    """A provider or enterprise by name and unified social credit code."""

    name: str
    name_en: str
    credit_code: str


class BatchOut(Schema):
    """What one payee is paid in one go."""

    number: str
    payee: PayeeOut
    state: BatchState
    state_label: str
    total: MoneyOut
    bank_reference: str
    created_by: str
    """Empty where the clock drafted it."""
    checked_by: str | None
    approved_by: str | None
    paid_by: str | None
    created_at: datetime
    approved_at: datetime | None
    paid_at: datetime | None
    account: str
    reconciled_at: datetime | None


class SettlementPartOut(Schema):
    """What one payer bears of an approved claim."""

    payer: str
    amount: MoneyOut


class SettlementLineOut(Schema):
    """One voucher's part of a charge, its own share, an approved claim, or (negative) what the payee owes back.

    `recovery` is the case whose debt is set off. `active` is false, with `reason`, where finance sent the line back.
    """

    id: int
    subject: str
    charge: str | None
    claim: str | None
    recovery: str | None
    leg: Leg
    payer: str
    amount: MoneyOut
    parts: list[SettlementPartOut]
    active: bool
    reason: str


class BatchDetailOut(BatchOut):
    """A batch with its lines; the active ones add up to its total."""

    lines: list[SettlementLineOut]


class DueOut(Schema):
    """What a payee can be paid now."""

    payee: PayeeOut
    amount: MoneyOut


Year = Annotated[int, Path(ge=2000, le=2199)]


class YearBalanceOut(Schema):
    """What one kind of account of a programme and year holds; `balance` and `held` in smallest steps of `unit`."""

    programme: str
    fiscal_year: int | None
    unit: str
    account: str
    balance: int
    held: int


class YearOut(Schema):
    """A fiscal year at its end: balances that carry over, vouchers open, claims and batches not paid yet."""

    year: int
    ends_at: datetime
    proposed_by: str | None
    closed_at: datetime | None
    balances: list[YearBalanceOut]
    vouchers: int
    claims: int
    claims_amount: MoneyOut
    batches: int
    batches_amount: MoneyOut


class BatchIn(StrictIn):
    """`payee` is a unified social credit code."""

    payee: Number


class PaidIn(StrictIn):
    """The number of the treasury's payment; only a batch of zero has none."""

    bank_reference: Annotated[Line, Field(max_length=60)] = ""


class ReconcileIn(StrictIn):
    """The line of the bank's statement; only a batch of zero has none."""

    bank_line: Annotated[Line, Field(max_length=80)] = ""


class RejectIn(StrictIn):
    """Why a line goes back."""

    reason: Annotated[Line, Field(max_length=200)]


class BatchFilter(Cursor):
    """``?state=draft`` is the approver's queue."""

    state: BatchState | None = None


def _payee(organisation: Any) -> dict[str, str]:
    return {
        "name": organisation.name,
        "name_en": organisation.name_en,
        "credit_code": organisation.credit_code,
    }


def _shown(batch: SettlementBatch) -> dict[str, Any]:
    return {
        "number": batch.number,
        "payee": _payee(batch.payee),
        "state": batch.state,
        "state_label": batch.get_state_display(),
        "total": money(batch.total_fen),
        "bank_reference": batch.bank_reference,
        "created_by": str(batch.created_by) if batch.created_by else "",
        "checked_by": str(batch.checked_by) if batch.checked_by else None,
        "approved_by": str(batch.approved_by) if batch.approved_by else None,
        "paid_by": str(batch.paid_by) if batch.paid_by else None,
        "created_at": batch.created_at,
        "approved_at": batch.approved_at,
        "paid_at": batch.paid_at,
        "account": batch.account.masked if batch.account else "",
        "reconciled_at": batch.reconciled_at,
    }


def _line(line: SettlementLine) -> dict[str, Any]:
    if line.claim is not None:
        subject, payer = f"claim:{line.claim.number}", line.claim.claimant.name
        parts = [{"payer": part.payer, "amount": money(part.amount_fen)} for part in line.claim.parts.all()]
    elif line.charge is None:
        subject, payer, parts = f"programme:{line.programme_code}", line.batch.payee.name, []
        if line.recovery is not None:
            subject = f"recovery:{line.recovery.number}"
        elif not line.programme_code:
            subject = "own_shares"
    else:
        subject, payer, parts = line.charge.subject, line.charge.payer.name, []
    return {
        "id": line.pk,
        "subject": subject,
        "charge": line.charge.number if line.charge else None,
        "claim": line.claim.number if line.claim else None,
        "recovery": line.recovery.number if line.recovery else None,
        "leg": line.leg,
        "payer": payer,
        "amount": money(line.amount_fen),
        "parts": parts,
        "active": line.active,
        "reason": line.reason,
    }


def detail(request: ActorRequest, number: str) -> dict[str, Any]:
    batch = access.get_batch(request.actor, number)
    return {**_shown(batch), "lines": [_line(line) for line in queries.lines_of(batch.pk)]}


@router.get("", response={200: PageOut[BatchOut], **problems()})
def list_batches(request: ActorRequest, wanted: Query[BatchFilter]) -> dict[str, Any]:
    """List batches: finance sees all, a payee its own once approved."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@router.get("/due", response={200: list[DueOut], **problems()})
def due(request: ActorRequest) -> list[dict[str, Any]]:
    """Say what each payee can be paid now; others learn their own sum only."""
    payees = people.payees()
    if not any(request.actor.may(permission) for permission in access.FINANCE):
        if not request.actor.may(Permission.CLAIM_FILE):
            request.actor.require(Permission.SETTLEMENT_READ_OWN)
        payees = payees.filter(pk=people.get_own(request.actor).pk)
    sums = queries.due_by_payee(now=timezone.now())
    return [
        {"payee": _payee(payee), "amount": money(sums[payee.pk])}
        for payee in payees.filter(pk__in=sums).order_by("name", "pk")
    ]


@router.get("/years/{year}", response={200: YearOut, **problems(404)})
def get_year(request: ActorRequest, year: Year) -> dict[str, Any]:
    """Say what stands open at the end of a fiscal year, whether it is closed, and who asked for it to be."""
    request.actor.require(Permission.LEDGER_READ)
    return _year(year)


@router.post("/years/{year}/propose", response={200: YearOut, **problems(404, 409)})
def propose_year(request: ActorRequest, year: Year) -> dict[str, Any]:
    """Ask for a fiscal year to be closed; another person approves."""
    closing.propose_year(actor=request.actor, fiscal_year=year, now=timezone.now())
    return _year(year)


@router.post("/years/{year}/approve", response={200: YearOut, **problems(404, 409)})
def approve_year(request: ActorRequest, year: Year) -> dict[str, Any]:
    """Close a fiscal year that another person asked to be closed, for ever."""
    closing.approve_year(actor=request.actor, fiscal_year=year, now=timezone.now())
    return _year(year)


@router.post("/years/{year}/return", response={200: YearOut, **problems(404, 409)})
def return_year(request: ActorRequest, year: Year, payload: RejectIn) -> dict[str, Any]:
    """Send such a request back with a reason, or take back one's own."""
    closing.return_year(actor=request.actor, fiscal_year=year, reason=payload.reason, now=timezone.now())
    return _year(year)


def _year(year: int) -> dict[str, Any]:
    found, proposal = closing.outlook(year), closing.open_proposal(year)
    closed = Period.objects.filter(pk=year).first()
    return {
        "year": year,
        "ends_at": found.ends_at,
        "proposed_by": proposal.signature if proposal else None,
        "closed_at": closed.closed_at if closed else None,
        "balances": [
            {
                "programme": line.programme,
                "fiscal_year": line.fiscal_year,
                "unit": line.unit,
                "account": line.kind.value,
                "balance": line.balance_fen,
                "held": max(line.held_debit_fen, line.held_credit_fen),
            }
            for line in found.lines
        ],
        "vouchers": found.vouchers,
        "claims": found.claims,
        "claims_amount": money(found.claims_fen),
        "batches": found.batches,
        "batches_amount": money(found.batches_fen),
    }


@router.get("/{number}", response={200: BatchDetailOut, **problems(404)})
def get_batch(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a batch with its lines."""
    return detail(request, number)


@router.post("", response={201: BatchDetailOut, **problems(404, 409)})
def draft(request: ActorRequest, payload: BatchIn) -> Status[dict[str, Any]]:
    """Put everything a payee is owed into a new batch. No money moves yet; a second call finds nothing (409)."""
    request.actor.require(Permission.SETTLEMENT_DRAFT)
    payee = people.payees().filter(credit_code=payload.payee).first()
    if payee is None:
        raise NotFound(field="payee")
    batch = services.draft(actor=request.actor, payee=payee, now=timezone.now())
    return Status(201, detail(request, batch.number))


@router.post("/{number}/check", response={200: BatchDetailOut, **problems(404, 409)})
def check(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Check a draft line by line as another person than drafted it; a third approves."""
    services.check(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return detail(request, number)


@router.post("/{number}/reconcile", response={200: BatchDetailOut, **problems(404, 409)})
def reconcile(request: ActorRequest, number: Number, payload: ReconcileIn) -> dict[str, Any]:
    """Record that the bank's statement shows the payment, as another person than recorded it."""
    services.reconcile(
        actor=request.actor,
        batch=access.get_batch(request.actor, number),
        bank_line=payload.bank_line,
        now=timezone.now(),
    )
    return detail(request, number)


@router.post("/{number}/approve", response={200: BatchDetailOut, **problems(404, 409)})
def approve(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Approve as another person than the one who drafted it."""
    services.approve(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return detail(request, number)


@router.post("/{number}/pay", response={200: BatchDetailOut, **problems(404, 409)})
def pay(request: ActorRequest, number: Number, payload: PaidIn) -> dict[str, Any]:
    """Record that the treasury has paid an approved batch; the ledger posts it."""
    services.mark_paid(
        actor=request.actor,
        batch=access.get_batch(request.actor, number),
        bank_reference=payload.bank_reference,
        now=timezone.now(),
    )
    return detail(request, number)


@router.post("/{number}/set-off", response={200: BatchDetailOut, **problems(404, 409)})
def set_off(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take what the payee owes in open recoveries off a draft, within one programme and year, never below zero."""
    offsetting.set_off(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return detail(request, number)


@router.post("/{number}/discard", response={200: BatchDetailOut, **problems(404, 409)})
def discard(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give a batch up before it is paid; its lines can go into another one."""
    services.discard(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return detail(request, number)


@router.post("/{number}/lines/{line_id}/reject", response={200: BatchDetailOut, **problems(404, 409)})
def reject_line(request: ActorRequest, number: Number, line_id: int, payload: RejectIn) -> dict[str, Any]:
    """Send one line of an unpaid batch back: it is owed again and can go into a later batch."""
    services.reject_line(
        actor=request.actor,
        batch=access.get_batch(request.actor, number),
        line_id=line_id,
        reason=payload.reason,
        now=timezone.now(),
    )
    return detail(request, number)


CSV = {"responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}}


@router.get("/{number}/statement.csv", response={200: str, **problems(404)}, openapi_extra=CSV)
def statement(request: ActorRequest, number: Number) -> HttpResponse:
    """Return the batch as CSV for the treasury's system: the same batch always gives the same bytes."""
    batch = access.get_batch(request.actor, number)
    content = files.statement(batch, list(queries.lines_of(batch.pk).filter(active=True)))
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{batch.number}.csv"'
    return response
