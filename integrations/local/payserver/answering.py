"""Answers one call of the API: who asks, which version, under which key, and what was answered to that key before."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from integrations.local.payserver import API_VERSION, sessions
from integrations.local.payserver.errors import (
    Problem,
    key_in_use,
    key_reused,
    rate_limited,
    server_fault,
    unauthorised,
)
from integrations.local.payserver.listing import expand
from integrations.local.payserver.params import Params, decode
from integrations.local.payserver.routes import route
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act, World, public, token

__all__ = ["Answer", "Asked", "answer"]

KEPT_S: Final = 24 * 3600
LONGEST_KEY: Final = 255
log = logging.getLogger("payserver")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came, its headers in lower case. `fault` is what was ordered to go wrong with it."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    fault: Object | None = None
    request: str = field(default_factory=lambda: token("req_", 14))

    def header(self, name: str) -> str:
        return str(self.headers.get(name.lower()) or "")

    @property
    def key(self) -> str:
        """The idempotency key; it counts for POST alone."""
        return self.header("Idempotency-Key") if self.method == "POST" else ""

    @property
    def account(self) -> str:
        return self.header("Stripe-Account")

    @property
    def fingerprint(self) -> str:
        """What must be the same under one key: the call and all its parameters, in whichever order."""
        told = "&".join(sorted(filter(None, self.body.split("&"))))
        return hashlib.sha256(f"{self.method} {self.path}?{self.query}\n{told}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON; `replayed` says that the key had been answered before."""

    status: int
    body: str
    request: str
    replayed: bool = False


def answer(world: World, asked: Asked) -> Answer:
    """Answer a call once per idempotency key, in one transaction: what is answered is kept before it is sent."""
    try:
        _let_in(world, asked)
        with _alone(world, asked):
            pause(asked.fault, "during")
            return _act(world, asked)
    except Problem as problem:
        return Answer(problem.status, dumps(problem.body), asked.request)
    except Exception:
        log.exception("%s %s", asked.method, asked.path)
        return Answer(500, dumps(server_fault().body), asked.request)


def dumps(body: object) -> str:
    return json.dumps(public(body), ensure_ascii=False, indent=2)


def pause(fault: Object | None, phase: str) -> None:
    if fault and fault["fault"] == "delay" and fault.get("phase", "during") == phase:
        time.sleep(float(fault.get("seconds", 1)))


def _let_in(world: World, asked: Asked) -> None:
    scheme, _, given = asked.header("Authorization").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise unauthorised(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
            "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if not given.startswith("sk_test_") or (world.keys and given not in world.keys):
        raise unauthorised(f"Invalid API Key provided: {given[:8]}{'*' * 8}{given[-4:] if len(given) > 16 else ''}")
    version = asked.header("Stripe-Version")
    if version and version != API_VERSION:
        raise Problem(
            400,
            "invalid_request_error",
            f"Invalid Stripe API version: {version[:40]}. This sandbox speaks {API_VERSION}.",
        )
    if len(asked.key) > LONGEST_KEY:
        raise Problem(400, "invalid_request_error", f"Idempotency keys can be up to {LONGEST_KEY} characters long.")
    fault = asked.fault["fault"] if asked.fault else ""
    if fault == "rate_limit":
        raise rate_limited()
    if fault == "error" and asked.fault and asked.fault.get("phase", "before") == "before":
        raise server_fault(int(asked.fault.get("status", 500)))


@contextmanager
def _alone(world: World, asked: Asked) -> Iterator[None]:
    """Let one request with a key in at a time; its twin is told so. Raises Problem 409."""
    mark = (asked.account, asked.key)
    if not asked.key:
        yield
        return
    with world.store.lock:
        if mark in world.in_flight:
            raise key_in_use(asked.key)
        world.in_flight.add(mark)
    try:
        yield
    finally:
        with world.store.lock:
            world.in_flight.discard(mark)


def _act(world: World, asked: Asked) -> Answer:
    with world.store.transaction():
        act = Act(world, asked.account, asked.request, asked.key)
        world.store.run("DELETE FROM kept WHERE created <= ?", act.now - KEPT_S)
        if asked.key and (before := _kept(world, asked)):
            return before
        _check_account(act)
        sessions.lapse_due(act)
        status, body, stored = _run(act, asked)
        text = dumps(body)
        if asked.key and stored:
            world.store.run(
                "INSERT INTO kept (account, key, fingerprint, status, body, request, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(asked.account, asked.key, asked.fingerprint, status, text, asked.request, act.now),
            )
    return Answer(status, text, asked.request)


def _kept(world: World, asked: Asked) -> Answer | None:
    found = world.store.rows(
        "SELECT fingerprint, status, body FROM kept WHERE account = ? AND key = ?", asked.account, asked.key
    )
    if not found:
        return None
    fingerprint, status, body = found[0]
    if fingerprint != asked.fingerprint:
        raise key_reused(asked.key)
    return Answer(status, body, asked.request, replayed=True)


def _check_account(act: Act) -> None:
    if (
        act.account
        and act.world.store.rows("SELECT 1 FROM object WHERE id = ? AND kind = 'account'", act.account) == []
    ):
        raise Problem(
            403,
            "invalid_request_error",
            f"The provided key does not have access to account '{act.account[:60]}' (or that account does not exist).",
            code="account_invalid",
        )


def _run(act: Act, asked: Asked) -> tuple[int, Object, bool]:
    """Return status, body and whether the answer is kept under the key."""
    found = route(asked.method, asked.path)
    if found is None:
        raise Problem(
            404,
            "invalid_request_error",
            f"Unrecognized request URL ({asked.method}: {asked.path[:100]}). This sandbox answers what the portal asks.",
        )
    handler, identifiers = found
    if asked.fault and asked.fault["fault"] == "stored_error":
        return 500, server_fault().body, True
    values = decode("&".join(filter(None, (asked.query, asked.body))))
    wanted = Params(values).words("expand")
    values.pop("expand", None)
    with act.world.store.undoable() as undo:
        try:
            made = handler(act, Params(values), *identifiers)
            return 200, expand(act, made, wanted), True
        except Problem as problem:
            if not problem.keeps:
                undo.now()
            return problem.status, problem.body, problem.stored
