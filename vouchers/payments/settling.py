"""What finance does about a refund that a rail could not give back: pay it by bank, or try the rail once more."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import InvalidTransition
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import arriving, refunding, rules, services
from vouchers.payments.rail_models import PaymentAttempt, RefundAttempt
from vouchers.payments.rail_rules import Purse, RefundState

__all__ = ["pay_by_bank", "retry"]


def _failed(actor: Actor, refund: RefundAttempt) -> RefundAttempt:
    """Lock the payment, the attempt and the refund; return the refund. Raises InvalidTransition unless it waits for a person.

    Raises NothingOwedBack where what it was to give back has gone back otherwise meanwhile, as by a dispute.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    payment = arriving.lock(refund.payment)
    services.refuse_own(actor=actor, payment=payment)
    attempt = PaymentAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=refund.attempt_id)
    locked = RefundAttempt.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=refund.pk)
    locked.payment, locked.attempt = payment, attempt
    if locked.state != RefundState.FAILED.value or locked.settled_as:
        raise InvalidTransition(state=locked.state, action="settle")
    if locked.taken_from != Purse.UNAPPLIED.value and refunding.owed_by_bank(payment) < locked.amount_fen:
        raise rules.NothingOwedBack
    return locked


@transaction.atomic
def pay_by_bank(*, actor: Actor, refund: RefundAttempt, bank_reference: str, now: datetime) -> RefundAttempt:
    """Record that finance has transferred a refund that failed to its payer; posts it.

    Raises BankReferenceMissing, NothingOwedBack, OwnPayment, InvalidTransition, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    value = rules.bank_reference(bank_reference)
    if not value:
        raise rules.BankReferenceMissing(field="bank_reference")
    services.unclaimed(bank_reference=value, subject=f"back:{refund.payment.number}", now=now)
    locked = _failed(actor, refund)
    locked.settled_as = f"bank:{value}"
    locked.save(update_fields=["settled_as"])
    payment, purse = locked.payment, Purse(locked.taken_from)
    if purse is not Purse.UNAPPLIED:
        payment.paid_back_fen += locked.amount_fen
        payment.paid_back_reference = value
        payment.save(update_fields=["paid_back_fen", "paid_back_reference"])
    money = arriving.in_account(arriving.MAIN_ACCOUNT)
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_OUT,
            key=f"refund-attempt:{locked.number}/bank",
            operations=[TransferOp(refunding.purse_account(payment, purse), money, locked.amount_fen)],
            actor=actor.signature,
            source_type="payment",
            source_id=payment.number,
        )
    )
    refunding.record(locked, action="payment.refund_by_bank", actor=actor, now=now)
    return locked


@transaction.atomic
def retry(*, actor: Actor, refund: RefundAttempt, now: datetime) -> RefundAttempt:
    """Ask the gateway once more for a refund that failed, as a new one; return that. Raises InvalidTransition, Forbidden."""
    locked = _failed(actor, refund)
    made = refunding.ask_again(locked, now=now)
    locked.settled_as = f"refund:{made.number}"
    locked.save(update_fields=["settled_as"])
    refunding.record(locked, action="payment.refund_retried", actor=actor, now=now)
    refunding.wake(made)
    return made
