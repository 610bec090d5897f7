"""A gateway that says what it is told to: what moved, and what it holds. Only reconciliation asks it."""

from __future__ import annotations

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

    def line(
        self, kind: BalanceKind, fen: int, source: str, *, fee: int = 0, at: datetime = make.NOW, **more: Any
    ) -> BalanceLine:
        made = BalanceLine(
            provider_id=f"txn_{len(self.lines):06d}",
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


def paid(
    w: make.World, rail: ScriptedRail, at: int, fen: int, *, fee: int = 0, when: datetime = make.NOW
) -> PaymentAttempt:
    """Let an own share be paid over the rail: attempt, arrival, and the gateway's line."""
    bill = charges.Bill(f"order:{rail.code}-{at}", "compute", w.enterprise.pk, w.lab.pk, Money(fen), {"unit": "hour"})
    charge = charges.hold(bill=bill, vouchers=[], actor=w.owner, now=when)
    charges.capture(charge_id=charge.pk, actual=Money(fen), measured={}, actor=w.keeper, now=when)
    payment = Payment.objects.get(charge=charge)
    attempt = PaymentAttempt.objects.create(
        number=f"A-{rail.code}-{at}",
        payment=payment,
        rail=rail.code,
        method="checkout",
        state="succeeded",
        amount_fen=fen,
        return_url="https://portal.invalid/",
        provider_id=f"pi_{at}",
        asked_by="x",
        created_at=when,
        expires_at=when + timedelta(hours=1),
        ended_at=when,
    )
    arriving.receive(
        payment=payment,
        amount=Money(fen),
        source=f"attempt:{attempt.number}",
        account=f"rail:{rail.code}",
        actor=SYSTEM,
        now=when,
    )
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


def refunded(rail: ScriptedRail, attempt: PaymentAttempt, fen: int, *, when: datetime = make.NOW) -> RefundAttempt:
    """Let a part of it go back over the rail."""
    at = attempt.refunds.count()
    made = RefundAttempt.objects.create(
        number=f"R-{attempt.number}-{at}",
        attempt=attempt,
        state="succeeded",
        amount_fen=fen,
        provider_id=f"re_{attempt.provider_id}_{at}",
        reason="x",
        key=f"refund:{attempt.number}-{at}",
        taken_from="due",
        asked_by="x",
        created_at=when,
        ended_at=when,
    )
    _out(JournalKind.CASH_OUT, attempt, fen, f"refund:{made.number}")
    rail.line(BalanceKind.REFUND, -fen, made.provider_id, at=when)
    return made


def disputed(
    rail: ScriptedRail, attempt: PaymentAttempt, fen: int, *, fee: int = 0, when: datetime = make.NOW
) -> PaymentDispute:
    """Let the gateway take a payment back because the payer objects."""
    made = PaymentDispute.objects.create(
        rail=rail.code,
        provider_id=f"dp_{attempt.provider_id}",
        attempt=attempt,
        amount_fen=fen,
        taken_fen=fen,
        state="needs_response",
        reason="general",
        opened_at=when,
        updated_at=when,
    )
    _out(JournalKind.CHARGEBACK, attempt, fen, f"dispute:{made.provider_id}/1")
    rail.line(BalanceKind.DISPUTE, -fen, made.provider_id, fee=fee, at=when)
    return made
