"""The worker's part of jobs: ids in, one call, and the row decides what is still to do."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from scheduler.jobs import dispatching
from scheduler.resources.models import Cluster


@shared_task(name="jobs.dispatch", acks_late=True)
def dispatch(*, job_id: int, **_newer: object) -> None:
    dispatching.dispatch(job_id=job_id, now=timezone.now())


@shared_task(name="jobs.ask_cancel", acks_late=True)
def ask_cancel(*, job_id: int, **_newer: object) -> None:
    dispatching.ask_cancel(job_id=job_id, now=timezone.now())


@shared_task(name="jobs.reconcile_all")
def reconcile_all(**_newer: object) -> None:
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        reconcile.delay(cluster_id=cluster_id)


@shared_task(name="jobs.reconcile", expires=30)
def reconcile(*, cluster_id: int, **_newer: object) -> None:
    dispatching.reconcile(cluster_id=cluster_id, now=timezone.now())


@shared_task(name="jobs.check_health", expires=60)
def check_health(**_newer: object) -> None:
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        dispatching.check_health(cluster_id=cluster_id)
