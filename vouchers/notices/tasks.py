"""The clock's part of public notices."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.notices import services


@shared_task(name="vouchers.close_notices")
def close_notices(**_newer: object) -> None:
    """End notices whose period is over, and grant what nobody disputes."""
    services.close_due(now=timezone.now())
