"""The worker's part of clusters: ask those whose turn it is."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.clusters import orphans, polling


@shared_task(name="clusters.poll_due", expires=10)
def poll_due(**_newer: object) -> None:
    for cluster_id in polling.due(now=timezone.now()):
        poll.delay(cluster_id=cluster_id)


@shared_task(name="clusters.poll", expires=30)
def poll(*, cluster_id: int, **_newer: object) -> None:
    polling.poll(cluster_id=cluster_id, now=timezone.now())
    orphans.sweep(cluster_id=cluster_id, now=timezone.now())
