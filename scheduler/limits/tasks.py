"""The worker's part of limits: every cluster is brought into step twice a minute."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from scheduler.limits import services
from scheduler.resources.models import Cluster

logger = structlog.get_logger("limits")


def hint(cluster_id: int) -> None:
    """Wake a worker for a cluster now; without a broker the next sweep takes it up."""
    try:
        sync.delay(cluster_id=cluster_id)
    except BrokerAway as error:
        logger.warning("limits.broker_away", cluster_id=cluster_id, error=str(error))


@shared_task(name="limits.sync_all")
def sync_all(**_newer: object) -> None:
    for cluster_id in Cluster.objects.filter(accounts__isnull=False).distinct().values_list("pk", flat=True):
        sync.delay(cluster_id=cluster_id)


@shared_task(name="limits.sync", expires=30)
def sync(*, cluster_id: int, **_newer: object) -> None:
    services.sync(cluster_id=cluster_id, now=timezone.now())
