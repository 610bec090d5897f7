"""The clock's part of calendar mails: ids in, one call, and the row decides what is still to do."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.invitations import services


@shared_task(name=services.TASK, acks_late=True)
def send(*, mail_id: int, **_newer: object) -> None:
    services.send(mail_id=mail_id, now=timezone.now())


@shared_task(name="invitations.send_due")
def send_due(**_newer: object) -> None:
    for mail_id in services.due(now=timezone.now()):
        send.delay(mail_id=mail_id)
