"""The calls of the API: method, path and who answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from integrations.local.payserver import balance, connect, disputes, intents, methods, refunds, sessions
from integrations.local.payserver.listing import page, retrieve
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["Handler", "route"]

Handler = Callable[..., Object]


def _methods_of(act: Act, params: Params, customer: str) -> Object:
    act.get("customer", customer, "customer")
    return page("payment_method", "/v1/customers/{customer}/payment_methods")(act, params, customer=customer)


def _reversals_of(act: Act, params: Params, transfer: str) -> Object:
    act.get("transfer", transfer)
    return page("transfer_reversal", "/v1/transfers/{transfer}/reversals")(act, params, transfer=transfer)


def _both(path: str, kind: str) -> list[tuple[str, str, Handler]]:
    """Return the calls that only read: one, and a list."""
    return [("GET", path, page(kind, f"/v1/{path}")), ("GET", f"{path}/ID", retrieve(kind))]


CALLS: Final[list[tuple[str, str, Handler]]] = [
    *_both("customers", "customer"),
    ("POST", "customers", methods.create_customer),
    ("POST", "customers/ID", methods.change_customer),
    ("GET", "customers/ID/payment_methods", _methods_of),
    *_both("payment_methods", "payment_method"),
    ("POST", "payment_methods", methods.create_method),
    ("POST", "payment_methods/ID/attach", methods.attach_method),
    ("POST", "payment_methods/ID/detach", methods.detach_method),
    *_both("payment_intents", "payment_intent"),
    ("POST", "payment_intents", intents.create),
    ("POST", "payment_intents/ID", intents.change),
    ("POST", "payment_intents/ID/confirm", intents.confirm),
    ("POST", "payment_intents/ID/capture", intents.capture),
    ("POST", "payment_intents/ID/cancel", intents.cancel_call),
    *_both("charges", "charge"),
    *_both("refunds", "refund"),
    ("POST", "refunds", refunds.create),
    ("POST", "refunds/ID", refunds.change),
    *_both("checkout/sessions", "checkout.session"),
    ("POST", "checkout/sessions", sessions.create),
    ("POST", "checkout/sessions/ID/expire", sessions.expire),
    ("GET", "balance", balance.read_balance),
    *_both("balance_transactions", "balance_transaction"),
    *_both("payouts", "payout"),
    ("POST", "payouts", balance.create_payout),
    ("GET", "account", connect.own_account),
    *_both("accounts", "account"),
    ("POST", "accounts", connect.create_account),
    *_both("transfers", "transfer"),
    ("POST", "transfers", connect.create_transfer),
    ("GET", "transfers/ID/reversals", _reversals_of),
    ("POST", "transfers/ID/reversals", connect.reverse_transfer),
    *_both("disputes", "dispute"),
    ("POST", "disputes/ID", disputes.change),
    *_both("events", "event"),
]
ROUTES: Final = [
    (method, re.compile("/v1/" + path.replace("ID", "([A-Za-z0-9_]{1,100})")), handler)
    for method, path, handler in CALLS
]


def route(method: str, path: str) -> tuple[Handler, tuple[str, ...]] | None:
    """Return who answers a call, and the ids in its path."""
    for known, pattern, handler in ROUTES:
        if known == method and (found := pattern.fullmatch(path)):
            return handler, found.groups()
    return None
