"""A payer objects with the gateway (chargeback): money taken back is due again from then on; won, it has arrived again.

Why due at once and not when the dispute is lost: from the day the gateway has taken the money, the operator has a claim on
the payer and no money, and the books say both (`cash_due` debited against `gateway_clearing`, journal kind `chargeback`).
Waiting for the verdict would show as paid what is not there. A payer who pays meanwhile and wins has paid twice, and what
comes above goes back to it by itself. Who owes is told by the payment; whether to collect, finance decides.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from portal.audit import services as audit
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import alarms, arriving, ports, rail_rules, refunding, rules
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, RefundAttempt
from vouchers.payments.rail_rules import Purse, RefundState

__all__ = ["see"]

_ = noop


def see(*, attempt: PaymentAttempt, seen: ports.SeenDispute, now: datetime) -> PaymentDispute:
    """Write what the gateway says of an objection to an attempt's payment; repetition and order do not matter.

    Locks what is paid for (where money comes back), the payment, the attempt. Raises NotOurs for another currency or more
    than was paid: nothing is written.
    """
    if seen.currency != "CNY" or not 0 < seen.amount.fen <= attempt.amount_fen:
        raise rail_rules.NotOurs(note=f"dispute {seen.amount.fen} {seen.currency} of {attempt.amount_fen} CNY")
    refunds: list[RefundAttempt] = []
    with transaction.atomic():
        arrival = Arrival.objects.select_related("payment").filter(source=f"attempt:{attempt.number}").first()
        if arrival is None:
            raise rail_rules.NotOurs(note=f"dispute of {attempt.number}, whose money has not arrived")
        came_back = _came_back(attempt, arrival, seen, now=now)
        payment = arriving.lock(arrival.payment)
        locked = PaymentAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=attempt.pk)
        dispute, is_new = PaymentDispute.objects.get_or_create(
            rail=attempt.rail,
            provider_id=seen.provider_id,
            defaults={
                "attempt": locked,
                "amount_fen": seen.amount.fen,
                "state": seen.state[:40],
                "reason": seen.reason[:60],
                "opened_at": now,
                "updated_at": now,
            },
        )
        if dispute.is_over and not seen.is_over:
            return dispute  # seen before it was decided: a slow worker's answer takes nothing again
        was = (dispute.state, dispute.taken_fen, dispute.is_over)
        dispute.state, dispute.reason = seen.state[:40], seen.reason[:60]
        dispute.is_over, dispute.answer_by, dispute.updated_at = seen.is_over, seen.answer_by, now
        if seen.withdrawn and not dispute.taken_fen:
            _take(dispute, arrival, payment)
        elif came_back is not None and dispute.taken_fen:
            dispute.taken_fen, dispute.moves = 0, dispute.moves + 1
            refunds = refunding.return_excess(attempt=locked, arrival=came_back, now=now)
        dispute.save()
        if is_new or was != (dispute.state, dispute.taken_fen, dispute.is_over):
            _told(dispute, payment, was="" if is_new else was[0], now=now)
    for refund in refunds:
        refunding.send(refund=refund, now=now)
    return dispute


def _take(dispute: PaymentDispute, arrival: Arrival, payment: Payment) -> None:
    """Post money the gateway has taken: from what of it was unapplied, then from the unused advance, then as a debt.

    Raises NotOurs where more is taken than the payment still has: the rest has gone back to the payer already, and a person
    has to claim it there.
    """
    dispute.taken_fen = fen = dispute.amount_fen
    dispute.moves += 1
    unapplied = min(fen, _unapplied_left(arrival))
    if fen - unapplied > payment.paid_fen + max(refunding.owed_by_bank(payment), 0):
        note = f"dispute of {fen} fen, of which {fen - unapplied - payment.paid_fen} had gone back to the payer"
        raise rail_rules.NotOurs(note=note)
    advance = min(fen - unapplied, max(refunding.advance_left(payment), 0))
    parts = (
        (Purse.UNAPPLIED, unapplied),
        (Purse.ADVANCE, advance),
        (Purse.DUE, fen - unapplied - advance),
    )
    _owe_again(payment, fen - unapplied)
    if unapplied:
        _asked_back(arrival).filter(state=RefundState.FAILED.value, settled_as="").update(
            settled_as=f"dispute:{dispute.provider_id}"[:80]
        )
    if not payment.owed_back_fen:
        refunding.settle_failed(payment, settled_as=f"dispute:{dispute.provider_id}")
    clearing = arriving.in_account(arriving.rail_account(dispute.rail))
    ledger.post(
        posting=Posting(
            kind=JournalKind.CHARGEBACK,
            key=f"dispute:{dispute.rail}/{dispute.provider_id}/{dispute.moves}",
            operations=[
                TransferOp(refunding.purse_account(payment, purse), clearing, part) for purse, part in parts if part
            ],
            actor=alarms.SYSTEM.signature,
            source_type="payment",
            source_id=payment.number,
        )
    )


def _unapplied_left(arrival: Arrival) -> int:
    """Return what of an arrival pays nothing and has not gone back, in fen: by the gateway, by bank, or by a dispute."""
    replaced = Q(settled_as="") | Q(settled_as__startswith="refund:")
    asked = _asked_back(arrival).exclude(replaced, state=RefundState.FAILED.value)
    return max(arrival.amount_fen - arrival.applied_fen - (asked.aggregate(total=Sum("amount_fen"))["total"] or 0), 0)


def _asked_back(arrival: Arrival) -> QuerySet[RefundAttempt]:
    """Return the refunds of what of an arrival pays nothing, those tried again among them."""
    return RefundAttempt.objects.filter(
        attempt__number=arrival.source.partition(":")[2], taken_from=Purse.UNAPPLIED.value
    )


def _owe_again(payment: Payment, fen: int) -> None:
    """Let a payer owe what is gone again; so much of it as was owed back to it anyway has been paid back by this."""
    back = min(fen, max(refunding.owed_by_bank(payment), 0))
    payment.paid_back_fen += back
    payment.paid_fen -= fen - back
    if payment.left_fen and payment.state == rules.PaymentState.CONFIRMED.value:
        payment.state = next_state(rules.TRANSITIONS, rules.PaymentState.CONFIRMED, rules.PaymentAction.REOPEN).value
        payment.confirmed_at = payment.confirmed_by = payment.due_until = None
        if payment.charge.state == "captured":
            payment.collect = rules.Collect.AFTER.value
    payment.save()


def _came_back(attempt: PaymentAttempt, arrival: Arrival, seen: ports.SeenDispute, *, now: datetime) -> Arrival | None:
    """Book money that was taken and has come back as having arrived again, before anything is locked; once a move."""
    known = PaymentDispute.objects.filter(rail=attempt.rail, provider_id=seen.provider_id).first()
    if known is None or seen.withdrawn or not known.taken_fen:
        return None
    return arriving.receive(
        payment=arrival.payment,
        amount=Money(known.taken_fen),
        source=f"dispute:{known.provider_id}/{known.moves + 1}"[:80],
        account=arriving.rail_account(known.rail),
        actor=alarms.SYSTEM,
        now=now,
    )


def _told(dispute: PaymentDispute, payment: Payment, *, was: str, now: datetime) -> None:
    audit.record(
        action="payment.dispute_changed",
        subject=f"payment:{payment.number}",
        actor=alarms.SYSTEM,
        now=now,
        organisations=[payment.payer_id],
        data={
            "dispute": dispute.provider_id,
            "was": was,
            "state": dispute.state,
            "amount_fen": dispute.amount_fen,
            "taken_fen": dispute.taken_fen,
        },
    )
    alarms.tell(
        what=_("付款单位向支付机构提出了争议，请在期限内举证。款项被扣回的，应付金额已恢复。"),
        about=f"payment:{payment.number}",
        now=now,
        dispute=dispute.provider_id,
        state=dispute.state,
    )
