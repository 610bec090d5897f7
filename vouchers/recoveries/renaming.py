"""Show the right bank reference of money that finance recorded by hand for a recovery. For `banking.releasing` only."""

from __future__ import annotations

from vouchers.recoveries.cases import lock
from vouchers.recoveries.models import Recovery, RecoveryPayment

__all__ = ["rename"]


def rename(*, number: str, was: str, right: str) -> None:
    """Replace a mistyped bank reference of money received; ``~`` and the mistyped one where nobody knows the right one.

    No money moves. Locks the case.
    """
    locked = lock(Recovery.objects.get(number=number))
    rows = RecoveryPayment.objects.select_for_update(no_key=True).filter(recovery=locked, batch="", bank_reference=was)
    for row in rows.order_by("pk"):
        row.bank_reference = (right or f"~{was}")[:60]
        row.save(update_fields=["bank_reference"])
