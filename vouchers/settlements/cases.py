"""What every writer of batches shares: locking one, and writing what was done into the trail."""

from __future__ import annotations

from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor
from vouchers.settlements.models import SettlementBatch


def lock(batch: SettlementBatch) -> SettlementBatch:
    """Return the batch as it is now, locked until the transaction ends."""
    return (
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("created_by", "approved_by", "payee")
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
