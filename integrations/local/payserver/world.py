"""The sandbox as a whole, and one act in it: who acts, when, and what it may read and write."""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from integrations.local.payserver import API_VERSION
from integrations.local.payserver.errors import no_such
from integrations.local.payserver.money import Terms
from integrations.local.payserver.store import Object, Store

__all__ = ["Act", "Endpoint", "World", "public"]

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def token(prefix: str, length: int = 24) -> str:
    """Return an identifier as the gateway makes them: no order, not to be guessed."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))


def public(found: Any) -> Any:
    """Leave out what is only ours: fields that begin with an underscore."""
    if isinstance(found, dict):
        return {name: public(value) for name, value in found.items() if not name.startswith("_")}
    return [public(one) for one in found] if isinstance(found, list) else found


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go; without an address they wait to be taken over the control path."""

    url: str
    secret: str


@dataclass
class World:
    """Everything the server holds; `address` is where it answers, known once it listens."""

    store: Store
    keys: frozenset[str] = frozenset()
    """Secret keys that are let in; none given, every key of the form ``sk_test_…`` is."""
    address: str = ""
    given: tuple[Endpoint, ...] = ()
    """Endpoints of the command line, there again after a reset."""
    folder: Path = field(default_factory=Path)
    in_flight: set[tuple[str, str]] = field(default_factory=set)
    wake: threading.Event = field(default_factory=threading.Event)
    """Set when there may be something to deliver."""

    def time(self) -> float:
        """Return the sandbox's time: the machine's and the offset that was asked for."""
        return time.time() + self.offset_s()

    def offset_s(self) -> float:
        return float(self.store.setting("offset_s", "0"))

    def terms(self) -> Terms:
        return Terms.read(json.loads(self.store.setting("terms", "{}")))

    def endpoints(self) -> list[Endpoint]:
        kept = self.store.setting("endpoints")
        return [Endpoint(**one) for one in json.loads(kept)] if kept else list(self.given)


@dataclass
class Act:
    """One request, one press of a button or one order by the control path, in one transaction."""

    world: World
    account: str = ""
    """The connected account acted for; empty is the platform."""
    request: str = ""
    key: str = ""
    at: float = 0.0

    def __post_init__(self) -> None:
        self.at = self.at or self.world.time()

    @property
    def now(self) -> int:
        return int(self.at)

    def get(self, kind: str, identifier: str, param: str = "id") -> Object:
        """Return an object of this kind and account. Raises Problem 404."""
        found = self.world.store.get(identifier, self.account)
        if found is None or found["object"] != kind:
            raise no_such(kind, identifier, param)
        return found

    def look(self, identifier: str | None) -> Object | None:
        return self.world.store.get(identifier, self.account) if identifier else None

    def put(self, found: Object) -> Object:
        self.world.store.put(found, self.account)
        return found

    def select(self, kind: str, **where: object) -> list[Object]:
        return self.world.store.select(kind, self.account, where)

    def fresh(self, kind: str, prefix: str, **fields: Any) -> Object:
        """Return an object with what all of them have; it is not yet kept."""
        return {"id": token(f"{prefix}_"), "object": kind, "created": self.now, "livemode": False, **fields}

    def emit(self, type_: str, found: Object, before: Object | None = None) -> Object:
        """Keep an event with the object as it is now, and one delivery of it for each endpoint."""
        from integrations.local.payserver.webhooks import queue  # it needs this module

        data: Object = {"object": public(found)}
        if before is not None:
            data["previous_attributes"] = {
                name: before.get(name) for name, value in public(found).items() if before.get(name) != value
            }
        event = self.fresh(
            "event",
            "evt",
            api_version=API_VERSION,
            data=data,
            pending_webhooks=len(self.world.endpoints()),
            request={"id": self.request or None, "idempotency_key": self.key or None},
            type=type_,
            **({"account": self.account} if self.account else {}),
        )
        self.put(event)
        queue(self.world, event, self.at)
        return event
