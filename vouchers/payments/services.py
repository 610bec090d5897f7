"""Ask for, declare and confirm an enterprise's own share; the only writer of payments."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, InvalidTransition, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import arriving, rail_rules, refunding, rules
from vouchers.payments.arriving import close, lock
from vouchers.payments.models import Arrival, Payment

_ = noop


class BankReferenceTaken(Conflict):
    code = "payment.bank_reference_taken"
    message = _("银行流水号 %(value)s 已用于确认另一笔款项。请核对银行回单。")


def request(*, charge_id: int, payer_id: int, amount: Money, now: datetime) -> Payment:
    """Bill an own share. One payment per charge; called in the capture's transaction."""
    number = next_number(prefix="P", now=now)
    return Payment.objects.create(
        number=number,
        charge_id=charge_id,
        payer_id=payer_id,
        amount_fen=amount.fen,
        reference=rules.reference(int(number.split("-")[1])),
        created_at=now,
    )


@transaction.atomic
def give_back(*, charge_id: int, amount: Money, actor: Actor, now: datetime) -> Payment:
    """Lower what is still to be paid, or note what of money already paid is owed back; in the refund's transaction.

    A payment lowered to nothing is cancelled. One the payer has declared stays as it is: the money may be on its way.
    """
    found = Payment.objects.get(charge_id=charge_id)
    locked = lock(found)
    if locked.state != rules.PaymentState.DUE.value:
        locked.refunded_fen += amount.fen
    else:
        _lower(locked, amount.fen, now=now)
    locked.save(update_fields=["state", "amount_fen", "refunded_fen", "confirmed_at", "bank_reference"])
    refunding.owe(payment=locked, now=now)
    _record(locked, action="payment.lowered", actor=actor, now=now)
    return locked


def _lower(payment: Payment, fen: int, *, now: datetime) -> None:
    """Ask for `fen` less of a due payment, on the row: not at all, or what was paid above it is owed back."""
    if payment.paid_fen or fen < payment.left_fen:
        not_asked = min(fen, payment.left_fen)
        payment.amount_fen -= not_asked
        payment.refunded_fen += fen - not_asked
        if not payment.left_fen:
            close(payment, now=now)
    else:
        payment.state = next_state(rules.TRANSITIONS, rules.PaymentState.DUE, rules.PaymentAction.CANCEL).value


def _record(payment: Payment, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"payment:{payment.number}",
        actor=actor,
        now=now,
        organisations=[payment.payer_id],
        data={"amount_fen": payment.amount_fen, "bank_reference": payment.bank_reference},
    )


@transaction.atomic
def declare(*, actor: Actor, payment: Payment, bank_reference: str, now: datetime) -> Payment:
    """Say that the money has been transferred, with the bank's reference. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PAYMENT_DECLARE)
    if not bank_reference.strip():
        raise rules.BankReferenceMissing(field="bank_reference")
    locked = lock(payment)
    if locked.payer_id != actor.organisation_id:
        raise Forbidden
    locked.state = next_state(rules.TRANSITIONS, rules.PaymentState(locked.state), rules.PaymentAction.DECLARE).value
    locked.bank_reference = rules.bank_reference(bank_reference)
    locked.declared_at = now
    locked.save()
    _record(locked, action="payment.declared", actor=actor, now=now)
    return locked


def refuse_own(*, actor: Actor, payment: Payment) -> None:
    """Raises OwnPayment for people of the payer, in whichever organisation they act."""
    if actor.organisation_id == payment.payer_id or people.belongs(
        user_id=actor.person, organisation_id=payment.payer_id
    ):
        raise rules.OwnPayment


def unclaimed(*, bank_reference: str, subject: str, now: datetime) -> str:
    """Use a bank reference by hand, for `subject` alone from now on; return the name under which it is booked.

    Raises what `settings.BANK_REFERENCES` does where its statement line is booked, or it was used for something else.
    """
    name: str = import_string(settings.BANK_REFERENCES)(bank_reference, subject=subject, now=now)
    return name


@transaction.atomic
def confirm(*, actor: Actor, payment: Payment, bank_reference: str, now: datetime) -> Payment:
    """Confirm that the money is on the bank statement; posts it to the ledger.

    Raises OwnPayment when the person belongs to the payer, in whichever organisation they act; BankReferenceTaken when
    the same statement line already confirmed another payment; InvalidTransition, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    refuse_own(actor=actor, payment=payment)
    payment = Payment.objects.select_related("charge").get(pk=payment.pk)
    value = rules.bank_reference(bank_reference) or payment.bank_reference
    if not value:
        raise rules.BankReferenceMissing(field="bank_reference")
    next_state(rules.TRANSITIONS, rules.PaymentState(payment.state), rules.PaymentAction.CONFIRM)
    source = f"manual:{unclaimed(bank_reference=value, subject=f'in:{payment.number}', now=now)}"
    if Arrival.objects.filter(source=source).exclude(payment=payment).exists():
        raise BankReferenceTaken(field="bank_reference", value=value)
    try:
        with transaction.atomic():
            arrived = arriving.receive(
                payment=payment,
                amount=Money(payment.left_fen),
                source=source,
                account=arriving.MAIN_ACCOUNT,
                actor=actor,
                now=now,
                proof=arriving.Proof(value),
            )
    except IntegrityError as error:
        raise BankReferenceTaken(field="bank_reference", value=value) from error
    locked = lock(arrived.payment)
    if arrived.applied_fen != arrived.amount_fen:
        raise InvalidTransition(state=locked.state, action=rules.PaymentAction.CONFIRM.value)
    _record(locked, action="payment.confirmed", actor=actor, now=now)
    return locked


@transaction.atomic
def pay_back(*, actor: Actor, payment: Payment, bank_reference: str, now: datetime, by_line: bool = False) -> Payment:
    """Record that finance has transferred a refunded own share back to its payer; posts it to the ledger.

    Never what goes back over a rail (`refunding`): that is asked for first, and only the rest is paid by bank.

    `by_line`: the statement line of that reference says so, not a person.

    Raises NothingOwedBack, RefundUnderWay, OwnPayment, BankReferenceMissing, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    value = rules.bank_reference(bank_reference)
    if not value:
        raise rules.BankReferenceMissing(field="bank_reference")
    subject = f"back:{payment.number}"
    name = value if by_line else unclaimed(bank_reference=value, subject=subject, now=now)
    refunding.owe(payment=payment, now=now)
    locked = lock(payment)
    refuse_own(actor=actor, payment=locked)
    owed = refunding.owed_by_bank(locked)
    if not owed:
        raise rail_rules.RefundUnderWay if locked.owed_back_fen else rules.NothingOwedBack
    advance = min(owed, max(refunding.advance_left(locked), 0))
    parts = ((arriving.advance_account(locked), advance), (arriving.due_account(locked), owed - advance))
    locked.paid_back_fen += owed
    locked.paid_back_reference = value
    locked.save(update_fields=["paid_back_fen", "paid_back_reference"])
    refunding.settle_failed(locked, settled_as=f"bank:{name}")
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_OUT,
            key=f"payment:{locked.number}/back/{name}/{locked.paid_back_fen}",
            operations=[
                TransferOp(purse, arriving.in_account(arriving.MAIN_ACCOUNT), fen) for purse, fen in parts if fen
            ],
            actor=actor.signature,
            source_type="payment",
            source_id=locked.number,
        )
    )
    _record(locked, action="payment.paid_back", actor=actor, now=now)
    return locked


@transaction.atomic
def return_declared(*, actor: Actor, payment: Payment, note: str, now: datetime) -> Payment:
    """Send a declared payment back to the payer: no such money arrived. The note says why.

    What was refunded while it was declared is not asked for any more; nothing left to ask for, it is cancelled.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    locked = lock(payment)
    locked.state = next_state(rules.TRANSITIONS, rules.PaymentState(locked.state), rules.PaymentAction.RETURN).value
    locked.note = note.strip()[:200]
    unpaid = min(locked.refunded_fen - locked.paid_back_fen - refunding.under_way(locked), locked.left_fen)
    if unpaid > 0:
        locked.refunded_fen -= unpaid
        _lower(locked, unpaid, now=now)
    locked.save(update_fields=["state", "note", "amount_fen", "refunded_fen", "confirmed_at", "bank_reference"])
    refunding.owe(payment=locked, now=now)
    _record(locked, action="payment.returned", actor=actor, now=now)
    return locked
