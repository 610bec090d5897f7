"""Faults to order: what goes wrong with the next requests that match, and with webhooks of a type.

A request's fault is a row with `fault`, `method`, `path` (a regular expression, found anywhere), `times` (0: until it is taken
back), `skip` (so many go well first), and what the fault needs. A webhook's has `webhook`, `type` (as the event's begins),
`times`, `skip`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from integrations.local.payserver.store import Object, Store

__all__ = ["REQUEST_FAULTS", "WEBHOOK_FAULTS", "add", "next_fault", "twist_of"]

REQUEST_FAULTS: Final = {
    "delay": "seconds, phase: before (default: during) or after the act",
    "drop_before": "the connection is cut and nothing was done",
    "drop_after": "all was done and kept, the answer is not sent",
    "rate_limit": "429 and nothing was done",
    "error": "status (500); phase before: nothing was done and nothing kept; after: all was done, the answer is lost in a 500",
    "stored_error": "500 and nothing was done, and that is what the idempotency key answers from now on",
    "truncate": "all was done, half of the JSON arrives",
    "garble": "all was done, the whole answer arrives but is no JSON",
    "half_open": "the request is read and never answered for so many seconds; phase before or after (default) the act",
}
WEBHOOK_FAULTS: Final = {
    "duplicate": "copies: 2 or more of one delivery",
    "late": "seconds after its time",
    "reorder": "count: so many are held back and go out last first",
    "lost": "never sent",
    "badly_signed": "with another secret",
    "unsigned": "with an empty signature",
    "stamped": "seconds: the signature's time is that much off, negative for old",
    "other_account": "account: the event names that account",
    "amount_off": "by: the amounts in it are that much off",
    "other_currency": "currency: the one in it",
}
PHASES: Final = ("before", "during", "after")


def add(store: Store, wanted: dict[str, Any]) -> Object:
    """Keep an order. Raises ValueError naming what is wrong with it."""
    if ("fault" in wanted) == ("webhook" in wanted):
        raise ValueError("either fault or webhook")
    known, name = (REQUEST_FAULTS, "fault") if "fault" in wanted else (WEBHOOK_FAULTS, "webhook")
    if wanted[name] not in known:
        raise ValueError(f"{name}: one of {', '.join(known)}")
    names = {
        *("fault", "method", "path", "phase", "seconds", "status", "times", "skip"),
        *("webhook", "type", "copies", "count", "account", "by", "currency"),
    }
    if extra := sorted(set(wanted) - names):
        raise ValueError(f"unknown: {', '.join(extra)}")
    for number in ("seconds", "status", "times", "skip", "copies", "count", "by"):
        if number in wanted and (not isinstance(wanted[number], int | float) or isinstance(wanted[number], bool)):
            raise ValueError(f"{number}: a number")
    if wanted.get("phase", "before") not in PHASES:
        raise ValueError(f"phase: one of {', '.join(PHASES)}")
    try:
        re.compile(str(wanted.get("path", "")))
    except re.error as error:
        raise ValueError(f"path: {error}") from None
    kept = {"times": 1, "skip": 0, "hits": 0, **wanted}
    with store.transaction():
        store.run("INSERT INTO fault (body) VALUES (?)", json.dumps(kept))
        number = store.rows("SELECT last_insert_rowid()")[0][0]
    return {"id": number, **kept}


def orders(store: Store) -> list[Object]:
    return [{"id": seq, **json.loads(body)} for seq, body in store.rows("SELECT seq, body FROM fault ORDER BY seq")]


def take_back(store: Store, number: int | None = None) -> int:
    if number is None:
        return store.run("DELETE FROM fault")
    return store.run("DELETE FROM fault WHERE seq = ?", number)


def next_fault(store: Store, method: str, path: str) -> Object | None:
    """Return what is ordered for this request and count it."""
    with store.transaction():
        for order in orders(store):
            if "fault" not in order or str(order.get("method", method)).upper() != method:
                continue
            if re.search(str(order.get("path", "")), path) and _count(store, order):
                return order
    return None


def twist_of(store: Store, type_: str) -> dict[str, Any]:
    """Return what is wrong with deliveries of this event; several orders add up."""
    twist: dict[str, Any] = {}
    for order in orders(store):
        if "webhook" not in order or not type_.startswith(str(order.get("type", ""))) or not _count(store, order):
            continue
        match order["webhook"]:
            case "duplicate":
                twist["copies"] = max(2, int(order.get("copies", 2)))
            case "late":
                twist["late_s"] = order.get("seconds", 3)
            case "reorder":
                twist["held"] = int(order.get("count", 2))
            case "stamped":
                twist["stamp_s"] = order.get("seconds", 400)
            case "other_account":
                twist["account"] = order.get("account", "")
            case "amount_off":
                twist["amount_off"] = order.get("by", -1)
            case "other_currency":
                twist["currency"] = order.get("currency", "usd")
            case name:
                twist[name] = True
    return twist


def _count(store: Store, order: Object) -> bool:
    """Count one hit of an order; say whether it is to have its effect."""
    hits = order["hits"] + 1
    left = {name: value for name, value in order.items() if name != "id"} | {"hits": hits}
    acts = bool(hits > order["skip"])
    if order["times"] and hits >= order["skip"] + order["times"]:
        store.run("DELETE FROM fault WHERE seq = ?", order["id"])
    else:
        store.run("UPDATE fault SET body = ? WHERE seq = ?", json.dumps(left), order["id"])
    return acts
