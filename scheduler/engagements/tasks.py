"""The clock's part of engagements."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.engagements import delivering


@shared_task(name="engagements.accept_due")
def accept_due(**_newer: object) -> None:
    delivering.accept_due(now=timezone.now())
