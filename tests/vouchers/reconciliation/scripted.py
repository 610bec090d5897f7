"""A gateway that says what it is told to: what moved, and what it holds. Only reconciliation asks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from tests import make
from vouchers.charges import services as charges
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import arriving
from vouchers.payments.models import Payment
from vouchers.payments.ports import BalanceKind, BalanceLine
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, RefundAttempt

SYSTEM = Actor.system("scenario")
RAIL = "scripted"


@dataclass
class ScriptedRail:
    """Its lines are what `balance` gives, in any window; what it holds is their sum."""

    code: str = RAIL
    lines: list[BalanceLine] = field(default_factory=list)
    asked: int = 0
    ids: Iterator[int] = field(default_factory=itertools.count)

    def line(
        self, kind: BalanceKind, fen: int, source: str, *, fee: int = 0, at: datetime = make.NOW, **more: Any
    ) -> BalanceLine:
        made = BalanceLine(
            provider_id=f"txn_{next(self.ids):06d}",
            kind=kind,
            amount=Money(fen),
            fee=Money(fee),
            net=Money(fen - fee),
            currency=more.get("currency", "CNY"),
            source=source,
            created_at=at,
        )
        self.lines.append(made)
        return made

    def change(self, at: int, **values: Any) -> None:
        self.lines[at] = replace(self.lines[at], **values)

    def balance(self, *, during: Period) -> list[BalanceLine]:
        self.asked += 1
        return [line for line in self.lines if line.created_at in during]

    def balance_now(self) -> Money:
        return Money(sum(line.net.fen for line in self.lines if line.currency == "CNY"))


def window(now: datetime = make.NOW) -> Period:
    return Period(now - timedelta(days=3), now + timedelta(days=1))


def attempted(w: make.World, rail: str, at: int, fen: int, provider_id: str, *, when: datetime) -> PaymentAttempt:
    """Return an attempt that has paid an own share over a rail, its money booked."""
    bill = charges.Bill(f"order:{rail}-{at}", "compute", w.enterprise.pk, w.lab.pk, Money(fen), {"unit": "hour"})
    charge = charges.hold(bill=bill, vouchers=[], actor=w.owner, now=when)
    charges.capture(charge_id=charge.pk, actual=Money(fen), measured={}, actor=w.keeper, now=when)
    payment = Payment.objects.get(charge=charge)
    attempt = PaymentAttempt.objects.create(
        number=f"A-{rail}-{at}",
        payment=payment,
        rail=rail,
        method="checkout",
        state="succeeded",
        amount_fen=fen,
        return_url="https://portal.invalid/",
        provider_id=provider_id,
        asked_by="x",
        created_at=when,
        expires_at=when + timedelta(hours=1),
        ended_at=when,
    )
    arriving.receive(
        payment=payment,
        amount=Money(fen),
        source=f"attempt:{attempt.number}",
        account=f"rail:{rail}",
        actor=SYSTEM,
        now=when,
    )
    return attempt


def paid(
    w: make.World, rail: ScriptedRail, at: int, fen: int, *, fee: int = 0, when: datetime = make.NOW
) -> PaymentAttempt:
    """Let an own share be paid over the rail: attempt, arrival, and the gateway's line."""
    attempt = attempted(w, rail.code, at, fen, f"pi_{at}", when=when)
    rail.line(BalanceKind.PAYMENT, fen, attempt.provider_id, fee=fee, at=when)
    return attempt


def _out(kind: JournalKind, attempt: PaymentAttempt, fen: int, key: str) -> None:
    ledger.post(
        posting=Posting(
            kind=kind,
            key=key,
            operations=[
                TransferOp(arriving.due_account(attempt.payment), arriving.in_account(f"rail:{attempt.rail}"), fen)
            ],
            actor="scenario",
            source_type="payment",
            source_id=attempt.payment.number,
        )
    )


def returned(attempt: PaymentAttempt, fen: int, provider_id: str, *, when: datetime = make.NOW) -> RefundAttempt:
    """Return a refund that has gone back over the rail, booked."""
    at = attempt.refunds.count()
    made = RefundAttempt.objects.create(
        number=f"R-{attempt.number}-{at}",
        attempt=attempt,
        payment=attempt.payment,
        state="succeeded",
        amount_fen=fen,
        provider_id=provider_id,
        reason="x",
        key=f"refund:{attempt.number}-{at}",
        taken_from="due",
        asked_by="x",
        created_at=when,
        ended_at=when,
    )
    _out(JournalKind.CASH_OUT, attempt, fen, f"refund:{made.number}")
    return made


def refunded(rail: ScriptedRail, attempt: PaymentAttempt, fen: int, *, when: datetime = make.NOW) -> RefundAttempt:
    """Let a part of it go back over the rail."""
    made = returned(attempt, fen, f"re_{attempt.provider_id}_{attempt.refunds.count()}", when=when)
    rail.line(BalanceKind.REFUND, -fen, made.provider_id, at=when)
    return made


def objected(attempt: PaymentAttempt, fen: int, provider_id: str, *, when: datetime = make.NOW) -> PaymentDispute:
    """Return a dispute whose money the gateway has taken, booked."""
    made = PaymentDispute.objects.create(
        rail=attempt.rail,
        provider_id=provider_id,
        attempt=attempt,
        amount_fen=fen,
        taken_fen=fen,
        state="needs_response",
        reason="general",
        opened_at=when,
        updated_at=when,
    )
    _out(JournalKind.CHARGEBACK, attempt, fen, f"dispute:{made.provider_id}/1")
    return made


def disputed(
    rail: ScriptedRail, attempt: PaymentAttempt, fen: int, *, fee: int = 0, when: datetime = make.NOW
) -> PaymentDispute:
    """Let the gateway take a payment back because the payer objects."""
    made = objected(attempt, fen, f"dp_{attempt.provider_id}", when=when)
    rail.line(BalanceKind.DISPUTE, -fen, made.provider_id, fee=fee, at=when)
    return made
