"""The worker's part of jobs: ids in, one call, and the row decides what is still to do."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from celery import Task, shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from scheduler.jobs import dispatching, reconciling
from scheduler.resources.models import Cluster

logger = structlog.get_logger("jobs")


def hint(task: Task) -> Callable[[int], None]:
    """Return what wakes a worker for a job. The row is the outbox: without a broker, the next sweep takes it up."""

    def send(job_id: int) -> None:
        try:
            task.delay(job_id=job_id)
        except BrokerAway as error:
            logger.warning("jobs.broker_away", task=task.name, job_id=job_id, error=str(error))

    return send


@shared_task(name="jobs.dispatch", acks_late=True)
def dispatch(*, job_id: int, **_newer: object) -> None:
    dispatching.dispatch(job_id=job_id, now=timezone.now())


@shared_task(name="jobs.ask_cancel", acks_late=True)
def ask_cancel(*, job_id: int, **_newer: object) -> None:
    reconciling.cancel_and_look(job_id=job_id, now=timezone.now())


@shared_task(name="jobs.reconcile_all")
def reconcile_all(**_newer: object) -> None:
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        reconcile.delay(cluster_id=cluster_id)


@shared_task(name="jobs.reconcile", expires=30)
def reconcile(*, cluster_id: int, **_newer: object) -> None:
    reconciling.reconcile(cluster_id=cluster_id, now=timezone.now())
