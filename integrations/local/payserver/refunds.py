"""Refunds, in whole and in part, and how they end."""

from __future__ import annotations

from typing import Final

from integrations.local.payserver.balance import move
from integrations.local.payserver.cards import by_number
from integrations.local.payserver.errors import Problem, missing, refund_too_large, refused
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["change", "create", "end_refund"]

CREATE: Final = ("amount", "charge", "metadata", "payment_intent", "reason")
REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")


def create(act: Act, params: Params) -> Object:
    """Pay back once per call; whatever is not yet refunded where no amount is given."""
    params.allow(CREATE)
    reason, metadata = params.choice("reason", REASONS), params.metadata()
    asked = params.whole("amount", smallest=1)
    charged = _charge(act, params)
    left = charged["amount_captured"] - charged["amount_refunded"]
    if not charged["captured"]:
        raise refused(
            f"This charge ({charged['id']}) has not been captured; cancel the PaymentIntent to release it.",
            code="charge_not_refundable",
        )
    if charged["disputed"] and act.select("dispute", charge=charged["id"])[0]["status"] != "won":
        raise refused(f"Charge {charged['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise refused(f"Charge {charged['id']} has already been refunded.", code="charge_already_refunded")
    amount = left if asked is None else asked
    if amount > left:
        raise refund_too_large(amount, left, charged["currency"])
    return _refund(act, charged, amount, reason, metadata)


def _charge(act: Act, params: Params) -> Object:
    if identifier := params.text("charge"):
        return act.get("charge", identifier, "charge")
    identifier = params.text("payment_intent")
    if not identifier:
        raise Problem(
            400, "invalid_request_error", "One of the following params should be provided: charge, payment_intent."
        )
    intent = act.get("payment_intent", identifier, "payment_intent")
    charged = act.look(intent["latest_charge"])
    if charged is None or charged["status"] != "succeeded":
        raise refused(
            f"This PaymentIntent ({identifier}) does not have a successful charge to refund.", param="payment_intent"
        )
    return charged


def _refund(act: Act, charged: Object, amount: int, reason: str, metadata: dict[str, str]) -> Object:
    kind = charged["payment_method_details"]["type"]
    made = act.fresh(
        "refund",
        "re" if kind == "card" else "pyr",
        amount=amount,
        balance_transaction=None,
        charge=charged["id"],
        currency=charged["currency"],
        destination_details={"type": kind, kind: {}},
        metadata=metadata,
        payment_intent=charged["payment_intent"],
        reason=reason or None,
        receipt_number=None,
        source_transfer_reversal=None,
        status="succeeded",
        transfer_reversal=None,
    )
    del made["livemode"]
    method = act.look(charged["payment_method"])
    card = by_number(method.get("_number", "")) if method else None
    if act.world.store.setting("refunds") == "pending" or (card and card.later == "refund_pending"):
        made["status"] = "pending"
    type_ = "refund" if kind == "card" else "payment_refund"
    made["balance_transaction"] = move(
        act, type_, -amount, charged["currency"], made["id"], words="REFUND FOR PAYMENT"
    )["id"]
    before = dict(charged)
    charged["amount_refunded"] += amount
    charged["refunded"] = charged["amount_refunded"] == charged["amount_captured"]
    act.put(charged)
    act.put(made)
    act.emit("refund.created", made)
    act.emit("charge.refunded", charged, before)
    if card and card.later == "refund_fails":
        return end_refund(act, made["id"], succeeded=False)
    return made


def change(act: Act, params: Params, identifier: str) -> Object:
    params.allow(("metadata",))
    found = act.get("refund", identifier)
    if "metadata" not in params:
        raise missing("metadata")
    before = dict(found)
    found["metadata"] = params.metadata(found["metadata"])
    act.put(found)
    act.emit("refund.updated", found, before)
    return found


def end_refund(act: Act, identifier: str, *, succeeded: bool) -> Object:
    """Let a refund go through or come back: then its money is ours again. By the control path, and by a test card."""
    found = act.get("refund", identifier)
    before = dict(found)
    if found["status"] == "failed" or (succeeded and found["status"] == "succeeded"):
        return found
    found["status"] = "succeeded" if succeeded else "failed"
    if not succeeded:
        charged = act.get("charge", found["charge"])
        wallet = charged["payment_method_details"]["type"] != "card"
        type_ = "payment_failure_refund" if wallet else "refund_failure"
        found["failure_reason"] = "expired_or_canceled_card" if not wallet else "unknown"
        moved = move(act, type_, found["amount"], found["currency"], found["id"], words="REFUND FAILURE")
        found["failure_balance_transaction"] = moved["id"]
        charged["amount_refunded"] -= found["amount"]
        charged["refunded"] = False
        act.put(charged)
    act.put(found)
    act.emit("refund.updated", found, before)
    if not succeeded:
        act.emit("refund.failed", found)
    return found
