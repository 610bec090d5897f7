"""A payment rail that does what a test says: answers lost before or after the act, refusals, any state, notices.

Its state lies in one file, so that threads and processes (one of which may be killed) see the same gateway.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from portal.kernel.errors import Unavailable
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.payments import ports
from vouchers.payments.ports import Event, EventKind, Method, Seen, SeenDispute, SeenRefund, SeenState

__all__ = ["CODE", "PATH", "Gateway", "ScriptedRail", "make"]

CODE = "scripted"
PATH = "tests.vouchers.payments.scripted.make"
DIED = 9


@dataclass
class Gateway:
    """What the gateway knows. `script`: what happens at the next calls of a name, first come first."""

    payments: dict[str, Seen] = field(default_factory=dict)
    refunds: dict[str, SeenRefund] = field(default_factory=dict)
    disputes: dict[str, SeenDispute] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    script: dict[str, list[str]] = field(default_factory=dict)
    notices: list[Event] = field(default_factory=list)
    starts_as: SeenState = SeenState.REQUIRES_ACTION
    refunds_as: SeenState = SeenState.SUCCEEDED

    def count(self, name: str) -> int:
        return sum(call == name for call in self.calls)


class ScriptedRail:
    """Answers `vouchers.payments.ports.Rail`."""

    code = CODE
    capabilities = ports.Capabilities(methods=(Method.CARD, Method.WECHAT_PAY, Method.CHECKOUT), sandbox=True)

    def __init__(self) -> None:
        self.path = Path(gettempdir()) / f"scripted-rail-{os.getpid()}.pickle"
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.path.write_bytes(pickle.dumps(Gateway()))

    @contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """Hold the gateway alone, and keep what was changed."""
        with self.lock, self.path.with_suffix(".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            held: Gateway = pickle.loads(self.path.read_bytes())
            yield held
            self.path.write_bytes(pickle.dumps(held))

    def will(self, name: str, *what: str) -> None:
        """At the next calls of `name`: ``lost`` (done, unanswered), ``away`` (not done), ``no:code``, ``killed``, ``ok``."""
        with self.gateway() as it:
            it.script.setdefault(name, []).extend(what)

    def pay(self, number: str, state: SeenState = SeenState.SUCCEEDED, /, **changes: Any) -> Seen:
        """Let the payer of our attempt do something."""
        with self.gateway() as it:
            [found] = [seen for seen in it.payments.values() if seen.number == number]
            received = found.amount if state is SeenState.SUCCEEDED else Money(0)
            it.payments[found.provider_id] = replace(
                found, **({"state": state, "received": received, "next_action": None} | changes)
            )
            return it.payments[found.provider_id]

    def _answer(self, name: str, key: str, act: Any) -> Any:
        with self.gateway() as it:
            it.calls.append(name)
            queue = it.script.get(name) or ["ok"]
            what = queue.pop(0)
            if what == "away":
                raise _kept(it, self, Unavailable())
            if what.startswith("no:"):
                raise _kept(it, self, ports.RailRefused(reason=what[3:], text="refused"))
            if not key or key not in it.keys:
                made = act(it)
                if key:
                    it.keys[key] = made
            made = it.keys[key] if key else made
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "lost":
            raise Unavailable
        return made

    def start(self, order: ports.Order, *, key: str) -> Seen:
        def act(it: Gateway) -> Seen:
            pid = f"pi_{len(it.payments) + 1}"
            is_done = it.starts_as is SeenState.SUCCEEDED
            is_code = order.method is Method.WECHAT_PAY
            url = f"weixin://wxpay/{pid}" if is_code else f"https://pay.example/{pid}"
            action = ports.NextAction(ports.NextKind.QR if is_code else ports.NextKind.REDIRECT, url)
            it.payments[pid] = Seen(
                provider_id=pid,
                number=order.number,
                state=it.starts_as,
                amount=order.amount,
                currency="CNY",
                received=order.amount if is_done else Money(0),
                method=order.method.value,
                next_action=None if is_done else action,
            )
            return it.payments[pid]

        return self._answer("start", key, act)

    def fetch(self, provider_id: str) -> Seen:
        def act(it: Gateway) -> Seen:
            if provider_id not in it.payments:
                raise ports.RailRefused(reason="resource_missing", text="no such payment")
            return it.payments[provider_id]

        return self._answer("fetch", "", act)

    def find(self, number: str, *, since: datetime) -> Seen | None:
        return self._answer(
            "find", "", lambda it: next((seen for seen in it.payments.values() if seen.number == number), None)
        )

    def capture(self, provider_id: str, *, amount: Money | None = None, key: str) -> Seen:
        raise NotImplementedError

    def cancel(self, provider_id: str, *, key: str) -> Seen:
        def act(it: Gateway) -> Seen:
            found = it.payments[provider_id]
            if found.state is SeenState.REQUIRES_ACTION:
                it.payments[provider_id] = replace(found, state=SeenState.CANCELLED, next_action=None)
            return it.payments[provider_id]

        return self._answer("cancel", "", act)

    def refund(self, provider_id: str, *, number: str, amount: Money, reason: str, key: str) -> SeenRefund:
        def act(it: Gateway) -> SeenRefund:
            rid = f"re_{len(it.refunds) + 1}"
            it.refunds[rid] = SeenRefund(rid, provider_id, number, it.refunds_as, amount, "CNY")
            paid = it.payments[provider_id]
            assert paid.refunded.fen + amount.fen <= paid.received.fen, "refunded more than was paid"
            it.payments[provider_id] = replace(paid, refunded=paid.refunded + amount)
            return it.refunds[rid]

        return self._answer("refund", key, act)

    def fetch_refund(self, provider_id: str) -> SeenRefund:
        return self._answer("fetch_refund", "", lambda it: it.refunds[provider_id])

    def find_refund(self, number: str, *, payment_id: str) -> SeenRefund | None:
        return self._answer(
            "find_refund", "", lambda it: next((seen for seen in it.refunds.values() if seen.number == number), None)
        )

    def fetch_dispute(self, provider_id: str) -> SeenDispute:
        return self._answer("fetch_dispute", "", lambda it: it.disputes[provider_id])

    def transfer(self, *, number: str, destination: str, amount: Money, key: str) -> ports.SeenTransfer:
        raise NotImplementedError

    def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        raise NotImplementedError

    def events(self, *, during: Period) -> Sequence[Event]:
        return self._answer("events", "", lambda it: [notice for notice in it.notices if notice.created_at in during])

    def balance(self, *, during: Period) -> Sequence[ports.BalanceLine]:
        return []

    def holder(self) -> ports.Holder:
        return ports.Holder(account="acct_scripted", country="CN", may_charge=True, is_expected=True)

    def balance_now(self) -> Money:
        with self.gateway() as it:
            held = sum(seen.received.fen - seen.refunded.fen for seen in it.payments.values())
            return Money(held - sum(each.amount.fen for each in it.disputes.values() if each.withdrawn))


def _kept(it: Gateway, rail: ScriptedRail, error: Exception) -> Exception:
    """Keep what was counted although the call fails."""
    rail.path.write_bytes(pickle.dumps(it))
    return error


RAIL = ScriptedRail()


def make() -> ScriptedRail:
    return RAIL


def notice(id_: str, object_id: str, *, kind: EventKind = EventKind.PAYMENT, at: datetime | None = None) -> Event:
    """Return a verified notice about an object."""
    return Event(id_, kind, f"{kind.value}.changed", object_id, at or datetime(2026, 11, 25, 2, 0, tzinfo=UTC))
