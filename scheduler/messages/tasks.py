"""The clock's part of messages."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.messages import services


@shared_task(name="messages.send_due")
def send_due(**_newer: object) -> None:
    services.send_due(now=timezone.now())
