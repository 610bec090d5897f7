"""The control path ``/_sandbox/…``: what a test, or a person who shows something, may order. JSON in, JSON out.

Only bodies that say they are JSON are read, so that no form on a web page can give orders. A server with keys of its own takes
orders from those who name one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.local.payserver import balance, disputes, faults, paying, refunds, sessions
from integrations.local.payserver.answering import Asked
from integrations.local.payserver.errors import Problem
from integrations.local.payserver.methods import TYPES, named
from integrations.local.payserver.money import Terms
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.webhooks import Postman, queue, take
from integrations.local.payserver.world import Act, World, public

__all__ = ["answer", "pay"]

Given = dict[str, Any]
LOCAL: Final = {"127.0.0.1", "::1", "localhost"}


def answer(world: World, postman: Postman, asked: Asked) -> tuple[int, str]:
    """Carry out one order; return status and JSON."""
    if world.keys and asked.path != "/_sandbox/health" and asked.header("Authorization")[7:] not in world.keys:
        return 401, _dumps({"error": "Authorization: Bearer KEY: this server lets named keys in only"})
    try:
        given = _given(asked)
        for known, pattern, order in ORDERS:
            if known == asked.method and (found := re.fullmatch(pattern, asked.path.removeprefix("/_sandbox/"))):
                return 200, _dumps(order(world, postman, given, *found.groups()))
        return 404, _dumps({"error": f"no such order: {asked.method} {asked.path}"})
    except Problem as problem:
        return problem.status, _dumps(problem.body)
    except (ValueError, KeyError, TypeError) as error:
        return 400, _dumps({"error": f"{type(error).__name__}: {error}"})


def _dumps(value: object) -> str:
    return json.dumps(public(value), ensure_ascii=False)


def _given(asked: Asked) -> Given:
    if asked.method == "GET" or not asked.body:
        return {}
    if not asked.header("Content-Type").startswith("application/json"):
        raise ValueError("Content-Type: application/json")
    given = json.loads(asked.body)
    if not isinstance(given, dict):
        raise TypeError("an object")
    return given


# looking


def health(world: World, _postman: Postman, _given: Given) -> Object:
    waiting = world.store.rows("SELECT count(*) FROM delivery WHERE state = 'waiting'")[0][0]
    held = world.store.rows("SELECT count(*) FROM object")[0][0]
    return {"ok": True, "sandbox": True, "address": world.address, "objects": held, "webhooks_waiting": waiting}


def held(world: World, _postman: Postman, _given: Given, kind: str = "") -> Object:
    if not kind:
        rows = world.store.rows("SELECT kind, count(*) FROM object GROUP BY kind ORDER BY kind")
        return {"objects": dict(rows)}
    rows = world.store.rows("SELECT body FROM object WHERE kind = ? ORDER BY seq", kind)
    return {"objects": [json.loads(row[0]) for row in rows]}


def requests(world: World, _postman: Postman, _given: Given) -> Object:
    names = ("request", "method", "path", "key", "status", "fault", "at")
    rows = world.store.rows(f"SELECT {', '.join(names)} FROM asked ORDER BY seq")  # noqa: S608 - names of ours
    return {"asked": [dict(zip(names, row, strict=True)) for row in rows]}


def deliveries(world: World, _postman: Postman, _given: Given) -> Object:
    names = ("seq", "event", "url", "due", "state", "tries", "status", "answer", "twist")
    rows = world.store.rows(f"SELECT {', '.join(names)} FROM delivery ORDER BY seq")  # noqa: S608 - names of ours
    return {"deliveries": [dict(zip(names, row, strict=True)) for row in rows]}


# ordering


def take_letters(world: World, _postman: Postman, given: Given) -> Object:
    return {"letters": take(world, due_only=bool(given.get("due_only")))}


def send(_world: World, postman: Postman, given: Given) -> Object:
    """Deliver what is due, with ``early`` what is not yet, each once; what comes of it `deliveries` says."""
    tried: set[int] = set()
    while (number := postman.deliver_due(early=bool(given.get("early")), but=tried)) is not None:
        tried.add(number)
    return {"tried": len(tried)}


def again(world: World, _postman: Postman, given: Given) -> Object:
    """Deliver an event once more, by its id."""
    with world.store.transaction():
        found = world.store.rows("SELECT body FROM object WHERE kind = 'event' AND id = ?", str(given["event"]))
        if not found:
            raise ValueError("event: not here")
        queue(world, json.loads(found[0][0]), world.time())
    return {"queued": given["event"]}


def invent(world: World, _postman: Postman, given: Given) -> Object:
    """Send an event of any type about any object, such as one nobody knows."""
    found = given.get("object")
    if not isinstance(found, dict):
        raise TypeError("object: an object")
    with world.store.transaction():
        return Act(world, str(given.get("account", ""))).emit(str(given["type"]), found)


def order_fault(world: World, _postman: Postman, given: Given) -> Object:
    return faults.add(world.store, given)


def ordered(world: World, _postman: Postman, _given: Given) -> Object:
    known = {"request": faults.REQUEST_FAULTS, "webhook": faults.WEBHOOK_FAULTS}
    return {"faults": faults.orders(world.store), "known": known}


def take_back(world: World, _postman: Postman, _given: Given, number: str = "") -> Object:
    return {"taken_back": faults.take_back(world.store, int(number) if number else None)}


def clock(world: World, _postman: Postman, given: Given) -> Object:
    """Set the offset from the machine's time, or go on by so many seconds; what is over its time expires."""
    with world.store.transaction():
        offset = float(given["offset_s"]) if "offset_s" in given else world.offset_s() + float(given["advance_s"])
        world.store.set("offset_s", str(offset))
        sessions.lapse_due(Act(world))
    world.wake.set()
    return {"offset_s": offset, "now": int(world.time())}


def terms(world: World, _postman: Postman, given: Given) -> Object:
    Terms.read(given)
    world.store.set("terms", json.dumps(given))
    return given


def endpoints(world: World, _postman: Postman, given: Given) -> Object:
    """Set where webhooks go: ``{"endpoints": [{"url": …, "secret": …}]}``; an empty address waits to be taken."""
    wanted = [{"url": str(one["url"]), "secret": str(one["secret"])} for one in given["endpoints"]]
    for one in wanted:
        parts = urlsplit(one["url"])
        if one["url"] and (parts.scheme != "http" or parts.hostname not in LOCAL):
            raise ValueError(f"url: http and loopback only, not {one['url']}")
        if not one["secret"]:
            raise ValueError("secret: missing")
    world.store.set("endpoints", json.dumps(wanted))
    return {"endpoints": wanted}


def reset(world: World, _postman: Postman, _given: Given) -> Object:
    world.store.reset()
    return {"ok": True}


def press(world: World, _postman: Postman, given: Given) -> Object:
    """Do what a payer would do on the pages; see `pay`."""
    with world.store.transaction():
        return pay(Act(world, str(given.get("account", ""))), given)


def pay(act: Act, given: Given) -> Object:
    """Pay ``payment`` (pi_… or cs_…) by ``method`` (card, alipay, wechat_pay), with ``card`` (a test card's name).

    ``outcome``: succeeded, failed, processing (the wallet has not decided), left (went away at the wallet's page).
    A card's decline is kept and told in `last_payment_error`. Returns the payment intent.
    """
    outcome = given.get("outcome", "succeeded")
    if outcome not in {"succeeded", "failed", "processing", "left"}:
        raise ValueError("outcome: succeeded, failed, processing, left")
    found = act.look(str(given["payment"]))
    if found is None:
        raise ValueError("payment: not here")
    if found["object"] == "checkout.session":
        current = act.look(found["payment_intent"])
        if current is None or current["status"] not in {"requires_action", "processing"}:
            try:
                found = sessions.pay(act, found, _method(act, given))
            except Problem as problem:
                if not problem.keeps:
                    raise
                return act.get("payment_intent", act.get("checkout.session", found["id"])["payment_intent"])
        else:
            found = current
    if found["status"] in {"requires_action", "processing"} and outcome != "left":
        {"succeeded": paying.finish, "failed": paying.fail, "processing": paying.wait}[outcome](act, found)
    return sessions.complete(act, found)


def _method(act: Act, given: Given) -> Object:
    kind = str(given.get("method", "card"))
    if kind not in TYPES:
        raise ValueError(f"method: one of {', '.join(TYPES)}")
    if kind == "card":
        return named(act, str(given.get("card", "pm_card_visa")))
    from integrations.local.payserver.methods import create_method

    return create_method(act, Params({"type": kind}))


def end_refund(world: World, _postman: Postman, given: Given, identifier: str) -> Object:
    with world.store.transaction():
        return refunds.end_refund(Act(world), identifier, succeeded=_outcome(given, "succeeded", "failed"))


def refund_mode(world: World, _postman: Postman, given: Given) -> Object:
    """Say whether refunds are at once ``succeeded`` or first ``pending``."""
    world.store.set("refunds", "succeeded" if _outcome(given, "succeeded", "pending", name="mode") else "pending")
    return given


def open_dispute(world: World, _postman: Postman, given: Given) -> Object:
    with world.store.transaction():
        act = Act(world)
        intent = act.get("payment_intent", str(given["payment_intent"]), "payment_intent")
        amount = int(given["amount"]) if "amount" in given else None
        charged = act.get("charge", intent["latest_charge"] or "")
        return disputes.open_dispute(act, charged, reason=str(given.get("reason", "general")), amount=amount)


def end_dispute(world: World, _postman: Postman, given: Given, identifier: str) -> Object:
    with world.store.transaction():
        return disputes.end_dispute(Act(world), identifier, won=_outcome(given, "won", "lost"))


def end_payout(world: World, _postman: Postman, given: Given, identifier: str) -> Object:
    with world.store.transaction():
        return balance.end_payout(Act(world), identifier, paid=_outcome(given, "paid", "failed"))


def take_fee(world: World, _postman: Postman, given: Given) -> Object:
    with world.store.transaction():
        words, currency = str(given.get("text", "Monthly fee")), str(given.get("currency", "cny"))
        return balance.take_fee(Act(world), int(given["amount"]), currency, words)


def _outcome(given: Given, good: str, bad: str, name: str = "outcome") -> bool:
    if given.get(name) not in {good, bad}:
        raise ValueError(f"{name}: {good} or {bad}")
    return bool(given[name] == good)


ORDERS: Final[list[tuple[str, str, Callable[..., Object]]]] = [
    ("GET", "health", health),
    ("GET", "objects", held),
    ("GET", "objects/([a-z_.]+)", held),
    ("GET", "asked", requests),
    ("GET", "deliveries", deliveries),
    ("POST", "deliveries/take", take_letters),
    ("POST", "deliveries/send", send),
    ("POST", "deliveries/again", again),
    ("POST", "events", invent),
    ("GET", "faults", ordered),
    ("POST", "faults", order_fault),
    ("DELETE", "faults", take_back),
    ("DELETE", "faults/([0-9]+)", take_back),
    ("POST", "clock", clock),
    ("POST", "terms", terms),
    ("POST", "endpoints", endpoints),
    ("POST", "reset", reset),
    ("POST", "pay", press),
    ("POST", "refunds", refund_mode),
    ("POST", "refunds/(\\w+)", end_refund),
    ("POST", "disputes", open_dispute),
    ("POST", "disputes/(\\w+)", end_dispute),
    ("POST", "payouts/(\\w+)", end_payout),
    ("POST", "fees", take_fee),
]
