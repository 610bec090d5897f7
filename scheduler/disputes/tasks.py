"""The clock's part of disputes."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.disputes import services


@shared_task(name="disputes.settle_due")
def settle_due(**_newer: object) -> None:
    services.settle_due(now=timezone.now())
