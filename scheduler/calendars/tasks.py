"""The clock's part of calendars: ids in, one call, and the row decides what is still to do."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.calendars import polling


@shared_task(name="calendars.poll_due")
def poll_due(**_newer: object) -> None:
    for calendar_id in polling.claim_due(now=timezone.now()):
        poll.delay(calendar_id=calendar_id)


@shared_task(name="calendars.poll", expires=600)
def poll(*, calendar_id: int, **_newer: object) -> None:
    polling.poll(calendar_id=calendar_id, now=timezone.now())
