"""The clock's part of rounds."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.rounds import services, waiting


@shared_task(name="vouchers.turn_rounds")
def turn_rounds(**_newer: object) -> None:
    """Open rounds whose window has begun, close those whose end has come, serve who queues for money."""
    now = timezone.now()
    services.close_due(now=now)
    services.open_due(now=now)
    waiting.promote_all(now=now)
