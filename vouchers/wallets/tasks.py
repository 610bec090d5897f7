"""The clock's part of vouchers."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.wallets import expiry


@shared_task(name="vouchers.expire_overdue")
def expire_overdue(**_newer: object) -> None:
    expiry.expire_overdue(now=timezone.now())
