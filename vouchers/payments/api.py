"""Endpoints of payments: an enterprise's own shares."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
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
from vouchers.payments import access, services
from vouchers.payments.models import Payment
from vouchers.payments.rules import PaymentState

router = Router(tags=["payments"])


class PaymentOut(Schema):
    """One amount owed. `reference` is what the bank transfer must quote, `subject` what it is for."""

    number: str
    subject: str
    payer: str
    provider: str
    amount: MoneyOut
    refunded: MoneyOut
    owed_back: MoneyOut
    reference: str
    state: PaymentState
    state_label: str
    bank_reference: str
    note: str
    created_at: datetime
    declared_at: datetime | None
    confirmed_at: datetime | None


class DeclareIn(StrictIn):
    """The bank's own number of the transfer."""

    bank_reference: Annotated[Line, Field(max_length=60)]


class ConfirmIn(StrictIn):
    """Empty keeps the number the payer declared."""

    bank_reference: Annotated[Line, Field(max_length=60)] = ""


class ReturnIn(StrictIn):
    """Why; the payer reads it."""

    note: Annotated[Block, Field(max_length=200)] = ""


class PaymentFilter(Cursor):
    """``?state=declared`` is the finance officer's queue."""

    state: PaymentState | None = None


def _shown(payment: Payment) -> dict[str, Any]:
    return {
        "number": payment.number,
        "subject": payment.charge.subject,
        "payer": payment.payer.name,
        "provider": payment.charge.provider.name,
        "amount": money(payment.amount_fen),
        "refunded": money(payment.refunded_fen),
        "owed_back": money(payment.owed_back_fen),
        "reference": payment.reference,
        "state": payment.state,
        "state_label": payment.get_state_display(),
        "bank_reference": payment.bank_reference,
        "note": payment.note,
        "created_at": payment.created_at,
        "declared_at": payment.declared_at,
        "confirmed_at": payment.confirmed_at,
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return _shown(access.get_payment(request.actor, number))


@router.get("", response={200: PageOut[PaymentOut], **problems()})
def list_payments(request: ActorRequest, wanted: Query[PaymentFilter]) -> dict[str, Any]:
    """List what the caller's organisation owes and has paid; for finance, everybody's."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@router.get("/{number}", response={200: PaymentOut, **problems(404)})
def get_payment(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one payment."""
    return _again(request, number)


@router.post("/{number}/declare", response={200: PaymentOut, **problems(404, 409)})
def declare(request: ActorRequest, number: Number, payload: DeclareIn) -> dict[str, Any]:
    """Say that the money has been transferred, with the bank's number."""
    services.declare(
        actor=request.actor,
        payment=access.get_payment(request.actor, number),
        bank_reference=payload.bank_reference,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/confirm", response={200: PaymentOut, **problems(404, 409)})
def confirm(request: ActorRequest, number: Number, payload: ConfirmIn) -> dict[str, Any]:
    """Confirm that the money is on the bank statement; the ledger records it."""
    services.confirm(
        actor=request.actor,
        payment=access.get_payment(request.actor, number),
        bank_reference=payload.bank_reference,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/pay-back", response={200: PaymentOut, **problems(404, 409)})
def pay_back(request: ActorRequest, number: Number, payload: ConfirmIn) -> dict[str, Any]:
    """Record that a refunded own share has been transferred back to its payer; the ledger records it."""
    services.pay_back(
        actor=request.actor,
        payment=access.get_payment(request.actor, number),
        bank_reference=payload.bank_reference,
        now=timezone.now(),
    )
    return _again(request, number)


@router.post("/{number}/return", response={200: PaymentOut, **problems(404, 409)})
def return_declared(request: ActorRequest, number: Number, payload: ReturnIn) -> dict[str, Any]:
    """Send a declared payment back: no such money arrived."""
    services.return_declared(
        actor=request.actor,
        payment=access.get_payment(request.actor, number),
        note=payload.note,
        now=timezone.now(),
    )
    return _again(request, number)
