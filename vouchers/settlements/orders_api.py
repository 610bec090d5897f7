"""Endpoints of payment orders, return files, discrepancies, file formats and settlement terms."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import Forbidden
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Document,
    Flag,
    Line,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.settlements import access, answering, cadences, discrepancies, ordering
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, ReturnFile, SettlementTerms
from vouchers.settlements.order_rules import (
    AnswerOutcome,
    DiscrepancyKind,
    DiscrepancyState,
    OrderLineState,
    PaymentOrderState,
    SettlementCadence,
)

router = Router(tags=["payment orders"])
cases = Router(tags=["discrepancies"])
MOST = 10 * 1024 * 1024


class PaymentOrderLineOut(Schema):
    """One payment: which batch, to which account (masked), and what the bank said of it."""

    reference: str
    batch: str
    payee: str
    account: str
    amount: MoneyOut
    state: OrderLineState
    bank_reference: str
    reason: str


class PaymentOrderOut(Schema):
    """Approved batches in one file. `sha256` is that of the file, for ever."""

    number: str
    state: PaymentOrderState
    total: MoneyOut
    format: str
    file_name: str
    sha256: str
    created_by: str
    created_at: datetime
    lines: list[PaymentOrderLineOut] = []


class PaymentOrderIn(StrictIn):
    """Numbers of approved batches, and the code of a format."""

    batches: Annotated[list[Number], Field(min_length=1, max_length=500)]
    format: Annotated[Line, Field(max_length=60)]


class ReturnFileOut(Schema):
    """What a return file did: rows paid, failed, known before, and those that became cases."""

    name: str
    sha256: str
    rows: int
    paid: int
    failed: int
    unchanged: int
    discrepancies: int
    imported_at: datetime


class DiscrepancyOut(Schema):
    """What a bank's answer and the portal disagree on."""

    number: str
    kind: DiscrepancyKind
    state: DiscrepancyState
    order: str
    reference: str
    expected: MoneyOut | None
    found: MoneyOut
    said: AnswerOutcome
    text: str
    correction: str


class OrderReasonIn(StrictIn):
    """Why an order is cancelled."""

    reason: Annotated[Line, Field(max_length=200)]


class CaseTextIn(StrictIn):
    """What became clear."""

    text: Annotated[Block, Field(max_length=600)]


class CorrectionIn(CaseTextIn):
    """What really became of the payment."""

    outcome: AnswerOutcome


class BankFormatIn(StrictIn):
    """A format's document; see ``GET /payment-orders/formats`` for those that come with the portal."""

    definition: Document


class SettlementTermsIn(StrictIn):
    """How often; an empty `programme` stands for own shares and every programme without terms of its own."""

    programme: Annotated[str, Field(max_length=60)] = ""
    cadence: SettlementCadence
    needs_check: Flag = False


class SettlementTermsOut(Schema):
    """How often what is owed is put into batches."""

    programme: str
    cadence: SettlementCadence
    needs_check: bool


def _finance(request: ActorRequest) -> None:
    if not request.actor.may(Permission.SETTLEMENT_PAY) and not request.actor.may(Permission.SETTLEMENT_APPROVE):
        raise Forbidden


def _order_shown(order: PaymentOrder) -> dict[str, Any]:
    return {
        "number": order.number,
        "state": order.state,
        "total": money(order.total_fen),
        "format": order.format["code"],
        "file_name": order.file_name,
        "sha256": order.sha256,
        "created_by": str(order.created_by),
        "created_at": order.created_at,
    }


def _order_detail(request: ActorRequest, number: str) -> dict[str, Any]:
    order = access.get_order(request.actor, number)
    lines = order.lines.select_related("batch__payee", "account")
    return {
        **_order_shown(order),
        "lines": [
            {
                "reference": line.reference,
                "batch": line.batch.number,
                "payee": line.batch.payee.name,
                "account": line.account.masked,
                "amount": money(line.amount_fen),
                "state": line.state,
                "bank_reference": line.bank_reference,
                "reason": line.reason,
            }
            for line in lines
        ],
    }


def _case_shown(case: Discrepancy) -> dict[str, Any]:
    return {
        "number": case.number,
        "kind": case.kind,
        "state": case.state,
        "order": case.order.number,
        "reference": case.reference,
        "expected": None if case.expected_fen is None else money(case.expected_fen),
        "found": money(case.found_fen),
        "said": case.said,
        "text": case.text,
        "correction": case.correction,
    }


def _answer_shown(made: ReturnFile) -> dict[str, Any]:
    names = ("name", "sha256", "rows", "paid", "failed", "unchanged", "discrepancies", "imported_at")
    return {name: getattr(made, name) for name in names}


def _terms_shown(terms: SettlementTerms) -> dict[str, Any]:
    return {"programme": terms.programme_code, "cadence": terms.cadence, "needs_check": terms.needs_check}


@router.get("", response={200: PageOut[PaymentOrderOut], **problems()})
def list_payment_orders(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List payment orders, the latest first; finance's."""
    _finance(request)
    return paged(access.orders_visible_to(request.actor).defer("content"), wanted, _order_shown)


@router.post("", response={201: PaymentOrderOut, **problems(404, 409)})
def export_order(request: ActorRequest, payload: PaymentOrderIn) -> Status[dict[str, Any]]:
    """Put approved batches of any payees into one file, all or none: 409 tells of every batch why not."""
    made = ordering.export(actor=request.actor, numbers=payload.batches, format_code=payload.format, now=timezone.now())
    return Status(201, _order_detail(request, made.number))


@router.get("/formats", response={200: list[dict[str, Any]], **problems()})
def list_formats(request: ActorRequest) -> list[dict[str, Any]]:
    """Return the documents of every format there is."""
    _finance(request)
    return [dict(document) for document in ordering.available_formats().values()]


@router.post("/formats", response={200: dict[str, Any], **problems(409)})
def save_format(request: ActorRequest, payload: BankFormatIn) -> dict[str, Any]:
    """Add a format of the own treasury or bank, or replace one by its code; 409 names every fault by its key."""
    saved = ordering.save_format(actor=request.actor, definition=payload.definition, now=timezone.now())
    return dict(saved.definition)


@router.get("/terms", response={200: list[SettlementTermsOut], **problems()})
def list_terms(request: ActorRequest) -> list[dict[str, Any]]:
    """Say how often what is owed is put into batches, by programme."""
    _finance(request)
    return [_terms_shown(row) for row in access.terms_visible_to(request.actor)]


@router.post("/terms", response={200: SettlementTermsOut, **problems(409)})
def set_terms(request: ActorRequest, payload: SettlementTermsIn) -> dict[str, Any]:
    """Set how often a programme, or with an empty code all others, is settled."""
    made = cadences.set_terms(
        actor=request.actor,
        programme_code=payload.programme,
        cadence=payload.cadence,
        needs_check=payload.needs_check,
        now=timezone.now(),
    )
    return _terms_shown(made)


@router.get("/{number}", response={200: PaymentOrderOut, **problems(404)})
def get_payment_order(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a payment order with its lines; account numbers masked."""
    return _order_detail(request, number)


@router.get("/{number}/file", response={200: bytes, **problems(404)})
def get_order_file(request: ActorRequest, number: Number) -> HttpResponse:
    """Return the very file that was made, byte for byte."""
    order = access.get_order(request.actor, number)
    response = HttpResponse(bytes(order.content), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{order.file_name}"'
    return response


@router.get("/{number}/manifest", response={200: dict[str, Any], **problems(404)})
def get_order_manifest(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Say what the file holds: its SHA-256, count, total, lines, and the head of the ledger's chain."""
    return dict(access.get_order(request.actor, number).manifest)


@router.post("/{number}/cancel", response={200: PaymentOrderOut, **problems(404, 409)})
def cancel_order(request: ActorRequest, number: Number, payload: OrderReasonIn) -> dict[str, Any]:
    """Take back an order that has not gone to the bank, as another person than exported it."""
    order = access.get_order(request.actor, number)
    ordering.cancel(actor=request.actor, order=order, reason=payload.reason, now=timezone.now())
    return _order_detail(request, number)


@router.post("/{number}/answers", response={200: ReturnFileOut, **problems(404, 409)})
def import_answer(
    request: ActorRequest, number: Number, layout: Annotated[str, Form(max_length=60)], file: File[UploadedFile]
) -> dict[str, Any]:
    """Take in the bank's return file (at most 10 MB), all of it or nothing; the same file again changes nothing.

    `layout` says how it is read: ``table`` (xlsx or CSV with headings) or ``bank-txt``.
    """
    made = answering.import_answer(
        actor=request.actor,
        order=access.get_order(request.actor, number),
        content=file.read(MOST + 1),
        name=file.name or "file",
        format_code=layout,
        now=timezone.now(),
    )
    return _answer_shown(made)


@cases.get("", response={200: PageOut[DiscrepancyOut], **problems()})
def list_discrepancies(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List cases, the latest first; finance's."""
    _finance(request)
    return paged(access.cases_visible_to(request.actor), wanted, _case_shown)


@cases.get("/{number}", response={200: DiscrepancyOut, **problems(404)})
def get_discrepancy(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a case."""
    return _case_shown(access.get_case(request.actor, number))


@cases.post("/{number}/explain", response={200: DiscrepancyOut, **problems(404, 409)})
def explain_discrepancy(request: ActorRequest, number: Number, payload: CaseTextIn) -> dict[str, Any]:
    """Explain a case that needs no correction; another person closes it."""
    case = access.get_case(request.actor, number)
    discrepancies.explain(actor=request.actor, case=case, text=payload.text, now=timezone.now())
    return _case_shown(access.get_case(request.actor, number))


@cases.post("/{number}/correct", response={200: DiscrepancyOut, **problems(404, 409)})
def correct_discrepancy(request: ActorRequest, number: Number, payload: CorrectionIn) -> dict[str, Any]:
    """Say what really became of an open payment; it is booked when another person closes the case."""
    case = access.get_case(request.actor, number)
    discrepancies.correct(
        actor=request.actor, case=case, outcome=payload.outcome, text=payload.text, now=timezone.now()
    )
    return _case_shown(access.get_case(request.actor, number))


@cases.post("/{number}/return", response={200: DiscrepancyOut, **problems(404, 409)})
def return_discrepancy(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Do not accept what was said: the case is open again."""
    case = access.get_case(request.actor, number)
    discrepancies.send_back(actor=request.actor, case=case, now=timezone.now())
    return _case_shown(access.get_case(request.actor, number))


@cases.post("/{number}/close", response={200: DiscrepancyOut, **problems(404, 409)})
def close_discrepancy(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Close a case as another person; a correction is booked now."""
    case = access.get_case(request.actor, number)
    discrepancies.close(actor=request.actor, case=case, now=timezone.now())
    return _case_shown(access.get_case(request.actor, number))
