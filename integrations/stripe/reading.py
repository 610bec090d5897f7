"""What Stripe's objects say, in the words of `vouchers.payments.ports`. Pure: mappings in, values out.

Amounts and currencies are told as they are, right or wrong: whether they are ours the domain judges. An object without
what it must have raises Malformed: such an answer proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from portal.kernel.errors import Unavailable
from portal.kernel.money import Money
from vouchers.payments.ports import (
    BalanceKind,
    BalanceLine,
    Failure,
    NextAction,
    NextKind,
    Seen,
    SeenDispute,
    SeenRefund,
    SeenState,
    SeenTransfer,
)

__all__ = [
    "ATTEMPT",
    "PAYMENT",
    "REFUND",
    "TRANSFER",
    "VIA",
    "Malformed",
    "balance_line",
    "dispute_of",
    "fen_of",
    "held",
    "number_in",
    "of_intent",
    "of_session",
    "refund_of",
    "text_of",
    "time_of",
    "transfer_of",
]

Json = Mapping[str, Any]

ATTEMPT, PAYMENT, REFUND, TRANSFER = "gongxiang_attempt", "gongxiang_payment", "gongxiang_refund", "gongxiang_transfer"
"""Under which of an object's metadata our numbers stand."""
VIA: Final = "gongxiang_via"
"""How a payment was opened: ``checkout`` where a page of Stripe's stands before it."""

INTENT: Final = {
    "requires_payment_method": SeenState.FAILED,
    "requires_confirmation": SeenState.REQUIRES_ACTION,
    "requires_action": SeenState.REQUIRES_ACTION,
    "processing": SeenState.PROCESSING,
    "requires_capture": SeenState.REQUIRES_CAPTURE,
    "succeeded": SeenState.SUCCEEDED,
    "canceled": SeenState.CANCELLED,
}
REFUNDS: Final = {
    "pending": SeenState.PROCESSING,
    "requires_action": SeenState.PROCESSING,
    "succeeded": SeenState.SUCCEEDED,
    "failed": SeenState.FAILED,
    "canceled": SeenState.FAILED,
}
DISPUTES_OVER: Final = frozenset({"won", "lost", "warning_closed", "prevented"})
DISPUTES_TAKEN: Final = frozenset(
    {"needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review"}
)
BALANCE: Final = {
    **dict.fromkeys(("charge", "payment"), BalanceKind.PAYMENT),
    **dict.fromkeys(
        ("refund", "payment_refund", "refund_failure", "payment_failure_refund", "payment_reversal"), BalanceKind.REFUND
    ),
    **dict.fromkeys(("stripe_fee", "stripe_fx_fee", "tax_fee", "fee", "network_cost"), BalanceKind.FEE),
    **dict.fromkeys(("payout", "payout_cancel", "payout_failure"), BalanceKind.PAYOUT),
    **dict.fromkeys(("transfer", "transfer_cancel", "transfer_failure", "transfer_refund"), BalanceKind.TRANSFER),
    **dict.fromkeys(("dispute", "dispute_reversal"), BalanceKind.DISPUTE),
}


class Malformed(Unavailable):
    """An answer lacks what it must have, so it says nothing."""

    code = "payment.rail_garbled"


def text_of(row: Json, name: str) -> str:
    """Return a text that must be there. Raises Malformed."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed
    return value


def fen_of(row: Json, name: str) -> Money:
    """Return an amount in the smallest unit of its currency. Raises Malformed."""
    value = row.get(name)
    if type(value) is not int:
        raise Malformed
    return Money(value)


def time_of(row: Json, name: str) -> datetime:
    """Return a moment given in seconds since 1970. Raises Malformed."""
    value = row.get(name)
    if type(value) is not int:
        raise Malformed
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Malformed from error


def held(value: Any) -> str:
    """Return the id of what a field refers to, expanded or not; "" for nothing."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def number_in(row: Json, name: str) -> str:
    """Return our number in an object's metadata, "" where there is none."""
    metadata = row.get("metadata")
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""


def of_intent(intent: Json, *, session_id: str = "") -> Seen:
    """Return what a payment intent says. Raises Malformed."""
    status = text_of(intent, "status")
    if status not in INTENT:
        raise Malformed
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, Mapping) else {}
    state = INTENT[status]
    return Seen(
        provider_id=text_of(intent, "id"),
        number=number_in(intent, ATTEMPT),
        state=state,
        amount=fen_of(intent, "amount"),
        currency=text_of(intent, "currency").upper(),
        received=Money(intent["amount_received"]) if type(intent.get("amount_received")) is int else Money(0),
        refunded=Money(charge["amount_refunded"]) if type(charge.get("amount_refunded")) is int else Money(0),
        method=_method(intent, charge),
        session_id=session_id,
        next_action=_next(intent.get("next_action")) if state is SeenState.REQUIRES_ACTION else None,
        failure=_failure(intent.get("last_payment_error")) if state is not SeenState.SUCCEEDED else None,
    )


def of_session(session: Json) -> Seen:
    """Return what a page of Stripe's says, with its payment where that was expanded. Raises Malformed.

    While the page is open a card that was declined is no failure: the payer may try another there.
    """
    intent = session.get("payment_intent")
    paid = of_intent(intent, session_id=text_of(session, "id")) if isinstance(intent, Mapping) else None
    state = _page_state(session, paid)
    url, ends = session.get("url"), session.get("expires_at")
    action = None
    if state is SeenState.REQUIRES_ACTION and isinstance(url, str) and url:
        action = NextAction(NextKind.REDIRECT, url, time_of(session, "expires_at") if ends is not None else None)
    reference = session.get("client_reference_id")
    return Seen(
        provider_id=held(intent) or text_of(session, "id"),
        number=number_in(session, ATTEMPT) or (reference if isinstance(reference, str) else ""),
        state=state,
        amount=paid.amount if paid else fen_of(session, "amount_total"),
        currency=paid.currency if paid else text_of(session, "currency").upper(),
        received=paid.received if paid else Money(0),
        refunded=paid.refunded if paid else Money(0),
        method=paid.method if paid else "",
        session_id=text_of(session, "id"),
        next_action=action,
        failure=paid.failure if paid else None,
    )


def _page_state(session: Json, paid: Seen | None) -> SeenState:
    told = {SeenState.SUCCEEDED, SeenState.PROCESSING, SeenState.REQUIRES_CAPTURE}
    if paid and paid.state in told:
        return paid.state
    status = text_of(session, "status")
    if status == "expired":
        return SeenState.CANCELLED
    if status == "open":
        return SeenState.REQUIRES_ACTION
    if status != "complete":
        raise Malformed
    if session.get("payment_status") == "paid":
        return SeenState.SUCCEEDED
    return paid.state if paid and paid.state in {SeenState.FAILED, SeenState.CANCELLED} else SeenState.PROCESSING


def _method(intent: Json, charge: Json) -> str:
    details = charge.get("payment_method_details")
    if isinstance(details, Mapping) and isinstance(details.get("type"), str):
        return str(details["type"])
    kinds = intent.get("payment_method_types")
    return str(kinds[0]) if isinstance(kinds, list) and len(kinds) == 1 else ""


def _next(action: Any) -> NextAction | None:
    """Return what the payer does: scan a code (WeChat Pay), follow an address (Alipay, 3-D Secure)."""
    if not isinstance(action, Mapping):
        return None
    code = action.get("wechat_pay_display_qr_code")
    if isinstance(code, Mapping) and isinstance(code.get("data"), str):
        return NextAction(NextKind.QR, code["data"])
    for kind in ("alipay_handle_redirect", "redirect_to_url"):
        where = action.get(kind)
        if isinstance(where, Mapping) and isinstance(where.get("url"), str):
            return NextAction(NextKind.REDIRECT, where["url"])
    return None


def _failure(error: Any) -> Failure | None:
    if not isinstance(error, Mapping):
        return None
    code, text, why = (str(error.get(name) or "") for name in ("code", "message", "decline_code"))
    return Failure(code=code or "failed", text=f"{text} ({why})" if why and why != code else text)


def refund_of(refund: Json) -> SeenRefund:
    """Return what a refund says. Raises Malformed."""
    status = text_of(refund, "status")
    if status not in REFUNDS:
        raise Malformed
    state = REFUNDS[status]
    why = refund.get("failure_reason")
    return SeenRefund(
        provider_id=text_of(refund, "id"),
        payment_id=held(refund.get("payment_intent")),
        number=number_in(refund, REFUND),
        state=state,
        amount=fen_of(refund, "amount"),
        currency=text_of(refund, "currency").upper(),
        failure=Failure(str(why or status)) if state is SeenState.FAILED else None,
    )


def dispute_of(dispute: Json) -> SeenDispute:
    """Return what a dispute says. Raises Malformed.

    The money is gone while what was taken outweighs what was given back; without those lines the state tells.
    """
    status = text_of(dispute, "status")
    moved = dispute.get("balance_transactions")
    if isinstance(moved, list):
        withdrawn = sum(fen_of(line, "amount").fen for line in moved if isinstance(line, Mapping)) < 0
    else:
        withdrawn = status in DISPUTES_TAKEN
    evidence = dispute.get("evidence_details")
    return SeenDispute(
        provider_id=text_of(dispute, "id"),
        payment_id=held(dispute.get("payment_intent")),
        amount=fen_of(dispute, "amount"),
        currency=text_of(dispute, "currency").upper(),
        state=status,
        reason=str(dispute.get("reason") or ""),
        withdrawn=withdrawn,
        is_over=status in DISPUTES_OVER,
        answer_by=time_of(evidence, "due_by") if isinstance(evidence, Mapping) and evidence.get("due_by") else None,
    )


def transfer_of(transfer: Json) -> SeenTransfer:
    """Return what a transfer to a provider's account says. Raises Malformed."""
    return SeenTransfer(
        provider_id=text_of(transfer, "id"),
        number=number_in(transfer, TRANSFER),
        destination=held(transfer.get("destination")),
        amount=fen_of(transfer, "amount"),
        currency=text_of(transfer, "currency").upper(),
        reversed=Money(transfer["amount_reversed"]) if type(transfer.get("amount_reversed")) is int else Money(0),
    )


KNOWN_BY = {"charge": "payment_intent", "transfer_reversal": "transfer"}
"""Under which of its fields we know what moved."""


def balance_line(line: Json) -> BalanceLine:
    """Return one movement of our balance. Raises Malformed.

    `source` of a payment is the payment intent where the charge was expanded: what attempts are known by; of a transfer's
    reversal the transfer where the reversal was expanded.
    """
    kind = BALANCE.get(text_of(line, "type"))
    if kind is None:
        kind = BALANCE.get(str(line.get("reporting_category") or ""), BalanceKind.OTHER)
    source = line.get("source")
    known_by = KNOWN_BY.get(str(source.get("object"))) if isinstance(source, Mapping) else None
    named = held(source.get(known_by)) if isinstance(source, Mapping) and known_by else ""
    return BalanceLine(
        provider_id=text_of(line, "id"),
        kind=kind,
        amount=fen_of(line, "amount"),
        fee=fen_of(line, "fee"),
        net=fen_of(line, "net"),
        currency=text_of(line, "currency").upper(),
        source=named or held(source),
        created_at=time_of(line, "created"),
    )
