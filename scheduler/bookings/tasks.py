"""The clock's part of bookings."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.bookings import fees, lapsing, metering, swapping


@shared_task(name="bookings.lapse_overdue")
def lapse_overdue(**_newer: object) -> None:
    now = timezone.now()
    lapsing.lapse_overdue(now=now)
    fees.settle_due(now=now)
    swapping.lapse_due(now=now)


@shared_task(name="bookings.settle_waiting")
def settle_waiting(**_newer: object) -> None:
    metering.settle_waiting(now=timezone.now())
