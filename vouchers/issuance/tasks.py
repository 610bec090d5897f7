"""The clock's part of applications."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.issuance import lapsing


@shared_task(name="vouchers.lapse_overdue")
def lapse_overdue(**_newer: object) -> None:
    lapsing.lapse_overdue(now=timezone.now())
