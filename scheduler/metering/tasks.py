"""The clock's part of metering: read accounting every minute, compare the books every night."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.metering import auditing, sweeping
from scheduler.resources.models import Cluster


@shared_task(name="metering.sweep_all")
def sweep_all(**_newer: object) -> None:
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        sweep.delay(cluster_id=cluster_id)


@shared_task(name="metering.sweep", expires=120)
def sweep(*, cluster_id: int, **_newer: object) -> None:
    sweeping.sweep(cluster_id=cluster_id, now=timezone.now())


@shared_task(name="metering.audit")
def audit(**_newer: object) -> None:
    now = timezone.now()
    auditing.audit(since=now - auditing.WINDOW, until=now, now=now)
