"""The clock's part of claims."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.claims import paying


@shared_task(name="vouchers.pay_claims")
def pay_claims(**_newer: object) -> None:
    """Open claims for granted awards, and the payment runs whose window has closed."""
    now = timezone.now()
    paying.open_awards(now=now)
    paying.open_runs(now=now)
