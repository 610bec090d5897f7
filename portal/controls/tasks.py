"""The clock's part of controls."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from portal.controls import services


@shared_task(name="portal.controls.sweep")
def sweep(**_newer: object) -> None:
    services.sweep(now=timezone.now())
