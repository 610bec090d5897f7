"""The clock's part of availability, and the rewriting a changed calendar asks for."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.availability import upkeep


@shared_task(name="availability.keep")
def keep(**_newer: object) -> None:
    upkeep.keep(now=timezone.now())


@shared_task(name="availability.follow_holidays", acks_late=True)
def follow_holidays(**_newer: object) -> None:
    """Write anew the open time of whatever follows public holidays."""
    upkeep.extend(now=timezone.now(), only_holidays=True)
