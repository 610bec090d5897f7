"""The gateway's own account of us: every movement with its fee, what is there, and payouts to our bank."""

from __future__ import annotations

from typing import Any, Final

from integrations.local.payserver.errors import refused
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["available", "move", "read_balance"]

CATEGORIES: Final = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "refund_failure",
    "payout": "payout",
    "payout_failure": "payout_reversal",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
    "stripe_fee": "fee",
    "adjustment": "dispute",
}
"""The reporting category of each type, as the gateway documents them."""


def move(
    act: Act, type_: str, amount: int, currency: str, source: str | None, *, fee: int = 0, words: str = "", **more: Any
) -> Object:
    """Write one movement; `amount` is signed, `fee` lessens the net."""
    settles = act.now + act.world.terms().settle_s if type_ in {"charge", "payment"} else act.now
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Processing fees",
            "type": "stripe_fee",
        }
    ]
    made = act.fresh(
        "balance_transaction",
        "txn",
        amount=amount,
        available_on=settles,
        balance_type="payments",
        currency=currency,
        description=words or None,
        exchange_rate=None,
        fee=fee,
        fee_details=details if fee else [],
        net=amount - fee,
        reporting_category=more.get("category") or CATEGORIES[type_],
        source=source,
        status="available" if settles <= act.now else "pending",
        type=type_,
    )
    del made["livemode"]
    return act.put(made)


def _sums(act: Act) -> dict[str, tuple[int, int]]:
    """Return what is available and pending in each currency."""
    found = act.world.store.rows(
        "SELECT json_extract(body, '$.currency'),"
        " sum(json_extract(body, '$.net') * (json_extract(body, '$.available_on') <= ?)), sum(json_extract(body, '$.net'))"
        " FROM object WHERE kind = 'balance_transaction' AND account = ? GROUP BY 1 ORDER BY 1",
        act.now,
        act.account,
    )
    return {currency: (ready, everything - ready) for currency, ready, everything in found}


def available(act: Act, currency: str) -> int:
    return _sums(act).get(currency, (0, 0))[0]


def read_balance(act: Act, params: Params) -> Object:
    params.allow(())
    sums = _sums(act) or {"cny": (0, 0)}

    def rows(part: int) -> list[Object]:
        return [
            {"amount": both[part], "currency": currency, "source_types": {"card": both[part]}}
            for currency, both in sums.items()
        ]

    return {
        "object": "balance",
        "available": rows(0),
        "livemode": False,
        "pending": rows(1),
        "refund_and_dispute_prefunding": {"available": [], "pending": []},
    }


def settled(act: Act, found: Object) -> Object:
    """Return a movement with its status as of now."""
    found["status"] = "available" if found["available_on"] <= act.now else "pending"
    return found


def create_payout(act: Act, params: Params) -> Object:
    params.allow(("amount", "currency", "description", "metadata", "method", "statement_descriptor"))
    amount = params.whole("amount", required=True, smallest=1) or 0
    currency = params.text("currency", required=True).lower()
    if amount > available(act, currency):
        raise refused(
            "You have insufficient funds in your Stripe account for this transfer.", code="balance_insufficient"
        )
    made = act.fresh(
        "payout",
        "po",
        amount=amount,
        arrival_date=act.now + 2 * 86_400,
        automatic=False,
        balance_transaction=None,
        currency=currency,
        description=params.text("description") or None,
        destination=None,
        failure_balance_transaction=None,
        failure_code=None,
        failure_message=None,
        metadata=params.metadata(),
        method="standard",
        reconciliation_status="not_applicable",
        source_type="card",
        statement_descriptor=params.text("statement_descriptor") or None,
        status="pending",
        type="bank_account",
    )
    made["balance_transaction"] = move(act, "payout", -amount, currency, made["id"], words="STRIPE PAYOUT")["id"]
    act.put(made)
    act.emit("payout.created", made)
    return made


def end_payout(act: Act, identifier: str, *, paid: bool) -> Object:
    """Let the bank take a payout, or send it back. By the control path."""
    found = act.get("payout", identifier)
    if found["status"] not in {"pending", "in_transit"}:
        raise refused(f"This payout is {found['status']}.")
    found["status"] = "paid" if paid else "failed"
    if not paid:
        found |= {"failure_code": "account_closed", "failure_message": "The bank account has been closed."}
        back = move(
            act, "payout_failure", found["amount"], found["currency"], found["id"], words="STRIPE PAYOUT FAILURE"
        )
        found["failure_balance_transaction"] = back["id"]
    act.put(found)
    act.emit("payout.paid" if paid else "payout.failed", found)
    return found


def take_fee(act: Act, amount: int, currency: str, words: str) -> Object:
    """Let the gateway bill us for something else. By the control path."""
    return move(act, "stripe_fee", -amount, currency, None, words=words)
