"""The clock's part of waiting lists."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.waitlist import notifying, services


@shared_task(name="waitlist.look")
def look(**_newer: object) -> None:
    """End what is over, offer what has become free, tell those it is offered."""
    services.close_due(now=timezone.now())
    services.look_everywhere(now=timezone.now())
    notifying.send_due(now=timezone.now())
