"""Webhooks: each event goes to each endpoint, signed, again and again until it is taken; faults are ordered by the event's type.

A delivery is a row, so that a killed server goes on with it. `twist` says what is wrong with it on purpose.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import threading
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.local.payserver import faults
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Endpoint, World

__all__ = ["Postman", "letter", "queue", "sign", "take"]

RETRIES_S: Final = (1, 2, 5, 15, 60, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Pauses after failed tries; afterwards a delivery is given up. The first ones are shorter than the gateway's."""
PATIENCE_S: Final = 10
STRANGER: Final = "acct_SandboxStranger"
log = logging.getLogger("payserver")


def sign(secret: str, at: int, payload: str) -> str:
    """Return the header: version 1 is an HMAC of ``time.payload`` (docs.stripe.com/webhooks, manual verification)."""
    made = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"


def queue(world: World, event: Object, at: float) -> None:
    """Keep a delivery of the event for each endpoint, and what is ordered to go wrong with it."""
    for endpoint in world.endpoints():
        twist = faults.twist_of(world.store, event["type"])
        if twist.pop("lost", False):
            continue
        copies = int(twist.pop("copies", 1))
        held = int(twist.pop("held", 0))
        due = at + float(twist.pop("late_s", 0))
        state = "held" if held else "waiting"
        for _copy in range(copies):
            world.store.run(
                "INSERT INTO delivery (event, url, due, state, twist) VALUES (?, ?, ?, ?, ?)",
                event["id"],
                endpoint.url,
                due,
                state,
                json.dumps(twist),
            )
        if held:
            _turn_round(world, held)
    world.wake.set()


def _turn_round(world: World, enough: int) -> None:
    """Once `enough` deliveries are held back they go out, the last first."""
    waiting = world.store.rows(
        "SELECT seq, event, url, due, twist FROM delivery WHERE state = 'held' ORDER BY seq DESC"
    )
    if len(waiting) < enough:
        return
    for seq, event, url, due, twist in waiting:
        world.store.run("DELETE FROM delivery WHERE seq = ?", seq)
        world.store.run(
            "INSERT INTO delivery (event, url, due, state, twist) VALUES (?, ?, ?, 'waiting', ?)",
            event,
            url,
            due,
            twist,
        )


def letter(event: Object, secret: str, twist: dict[str, Any], at: float) -> tuple[str, dict[str, str]]:
    """Return body and headers of one delivery, with whatever is wrong with it."""
    if "account" in twist:
        event = {**event, "account": twist["account"] or STRANGER}
    if "amount_off" in twist:
        found = dict(event["data"]["object"])
        for name in ("amount", "amount_received", "amount_total"):
            if isinstance(found.get(name), int):
                found[name] += int(twist["amount_off"])
        event = {**event, "data": {**event["data"], "object": found}}
    if "currency" in twist:
        event = {
            **event,
            "data": {**event["data"], "object": {**event["data"]["object"], "currency": twist["currency"]}},
        }
    body = json.dumps(event, ensure_ascii=False, indent=2)
    moment = int(at) + int(twist.get("stamp_s", 0))
    signed = sign(f"{secret}-not" if twist.get("badly_signed") else secret, moment, body)
    if twist.get("unsigned"):
        signed = ""
    return body, {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signed,
        "User-Agent": "Stripe/1.0 (sandbox payment server)",
    }


def _secret(world: World, url: str) -> str | None:
    return next((endpoint.secret for endpoint in world.endpoints() if endpoint.url == url), None)


def take(world: World, *, due_only: bool = False) -> list[Object]:
    """Hand over what waits, for callers that deliver it themselves; it counts as delivered."""
    with world.store.transaction():
        now = world.time()
        query = "SELECT seq, event, url, twist FROM delivery WHERE state IN ('waiting', 'held')"
        rows = world.store.rows(
            query + (" AND due <= ?" if due_only else "") + " ORDER BY seq", *([now] if due_only else [])
        )
        letters = []
        for seq, identifier, url, twist in rows:
            event, secret = _event(world, identifier), _secret(world, url)
            world.store.run("UPDATE delivery SET state = 'taken', tries = tries + 1 WHERE seq = ?", seq)
            if event is not None and secret is not None:
                body, headers = letter(event, secret, json.loads(twist), now)
                letters.append({"event": identifier, "url": url, "body": body, "headers": headers})
    return letters


def _event(world: World, identifier: str) -> Object | None:
    found = world.store.rows("SELECT body FROM object WHERE id = ? AND kind = 'event'", identifier)
    return json.loads(found[0][0]) if found else None


def post(endpoint: Endpoint, body: str, headers: dict[str, str]) -> tuple[int, str]:
    """Deliver once; status 0 and the reason where there was no answer. Only loopback is ever asked."""
    parts = urlsplit(endpoint.url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        client.request("POST", path, body.encode(), headers)
        answer = client.getresponse()
        return answer.status, answer.read(2_000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)[:300]
    finally:
        client.close()


class Postman(threading.Thread):
    """Delivers what is due, one after the other, and keeps the clock: sessions over their time expire."""

    def __init__(self, world: World) -> None:
        super().__init__(name="postman", daemon=True)
        self.world, self.stopping = world, threading.Event()
        self.round = threading.Lock()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                busy = self.deliver_due() is not None
            except Exception:
                log.exception("delivery")
                busy = False
            if not busy:
                self.world.wake.wait(0.5)
                self.world.wake.clear()

    def stop(self) -> None:
        self.stopping.set()
        self.world.wake.set()
        self.join(PATIENCE_S + 2)

    def deliver_due(self, *, early: bool = False, but: Collection[int] = ()) -> int | None:
        """Deliver the oldest that is due, with `early` whatever waits, `but` those; return its number."""
        with self.round:
            now = self.world.time()
            rows = self.world.store.rows(
                "SELECT seq, event, url, tries, twist FROM delivery WHERE state = 'waiting' AND url != '' AND due <= ?"
                " ORDER BY tries, seq LIMIT ?",
                1e18 if early else now,
                len(but) + 1,
            )
            found = next((row for row in rows if row[0] not in but), None)
            if found is None:
                return None
            seq, identifier, url, tries, twist = found
            event, secret = _event(self.world, identifier), _secret(self.world, url)
            if event is None or secret is None:
                self.world.store.run("UPDATE delivery SET state = 'failed', answer = 'no endpoint' WHERE seq = ?", seq)
                return int(seq)
            body, headers = letter(event, secret, json.loads(twist), now)
            status, answer = post(Endpoint(url, secret), body, headers)
            state, due = "waiting", now
            if 200 <= status < 300:
                state = "delivered"
            elif tries >= len(RETRIES_S):
                state = "failed"
            else:
                due = now + RETRIES_S[tries]
            self.world.store.run(
                "UPDATE delivery SET state = ?, due = ?, tries = tries + 1, status = ?, answer = ? WHERE seq = ?"
                " AND state = 'waiting'",
                state,
                due,
                status,
                answer,
                seq,
            )
            return int(seq)
