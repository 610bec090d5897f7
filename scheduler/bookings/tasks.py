"""The clock's part of bookings."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.bookings import services


@shared_task(name="bookings.lapse_overdue")
def lapse_overdue(**_newer: object) -> None:
    services.lapse_overdue(now=timezone.now())
