"""Give up what will not come of an own share, for the verb that posts it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.payments import rail_rules, rules
from vouchers.payments.arriving import close, lock
from vouchers.payments.models import ArrivalReversal, Payment
from vouchers.payments.rail_models import PaymentDispute

__all__ = ["PaymentChanged", "PaymentUnderWay", "due_since", "give_up"]

_ = noop


class PaymentChanged(Conflict):
    """`left` is what is to be paid now."""

    code = "payment.changed"
    message = _("这笔款项的情况已变化，现在待付 %(left)s。请退回这份核销申请，按现在的金额重新提出。")


class PaymentUnderWay(Conflict):
    code = "payment.under_way"
    message = _("这笔款项正在网上支付或已登记转账，不能核销。请等支付有结果，或先退回付款登记。")


def due_since(payment: Payment) -> datetime:
    """Return since when what lacks of a payment is due: asked for, measured, or due again since money was taken back.

    An advance is due as an own share once its service was measured; money that the bank or a gateway took back is due anew
    from then. Three queries at most.
    """
    resolved = payment.charge.resolved_at
    moments = [payment.created_at, *([resolved] if resolved else [])]
    reversals = ArrivalReversal.objects.filter(arrival__payment=payment)
    taken = PaymentDispute.objects.filter(attempt__payment=payment, taken_fen__gt=0)
    moments += reversals.values_list("reversed_at", flat=True)
    moments += taken.values_list("updated_at", flat=True)
    return max(moments)


@transaction.atomic
def give_up(*, charge_id: int, amount: Money, actor: Actor, now: datetime) -> Payment:
    """Stop asking for the rest of a due payment, which must be `amount`; what has arrived of it stays paid.

    Nothing arrived: it is written off. A part arrived: the payment is lowered to it and confirmed. Posts nothing. Money
    that arrives later all the same is unapplied cash of the payer. Locks the payment. Raises PaymentChanged,
    PaymentUnderWay, InvalidTransition.
    """
    locked = lock(Payment.objects.get(charge_id=charge_id))
    open_states = [state.value for state in rail_rules.OPEN]
    if locked.state == rules.PaymentState.DECLARED.value or locked.attempts.filter(state__in=open_states).exists():
        raise PaymentUnderWay
    state = next_state(rules.TRANSITIONS, rules.PaymentState(locked.state), rules.PaymentAction.WRITE_OFF)
    if locked.left_fen != amount.fen:
        raise PaymentChanged(left=str(Money(locked.left_fen)))
    if locked.paid_fen:
        locked.amount_fen = locked.paid_fen
        close(locked, now=now)
    else:
        locked.state = state.value
    locked.written_off_fen = amount.fen
    locked.save(update_fields=["state", "amount_fen", "written_off_fen", "confirmed_at", "bank_reference"])
    audit.record(
        action="payment.written_off",
        subject=f"payment:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.payer_id],
        data={"written_off_fen": amount.fen, "paid_fen": locked.paid_fen},
    )
    return locked
