"""Take an arrival back that was booked for the wrong payment: the mirror of its journal, signed by two persons."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Journal
from vouchers.ledger.rules import InsufficientFunds, JournalKind, Posting
from vouchers.payments import rules, unapplied
from vouchers.payments.arriving import lock
from vouchers.payments.models import Arrival, ArrivalReversal

__all__ = ["take_back"]


@transaction.atomic
def take_back(*, arrival: Arrival, asked_by: str, reason: str, actor: Actor, now: datetime) -> ArrivalReversal:
    """Reverse an arrival: its money is again where it came from, what it paid is due again. Idempotent.

    `asked_by` is the signature of who found it wrong, `actor` the second person. Raises CannotTakeBack where the money has
    been used, refunded or paid back since. The caller knows whether others rely on the payment. Locks the payment.
    """
    if done := ArrivalReversal.objects.filter(arrival=arrival).first():
        return done
    if arrival.applied_fen != arrival.amount_fen:
        unapplied.serialise([arrival.payment.payer_id])
    payment = lock(arrival.payment)
    if payment.refunded_fen or payment.paid_back_fen or unapplied.sources_used([arrival.pk]):
        raise rules.CannotTakeBack
    if arrival.applied_fen:
        payment.paid_fen -= arrival.applied_fen
        if payment.state == rules.PaymentState.CONFIRMED.value:
            state = next_state(rules.TRANSITIONS, rules.PaymentState.CONFIRMED, rules.PaymentAction.REOPEN)
            payment.state, payment.confirmed_at, payment.confirmed_by = state.value, None, None
        payment.bank_reference, payment.due_until = "", None  # what it paid for stands: nothing ends with its hold
        changed = ["paid_fen", "state", "confirmed_at", "confirmed_by", "bank_reference", "due_until"]
        payment.save(update_fields=changed)
    made = ArrivalReversal.objects.create(
        arrival=arrival,
        reason=reason[:200],
        asked_by=asked_by[:160],
        approved_by=actor.signature[:160],
        reversed_at=now,
    )
    audit.record(
        action="payment.taken_back",
        subject=f"payment:{payment.number}",
        actor=actor,
        now=now,
        organisations=[payment.payer_id],
        data={"amount_fen": arrival.amount_fen, "applied_fen": arrival.applied_fen, "source": arrival.source},
    )
    try:
        ledger.post(
            posting=Posting(
                kind=JournalKind.REVERSE,
                key=f"arrival:{arrival.source}/reversed",
                reverses=Journal.objects.get(key=f"arrival:{arrival.source}").pk,
                operations=(),
                actor=asked_by,
                approved_by=actor.signature,
                reason=reason[:200],
                source_type="payment",
                source_id=payment.number,
            )
        )
    except InsufficientFunds as error:
        raise rules.CannotTakeBack from error
    return made
