"""What every writer of batches shares: locking one, and writing what was done into the trail."""

from __future__ import annotations

from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrder, PaymentOrderLine
from vouchers.settlements.order_rules import (
    LINE_TRANSITIONS,
    ORDER_TRANSITIONS,
    OrderLineAction,
    OrderLineState,
    PaymentOrderAction,
    PaymentOrderState,
)


def lock(batch: SettlementBatch) -> SettlementBatch:
    """Return the batch as it is now, locked until the transaction ends."""
    return (
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("created_by", "checked_by", "approved_by", "payee", "account")
        .order_by("pk")
        .get(pk=batch.pk)
    )


def record(batch: SettlementBatch, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done into the trail, for the payee to read."""
    audit.record(
        action=action,
        subject=f"settlement:{batch.number}",
        actor=actor,
        now=now,
        organisations=[batch.payee_id],
        data={"total_fen": batch.total_fen, "state": batch.state, **data},
    )


def first_signature(batch: SettlementBatch) -> str:
    """Return who signs a batch first in the ledger: who drafted it, or checked what the clock drafted."""
    person = batch.created_by or batch.checked_by
    return f"{person} #{person.pk}" if person else ""


def paid_step(batch: SettlementBatch) -> str:
    """Return the step of the journal by which a batch is paid now, or was last: anew each time after it bounced."""
    return f"paid/{batch.returns}" if batch.returns else "paid"


def end_line(
    batch: SettlementBatch, action: OrderLineAction, *, now: datetime, bank_reference: str = "", reason: str = ""
) -> None:
    """End the open line of the batch in a payment order, where it has one; the last one ends the order."""
    open_lines = PaymentOrderLine.objects.filter(batch=batch, state=OrderLineState.OPEN.value).order_by("pk")
    order_id = open_lines.values_list("order_id", flat=True).first()
    if order_id is None:
        return
    # The order first: of two who end its last two lines at once, the later one sees that nothing is open any more.
    order = PaymentOrder.objects.select_for_update(no_key=True).order_by("pk").get(pk=order_id)
    line = open_lines.select_for_update(no_key=True, of=("self",)).first()
    if line is None:
        return
    line.state = next_state(LINE_TRANSITIONS, OrderLineState(line.state), action).value
    line.bank_reference, line.reason, line.ended_at = bank_reference, reason, now
    line.save(update_fields=["state", "bank_reference", "reason", "ended_at"])
    if not PaymentOrderLine.objects.filter(order=order, state=OrderLineState.OPEN.value).exists():
        order.state = next_state(ORDER_TRANSITIONS, PaymentOrderState(order.state), PaymentOrderAction.ANSWER).value
        order.ended_at = now
        order.save(update_fields=["state", "ended_at"])
