"""The clock's part of proposals."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.proposals import continuing, team


@shared_task(name="proposals.send_invitations")
def send_invitations(**_newer: object) -> None:
    team.send_due(now=timezone.now())


@shared_task(name="proposals.lapse_due")
def lapse_due(**_newer: object) -> None:
    continuing.lapse_due(now=timezone.now())
