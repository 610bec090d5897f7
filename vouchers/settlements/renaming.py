"""Show the right bank reference of batches that a person marked as paid or reconciled. For `banking.releasing` only."""

from __future__ import annotations

from datetime import datetime

from portal.kernel.actors import Actor
from vouchers.payments.rules import bank_reference
from vouchers.settlements import seeing
from vouchers.settlements.cases import lock
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrderLine

__all__ = ["batches_of", "rename"]


def batches_of(subject: str) -> list[SettlementBatch]:
    """Return the batches of ``batch:S2611-000001`` or of all of the payment order ``order:PO2611-000001``."""
    kind, _colon, number = subject.partition(":")
    if kind == "order":
        return list(SettlementBatch.objects.filter(order_lines__order__number=number).distinct().order_by("pk"))
    return list(SettlementBatch.objects.filter(number=number))


def rename(*, subject: str, was: str, right: str, actor: Actor, now: datetime) -> None:
    """Replace a mistyped bank reference, `right` is empty where nobody knows it; what it reconciled is to be reconciled anew.

    Paid stays paid, no money moves. Locks the batches.
    """
    for each in batches_of(subject):
        batch = lock(each)
        if bank_reference(batch.bank_line) == was:
            batch = seeing.not_seen(actor=actor, batch=batch, bank_line=batch.bank_line, now=now)
        if bank_reference(batch.bank_reference) != was:
            continue
        batch.bank_reference = right[:60]
        batch.save(update_fields=["bank_reference"])
        for line in PaymentOrderLine.objects.filter(batch=batch).order_by("pk"):
            if bank_reference(line.bank_reference) == was:
                line.bank_reference = right[:60]
                line.save(update_fields=["bank_reference"])
