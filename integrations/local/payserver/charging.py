"""Charges: what happens when a payment intent takes money, or is declined."""

from __future__ import annotations

from typing import Any

from integrations.local.payserver import methods
from integrations.local.payserver.balance import move
from integrations.local.payserver.cards import Card
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["capture", "charge", "fail", "release"]


def _new(act: Act, intent: Object, method: Object, **more: Any) -> Object:
    kind = method["type"]
    details = methods.mandate_free(kind)
    if kind == "card":
        card = method["card"]
        shown = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
        details = {name: card[name] for name in shown} | {"network": card["brand"], "three_d_secure": None}
    return (
        act.fresh(
            "charge",
            "ch" if kind == "card" else "py",
            amount=intent["amount"],
            amount_captured=0,
            amount_refunded=0,
            application=None,
            application_fee=None,
            application_fee_amount=None,
            balance_transaction=None,
            billing_details=method["billing_details"],
            calculated_statement_descriptor=None,
            captured=False,
            currency=intent["currency"],
            customer=intent["customer"],
            description=intent["description"],
            disputed=False,
            failure_balance_transaction=None,
            failure_code=None,
            failure_message=None,
            fraud_details={},
            metadata=dict(intent["metadata"]),
            on_behalf_of=None,
            outcome=None,
            paid=False,
            payment_intent=intent["id"],
            payment_method=method["id"],
            payment_method_details={"type": kind, kind: details},
            receipt_email=intent["receipt_email"],
            receipt_number=None,
            receipt_url=None,
            refunded=False,
            review=None,
            shipping=None,
            source_transfer=None,
            statement_descriptor=None,
            status="pending",
            transfer_data=None,
            transfer_group=intent["transfer_group"],
        )
        | more
    )


def charge(act: Act, intent: Object, method: Object) -> Object:
    """Take the money of an intent, or only authorise it where that is asked for. Events included."""
    takes = intent["capture_method"] != "manual"
    approved = {
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    made = _new(act, intent, method, status="succeeded", paid=True, captured=takes, outcome=approved)
    if takes:
        made["amount_captured"] = made["amount"]
        _book(act, made)
    act.put(made)
    act.emit("charge.succeeded", made)
    return made


def capture(act: Act, charged: Object, amount: int) -> Object:
    """Take `amount` of what was authorised; the rest is let go."""
    before = dict(charged)
    charged |= {"captured": True, "amount_captured": amount}
    _book(act, charged)
    act.put(charged)
    act.emit("charge.captured", charged, before)
    return charged


def release(act: Act, charged: Object) -> None:
    """Let go what was authorised: shown as refunded, nothing moves."""
    before = dict(charged)
    charged |= {"refunded": True, "amount_refunded": charged["amount"]}
    act.put(charged)
    act.emit("charge.refunded", charged, before)


def fail(act: Act, intent: Object, method: Object, *, code: str, decline_code: str, text: str) -> Object:
    """Keep a charge that was declined."""
    outcome = {
        "network_status": "declined_by_network",
        "reason": decline_code,
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }
    made = _new(act, intent, method, status="failed", failure_code=code, failure_message=text, outcome=outcome)
    act.put(made)
    act.emit("charge.failed", made)
    return made


def declined_by(card: Card) -> dict[str, str]:
    return {"code": card.code, "decline_code": card.decline_code, "text": card.text}


def _book(act: Act, charged: Object) -> None:
    kind = charged["payment_method_details"]["type"]
    amount = charged["amount_captured"]
    type_ = "charge" if kind == "card" else "payment"
    fee = act.world.terms().fee(amount, kind)
    moved = move(act, type_, amount, charged["currency"], charged["id"], fee=fee, words=charged["description"] or "")
    charged["balance_transaction"] = moved["id"]
