"""The clock's part of outages."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.displacements import notifying, services


@shared_task(name="displacements.keep")
def keep(**_newer: object) -> None:
    """Close what nobody chose in time, and send what is to be sent."""
    services.close_due(now=timezone.now())
    notifying.send_due(now=timezone.now())
