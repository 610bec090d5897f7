"""Money arrives for a payment, over a rail, on the bank statement or by the word of finance: the one place it is booked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments import ports, rules
from vouchers.payments.models import Arrival, Payment

__all__ = [
    "BANK",
    "MAIN_ACCOUNT",
    "Proof",
    "advance_account",
    "close",
    "due_account",
    "in_account",
    "lock",
    "owing_account",
    "rail_account",
    "receive",
    "unapplied_account",
]

BANK = "bank"
"""The rail of transfers to the operator's own bank account."""
MAIN_ACCOUNT = "bank:main"
ARRIVING = 0x70617965
"""First key of the advisory lock under which money of one payment is booked, one arrival after the other."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that money came: the bank's number of it, and `at`, when it reached us; None: when it was booked.

    A statement comes days after the money. Whether a payer was in time is judged by `at`, which is never after now.
    """

    reference: str = ""
    at: datetime | None = None


NOTHING_MORE = Proof()


def rail_account(rail: str) -> str:
    """Return the owner of the ledger account on which a rail's money lies."""
    return MAIN_ACCOUNT if rail == BANK else f"rail:{rail}"


def in_account(owner: str) -> AccountKey:
    """Return the ledger account money comes from by its owner: ``bank:…``, ``rail:…``, or ``line:…``.

    The last is money of a statement line whose payer was not known, which has been booked as unapplied cash; so is money
    of ``organisation:…`` that pays nothing yet.
    """
    unapplied = AccountKind.UNAPPLIED_CASH
    kinds = {"bank": AccountKind.BANK_CLEARING, "line": unapplied, "organisation": unapplied}
    return AccountKey(kinds.get(owner.partition(":")[0], AccountKind.GATEWAY_CLEARING), owner)


def due_account(payment: Payment) -> AccountKey:
    """Return the account of what the payer owes for the charge; below zero it is owed back."""
    return AccountKey(AccountKind.CASH_DUE, f"charge:{payment.charge.number}")


def advance_account(payment: Payment) -> AccountKey:
    """Return the account on which an advance waits until the service was measured."""
    return AccountKey(AccountKind.UNAPPLIED_CASH, f"charge:{payment.charge.number}")


def owing_account(payment: Payment) -> AccountKey:
    """Return the account from which what is owed back to the payer goes out."""
    return advance_account(payment) if payment.collect == rules.Collect.BEFORE.value else due_account(payment)


def unapplied_account(payment: Payment) -> AccountKey:
    """Return the account of the payer's money that belongs to nothing yet."""
    return AccountKey(AccountKind.UNAPPLIED_CASH, f"organisation:{payment.payer_id}")


def lock(payment: Payment) -> Payment:
    """Return a payment under lock, with its charge."""
    return (
        Payment.objects.select_for_update(no_key=True, of=("self",))
        .select_related("charge")
        .order_by("pk")
        .get(pk=payment.pk)
    )


@transaction.atomic
def receive(
    *,
    payment: Payment,
    amount: Money,
    source: str,
    account: str,
    actor: Actor,
    now: datetime,
    proof: Proof = NOTHING_MORE,
) -> Arrival:
    """Book money that has reached `account` (``bank:main``, ``rail:stripe``) for a payment; idempotent on `source`.

    What the payment lacks is applied, it is confirmed once nothing lacks; what comes above, twice, or for a payment that
    was cancelled becomes unapplied cash of the payer. An advance lets its service go on, or have it again where its hold
    had ended (`ports.Fulfilment`); where it is gone for good, all of it is unapplied. What a gateway gives back after a
    dispute (``dispute:…``) pays what it paid before, and has nothing again. Giving unapplied money back is the caller's: it
    knows the way it came. Locks what is paid for, then the payment.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ARRIVING, payment.pk % 2**31])
    if known := Arrival.objects.select_related("payment").filter(source=source).first():
        return known
    meant = Payment.objects.select_related("charge").get(pk=payment.pk)
    paid_at = min(proof.at or now, now)
    if meant.collect == rules.Collect.BEFORE.value and not source.startswith("dispute:"):
        meant = _fulfilled(meant, amount, paid_at=paid_at, now=now)
    locked = lock(meant)
    is_open = locked.state in {rules.PaymentState.DUE.value, rules.PaymentState.DECLARED.value}
    applied = min(amount.fen, locked.left_fen) if is_open else 0
    made = Arrival.objects.create(
        payment=locked,
        source=source,
        rail=account.partition(":")[2] if account.startswith("rail:") else BANK,
        account=account,
        amount_fen=amount.fen,
        applied_fen=applied,
        arrived_at=paid_at,
        recorded_by=actor.signature[:160],
    )
    _apply(locked, applied, reference=proof.reference, actor=actor, now=now)
    _post(locked, made, actor=actor)
    audit.record(
        action="payment.arrived",
        subject=f"payment:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.payer_id],
        data={"amount_fen": amount.fen, "applied_fen": applied, "source": source},
    )
    return made


def _fulfilled(payment: Payment, amount: Money, *, paid_at: datetime, now: datetime) -> Payment:
    """Return the advance the money pays: this one, or the one of the service that was had again."""
    is_open = payment.state in {rules.PaymentState.DUE.value, rules.PaymentState.DECLARED.value}
    missing = payment.left_fen if is_open else payment.amount_fen
    if payment.state == rules.PaymentState.CONFIRMED.value or amount.fen < missing:
        return payment
    subject = payment.charge.subject
    path = settings.PAYMENT_FULFILMENTS.get(subject.partition(":")[0])
    if path is None:
        return payment
    fulfil = cast("ports.Fulfilment", import_string(path))
    charge_id = fulfil(subject, charge_id=payment.charge_id, paid_at=paid_at, now=now)
    if charge_id is None or charge_id == payment.charge_id:
        return Payment.objects.select_related("charge").get(pk=payment.pk)
    return Payment.objects.select_related("charge").get(charge_id=charge_id)


def _apply(payment: Payment, fen: int, *, reference: str, actor: Actor, now: datetime) -> None:
    if not fen:
        return
    payment.paid_fen += fen
    if reference:
        payment.bank_reference = reference
    if not payment.left_fen:
        close(payment, proved_by=reference, now=now)
        payment.confirmed_by_id = actor.user_id
    payment.save(update_fields=["paid_fen", "bank_reference", "state", "confirmed_at", "confirmed_by"])


def close(payment: Payment, *, now: datetime, proved_by: str = "") -> None:
    """Confirm a payment nothing lacks of, on the row; the caller saves it.

    A bank reference its payer only declared goes: one may be declared for several payments, and confirms one at most.
    """
    if payment.declared_at is not None and not proved_by:
        payment.bank_reference = ""
    action = rules.PaymentAction.CONFIRM
    payment.state = next_state(rules.TRANSITIONS, rules.PaymentState(payment.state), action).value
    payment.confirmed_at = now


def _post(payment: Payment, arrival: Arrival, *, actor: Actor) -> None:
    money = in_account(arrival.account)
    parts = [
        (owing_account(payment), arrival.applied_fen),
        (unapplied_account(payment), arrival.amount_fen - arrival.applied_fen),
    ]
    operations = [TransferOp(money, credit, fen) for credit, fen in parts if fen and credit != money]
    if not operations:
        return
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key=f"arrival:{arrival.source}",
            operations=operations,
            actor=actor.signature,
            source_type="payment",
            source_id=payment.number,
        )
    )
