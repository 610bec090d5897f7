"""Own shares paid before the service: asked for when the price is held, used when it is taken, the rest owed back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import refunding, rules
from vouchers.payments.arriving import advance_account, close, due_account, lock
from vouchers.payments.models import Payment

__all__ = ["ask", "carry", "drop", "is_paid", "lock_of", "of_charge", "use"]


def ask(*, charge_id: int, payer_id: int, amount: Money, until: datetime, now: datetime) -> Payment:
    """Ask for the own share of a held charge before the service, by `until` (exclusive); in the hold's transaction."""
    number = next_number(prefix="P", now=now)
    return Payment.objects.create(
        number=number,
        charge_id=charge_id,
        payer_id=payer_id,
        collect=rules.Collect.BEFORE.value,
        due_until=until,
        amount_fen=amount.fen,
        reference=rules.reference(int(number.split("-")[1])),
        created_at=now,
    )


def is_paid(*, charge_id: int) -> bool:
    """Say whether nothing is to be paid before the service of a charge: no advance was asked for, or it has arrived."""
    asked = Payment.objects.filter(charge_id=charge_id, collect=rules.Collect.BEFORE.value)
    return not asked.exclude(state=rules.PaymentState.CONFIRMED.value).exists()


def of_charge(charge_id: int) -> Payment | None:
    """Return what was asked for in advance of a charge, or None. One query."""
    return Payment.objects.filter(charge_id=charge_id, collect=rules.Collect.BEFORE.value).first()


def lock_of(charge_id: int) -> None:
    """Lock what was asked for in advance of a charge, for who posts before it is used or dropped."""
    found = Payment.objects.filter(charge_id=charge_id, collect=rules.Collect.BEFORE.value)
    list(found.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def carry(
    *, subject: str, to_charge_id: int, amount: Money, keeps_rest: bool, actor: Actor, now: datetime
) -> Payment | None:
    """Let what was paid in advance for `subject` pay for the charge that takes its released charge's place.

    `amount` is the new charge's own share. What it does not need waits with it until the service was measured
    (`keeps_rest`), or is owed back at once; then what it needs above the advance is due. Returns None where nothing was
    asked for in advance; what is not all there any more is owed back, and the new charge billed after measuring. Raises
    Refused where `keeps_rest` and the advance does not reach. In the transaction of the release.
    """
    found = (
        Payment.objects.filter(charge__subject=subject, collect=rules.Collect.BEFORE.value)
        .exclude(charge_id=to_charge_id)
        .exclude(state=rules.PaymentState.CANCELLED.value)
        .exclude(refunded_fen=F("amount_fen"))
        .order_by("-pk")
        .first()
    )
    if found is None:
        return None
    if found.paid_back_fen or found.state != rules.PaymentState.CONFIRMED.value:
        drop(charge_id=found.charge_id, actor=actor, now=now)
        return None
    locked = lock(found)
    paid, needed = locked.paid_fen, amount.fen
    if keeps_rest and paid < needed:
        raise Refused([rules.advance_short(paid=Money(paid), needed=amount)])
    left = advance_account(locked)
    locked.charge_id = to_charge_id
    locked.refunded_fen = 0 if keeps_rest else max(paid - needed, 0)
    locked.due_until = None
    if needed > paid:
        locked.amount_fen = needed
        locked.state = next_state(rules.TRANSITIONS, rules.PaymentState(locked.state), rules.PaymentAction.REOPEN).value
        locked.confirmed_at, locked.confirmed_by = None, None
    locked.save()
    locked = lock(locked)
    _transfer(locked, TransferOp(left, advance_account(locked), paid), "carry", actor=actor)
    refunding.owe(payment=locked, now=now)
    _record(locked, action="payment.advance_carried", actor=actor, now=now, fen=min(paid, needed))
    return locked


@transaction.atomic
def use(*, charge_id: int, amount: Money, actor: Actor, now: datetime) -> Payment | None:
    """Pay a captured own share of `amount` from its advance; what is left of the advance is owed back.

    Returns None where no advance was asked for. One that has not arrived in full is lowered to `amount` and stays due;
    what has arrived of it is applied. In the capture's transaction.
    """
    found = Payment.objects.filter(charge_id=charge_id, collect=rules.Collect.BEFORE.value).first()
    if found is None:
        return None
    locked = lock(found)
    used = min(locked.paid_fen, amount.fen)
    if used:
        _transfer(locked, TransferOp(advance_account(locked), due_account(locked), used), "use", actor=actor)
    if locked.state == rules.PaymentState.CONFIRMED.value:
        locked.refunded_fen = locked.amount_fen - used
    elif locked.paid_fen > amount.fen:
        _confirm(locked, now=now)
        locked.refunded_fen = locked.amount_fen - used
    elif not amount:
        _cancel(locked)
    else:
        locked.amount_fen = amount.fen
        locked.collect = rules.Collect.AFTER.value
        if not locked.left_fen:
            _confirm(locked, now=now)
    locked.save()
    refunding.owe(payment=locked, now=now)
    _record(locked, action="payment.advance_used", actor=actor, now=now, fen=used)
    return locked


@transaction.atomic
def drop(*, charge_id: int, actor: Actor, now: datetime) -> Payment | None:
    """End the advance of a released charge: cancelled, and what has arrived of it owed back. In the release's transaction."""
    found = Payment.objects.filter(charge_id=charge_id, collect=rules.Collect.BEFORE.value).first()
    if found is None or found.state == rules.PaymentState.CANCELLED.value:
        return found
    locked = lock(found)
    if locked.paid_fen:
        if locked.state != rules.PaymentState.CONFIRMED.value:
            _confirm(locked, now=now)
        locked.refunded_fen = locked.amount_fen
    else:
        _cancel(locked)
    locked.save()
    refunding.owe(payment=locked, now=now)
    _record(locked, action="payment.advance_dropped", actor=actor, now=now, fen=locked.paid_fen)
    return locked


def _cancel(payment: Payment) -> None:
    if payment.state == rules.PaymentState.DECLARED.value:
        payment.state = next_state(rules.TRANSITIONS, rules.PaymentState.DECLARED, rules.PaymentAction.RETURN).value
    payment.state = next_state(rules.TRANSITIONS, rules.PaymentState.DUE, rules.PaymentAction.CANCEL).value


def _confirm(payment: Payment, *, now: datetime) -> None:
    """Take what has arrived of an advance for all that is asked for: the rest is not wanted any more."""
    payment.amount_fen = payment.paid_fen
    close(payment, now=now)


def _transfer(payment: Payment, operation: TransferOp, what: str, *, actor: Actor) -> None:
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key=f"payment:{payment.number}/{what}/{payment.charge.number}",
            operations=[operation],
            actor=actor.signature,
            source_type="payment",
            source_id=payment.number,
        )
    )


def _record(payment: Payment, *, action: str, actor: Actor, now: datetime, fen: int) -> None:
    audit.record(
        action=action,
        subject=f"payment:{payment.number}",
        actor=actor,
        now=now,
        organisations=[payment.payer_id],
        data={"amount_fen": payment.amount_fen, "used_fen": fen, "refunded_fen": payment.refunded_fen},
    )
