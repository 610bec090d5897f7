"""The clock's part of payees."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.payees import services


@shared_task(name="vouchers.enforce_accounts")
def enforce_accounts(**_newer: object) -> None:
    """Let verified bank accounts come into force once their cooling-off is over."""
    services.enforce_due(now=timezone.now())
