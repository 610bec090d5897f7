"""Disputes: a payer's bank takes the money back, and gives it again when we win."""

from __future__ import annotations

from typing import Final

from integrations.local.payserver.balance import move
from integrations.local.payserver.errors import refused
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["end_dispute", "open_dispute"]

REASONS: Final = (
    *("bank_cannot_process", "credit_not_processed", "customer_initiated", "duplicate", "fraudulent", "general"),
    *("product_not_received", "product_unacceptable", "unrecognized"),
)
ANSWER_S: Final = 9 * 86_400


def open_dispute(act: Act, charged: Object, *, reason: str = "general", amount: int | None = None) -> Object:
    """Open a dispute and take the money, and a fee, from our account. By the control path and by a test card."""
    if reason not in REASONS:
        raise refused(f"reason: one of {', '.join(REASONS)}")
    if charged["disputed"] or not charged["captured"]:
        raise refused("This charge cannot be disputed.")
    disputed = min(amount or charged["amount_captured"], charged["amount_captured"])
    made = act.fresh(
        "dispute",
        "du",
        amount=disputed,
        balance_transactions=[],
        charge=charged["id"],
        currency=charged["currency"],
        enhanced_eligibility_types=[],
        evidence={},
        evidence_details={
            "due_by": act.now + ANSWER_S,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=False,
        metadata={},
        payment_intent=charged["payment_intent"],
        payment_method_details={"type": charged["payment_method_details"]["type"]},
        reason=reason,
        status="needs_response",
    )
    fee = act.world.terms().dispute_fee
    taken = move(
        act,
        "adjustment",
        -disputed,
        charged["currency"],
        made["id"],
        fee=fee,
        words=f"Chargeback withdrawal {charged['id']}",
    )
    made["balance_transactions"] = [taken]
    charged["disputed"] = True
    act.put(charged)
    act.put(made)
    act.emit("charge.dispute.created", made)
    act.emit("charge.dispute.funds_withdrawn", made)
    return made


def end_dispute(act: Act, identifier: str, *, won: bool) -> Object:
    """Decide a dispute; won, the money comes back, the fee does not."""
    found = act.get("dispute", identifier)
    if found["status"] in {"won", "lost"}:
        raise refused(f"This dispute is {found['status']}.")
    found["status"] = "won" if won else "lost"
    found["evidence_details"] |= {"due_by": None}
    if won:
        back = move(
            act,
            "adjustment",
            found["amount"],
            found["currency"],
            found["id"],
            words=f"Chargeback reversal {found['charge']}",
            category="dispute_reversal",
        )
        found["balance_transactions"] = [*found["balance_transactions"], back]
    act.put(found)
    act.emit("charge.dispute.closed", found)
    if won:
        act.emit("charge.dispute.funds_reinstated", found)
    return found


def change(act: Act, params: Params, identifier: str) -> Object:
    """Take evidence in; `submit` sends it and the dispute is under review."""
    params.allow(("evidence", "metadata", "submit"))
    found = act.get("dispute", identifier)
    if found["status"] != "needs_response":
        raise refused("This dispute is already closed or under review.", code="dispute_unexpected_state")
    before = dict(found)
    evidence = params.sub("evidence", ("uncategorized_text", "service_documentation", "customer_communication"))
    found["evidence"] = found["evidence"] | {name: evidence.text(name) for name in evidence.values}
    found["metadata"] = params.metadata(found["metadata"])
    details = found["evidence_details"]
    details["has_evidence"] = bool(found["evidence"])
    if "submit" not in params or params.flag("submit"):
        found["status"] = "under_review"
        details["submission_count"] += 1
    act.put(found)
    act.emit("charge.dispute.updated", found, before)
    return found
