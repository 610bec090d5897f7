"""Endpoints of payments over rails: start and give up an attempt, see attempts and refunds; for finance what needs a person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal import links
from portal.http import explain_reason
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    IdempotencyKey,
    Line,
    MoneyOut,
    Number,
    PageOut,
    ReasonOut,
    StrictIn,
    key_from,
    language,
    money,
    paged,
    problems,
)
from vouchers.payments import access, attempting, failures, inbox, looking, rail_access, rails, settling
from vouchers.payments.ports import Method
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt
from vouchers.payments.rail_rules import AttemptState, EventState, RefundState

attempts = Router(tags=["payments"])
finance = Router(tags=["payment rails"])


class RailOut(Schema):
    """One gateway a payment can go over. `sandbox`: nothing real is charged."""

    rail: str
    methods: list[Method]
    sandbox: bool


class AttemptOut(Schema):
    """One try to pay. `next_kind` says what the payer has to do at `next_url`: ``redirect`` to it, or scan it (``qr``)."""

    number: str
    payment: str
    rail: str
    method: Method
    state: AttemptState
    state_label: str
    amount: MoneyOut
    next_kind: str
    next_url: str
    failure: ReasonOut | None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class RailRefundOut(Schema):
    """Money going back the way it came. `settled_as` says what was done about one that failed."""

    number: str
    payment: str
    attempt: str
    state: RefundState
    state_label: str
    amount: MoneyOut
    reason: str
    failure_code: str
    settled_as: str
    created_at: datetime
    ended_at: datetime | None


class RailNoticeOut(Schema):
    """A gateway's notice. `note` says why it was quarantined or ignored, `deliveries` how often it came (0: fetched)."""

    id: int
    rail: str
    notice: str
    type: str
    object_id: str
    state: EventState
    state_label: str
    note: str
    deliveries: int
    occurred_at: datetime
    received_at: datetime


class RailDisputeOut(Schema):
    """A payer's objection with the gateway. `taken`: what the gateway has taken back of our money now."""

    dispute: str
    rail: str
    payment: str
    payer: str
    amount: MoneyOut
    taken: MoneyOut
    state: str
    reason: str
    is_over: bool
    answer_by: datetime | None


class AttemptStartIn(StrictIn):
    """By which rail and method; the gateway sends the payer back to the payment's page."""

    rail: Annotated[Line, Field(max_length=24)]
    method: Method


class NoticeIgnoreIn(StrictIn):
    """Why nothing is to be done; kept on the record."""

    reason: Annotated[Block, Field(max_length=200)]


class RefundByBankIn(StrictIn):
    """The bank's number of the transfer by which finance paid a failed refund."""

    bank_reference: Annotated[Line, Field(max_length=60)]


class RefundFilter(Cursor):
    """``?state=failed`` is what finance has to pay by bank."""

    state: RefundState | None = None


class NoticeFilter(Cursor):
    """``?state=quarantined`` is what finance has to look at."""

    state: EventState | None = None


def _attempt(row: PaymentAttempt) -> dict[str, Any]:
    failed = row.state == AttemptState.FAILED.value
    return {
        "number": row.number,
        "payment": row.payment.number,
        "rail": row.rail,
        "method": row.method,
        "state": row.state,
        "state_label": row.get_state_display(),
        "amount": money(row.amount_fen),
        "next_kind": row.next_kind,
        "next_url": row.next_url,
        "failure": explain_reason(failures.explained(row.failure_code, row.failure_text)) if failed else None,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "ended_at": row.ended_at,
    }


def _refund(row: RefundAttempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "payment": row.payment.number,
        "attempt": row.attempt.number,
        "state": row.state,
        "state_label": row.get_state_display(),
        "amount": money(row.amount_fen),
        "reason": row.reason,
        "failure_code": row.failure_code,
        "settled_as": row.settled_as,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }


def _notice(row: PaymentEvent) -> dict[str, Any]:
    return {
        "id": row.pk,
        "rail": row.rail,
        "notice": row.provider_event_id,
        "type": row.type,
        "object_id": row.object_id,
        "state": row.state,
        "state_label": row.get_state_display(),
        "note": row.note,
        "deliveries": row.deliveries,
        "occurred_at": row.occurred_at,
        "received_at": row.received_at,
    }


def _dispute(row: PaymentDispute) -> dict[str, Any]:
    return {
        "dispute": row.provider_id,
        "rail": row.rail,
        "payment": row.attempt.payment.number,
        "payer": row.attempt.payment.payer.name,
        "amount": money(row.amount_fen),
        "taken": money(row.taken_fen),
        "state": row.state,
        "reason": row.reason,
        "is_over": row.is_over,
        "answer_by": row.answer_by,
    }


@finance.get("/rails", response={200: list[RailOut], **problems()})
def list_rails(request: ActorRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja gives it
    """List the gateways a payment can go over, beside the bank transfer that is always there."""
    return [
        {"rail": rail.code, "methods": list(rail.capabilities.methods), "sandbox": rail.capabilities.sandbox}
        for rail in rails.rails()
    ]


@attempts.get("/{number}/attempts", response={200: PageOut[AttemptOut], **problems(404)})
def list_attempts(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the attempts to pay a payment over rails, the newest first."""
    return paged(rail_access.attempts_of(access.get_payment(request.actor, number)), wanted, _attempt)


@attempts.post("/{number}/attempts", response={201: AttemptOut, **problems(404, 409)})
def start_attempt(
    request: ActorRequest, number: Number, payload: AttemptStartIn, key: IdempotencyKey
) -> Status[dict[str, Any]]:
    """Start to pay what is left of a payment; the one that is open in the same way is returned instead of a second.

    The gateway is told to send the payer back to the payment's page.
    """
    payment = access.get_payment(request.actor, number)
    made = attempting.start(
        actor=request.actor,
        payment=payment,
        wanted=attempting.Wanted(
            rail=payload.rail,
            method=payload.method,
            return_url=links.absolute(request, reverse("payment_back", args=[payment.number])),
            language=language(),
        ),
        key=key_from(key),
        now=timezone.now(),
    )
    return Status(201, _attempt(made))


@attempts.post("/{number}/attempts/{attempt}/cancel", response={200: AttemptOut, **problems(404, 409)})
def cancel_attempt(request: ActorRequest, number: Number, attempt: Number) -> dict[str, Any]:
    """Give an open attempt up; one that has succeeded meanwhile counts and is returned as it is."""
    access.get_payment(request.actor, number)
    found = rail_access.get_attempt(request.actor, attempt)
    return _attempt(attempting.cancel(actor=request.actor, attempt=found, now=timezone.now()))


@attempts.get("/{number}/refunds", response={200: PageOut[RailRefundOut], **problems(404)})
def list_payment_refunds(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what goes back over rails of a payment, the newest first."""
    return paged(rail_access.refunds_of(access.get_payment(request.actor, number)), wanted, _refund)


@finance.get("/refunds", response={200: PageOut[RailRefundOut], **problems()})
def list_rail_refunds(request: ActorRequest, wanted: Query[RefundFilter]) -> dict[str, Any]:
    """List the refunds over rails of the caller's organisation; for finance, everybody's."""
    rows = rail_access.refunds_visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _refund)


@finance.post("/refunds/{number}/retry", response={200: RailRefundOut, **problems(404, 409)})
def retry_refund(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Ask the gateway once more for a refund that failed; the answer is the new refund."""
    found = rail_access.get_refund(request.actor, number)
    return _refund(settling.retry(actor=request.actor, refund=found, now=timezone.now()))


@finance.post("/refunds/{number}/look", response={200: RailRefundOut, **problems(404, 409)})
def look_for_refund(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Have an open refund looked for at the gateway at once."""
    found = rail_access.get_refund(request.actor, number)
    return _refund(looking.look_again_for_refund(actor=request.actor, refund=found, now=timezone.now()))


@finance.post("/refunds/{number}/pay-by-bank", response={200: RailRefundOut, **problems(404, 409)})
def pay_refund_by_bank(request: ActorRequest, number: Number, payload: RefundByBankIn) -> dict[str, Any]:
    """Record that a refund that failed was transferred to its payer; the ledger records it."""
    found = rail_access.get_refund(request.actor, number)
    done = settling.pay_by_bank(
        actor=request.actor, refund=found, bank_reference=payload.bank_reference, now=timezone.now()
    )
    return _refund(done)


@finance.post("/attempts/{number}/look", response={200: AttemptOut, **problems(404, 409)})
def look_again(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Have an open attempt looked for at the gateway at once."""
    found = rail_access.get_attempt(request.actor, number)
    return _attempt(looking.look_again(actor=request.actor, attempt=found, now=timezone.now()))


@finance.get("/notices", response={200: PageOut[RailNoticeOut], **problems()})
def list_rail_notices(request: ActorRequest, wanted: Query[NoticeFilter]) -> dict[str, Any]:
    """List the gateways' notices, for finance."""
    rows = rail_access.notices_visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _notice)


@finance.post("/notices/{notice}/release", response={200: RailNoticeOut, **problems(404, 409)})
def release_notice(request: ActorRequest, notice: int) -> dict[str, Any]:
    """Have a quarantined notice processed once more."""
    found = rail_access.get_notice(request.actor, notice)
    return _notice(inbox.release(actor=request.actor, event=found, now=timezone.now()))


@finance.post("/notices/{notice}/ignore", response={200: RailNoticeOut, **problems(404, 409)})
def ignore_notice(request: ActorRequest, notice: int, payload: NoticeIgnoreIn) -> dict[str, Any]:
    """End a quarantined notice without doing anything, and say why."""
    found = rail_access.get_notice(request.actor, notice)
    return _notice(inbox.ignore(actor=request.actor, event=found, reason=payload.reason, now=timezone.now()))


@finance.get("/disputes", response={200: PageOut[RailDisputeOut], **problems()})
def list_rail_disputes(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the payers' objections with gateways, for finance."""
    return paged(rail_access.disputes_visible_to(request.actor), wanted, _dispute)
