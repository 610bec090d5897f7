"""Show the right bank reference of what finance recorded by hand. For `banking.releasing` only: no money moves."""

from __future__ import annotations

from vouchers.payments.arriving import lock
from vouchers.payments.models import Payment

__all__ = ["rename"]


def rename(*, number: str, was: str, right: str) -> None:
    """Replace a mistyped bank reference on a payment; `right` is empty where nobody knows it. Locks the payment."""
    locked = lock(Payment.objects.get(number=number))
    changed = [name for name in ("bank_reference", "paid_back_reference") if getattr(locked, name) == was]
    for name in changed:
        setattr(locked, name, right[:60])
    locked.save(update_fields=changed)
