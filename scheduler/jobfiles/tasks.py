"""The worker's part of files for jobs."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.jobfiles import services


@shared_task(name="jobfiles.sweep", expires=60)
def sweep(**_newer: object) -> int:
    return services.sweep(now=timezone.now())
