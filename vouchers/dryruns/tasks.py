"""The worker's part of dry runs: an id in, one call."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from vouchers.dryruns import services
from vouchers.dryruns.models import DryRun

logger = structlog.get_logger("dryruns")


@shared_task(name="vouchers.dry_run", acks_late=True)
def dry_run(*, run_id: int, **_newer: object) -> None:
    services.run(run_id=run_id, now=timezone.now())


def wake(run_id: int) -> None:
    """Tell a worker of a run. The row is the outbox: without a broker, the next sweep takes it up."""
    try:
        dry_run.delay(run_id=run_id)
    except BrokerAway as error:
        logger.warning("dryruns.broker_away", run_id=run_id, error=str(error))


@shared_task(name="vouchers.dry_runs_left")
def dry_runs_left(**_newer: object) -> None:
    """Take up runs nobody was told of."""
    since = timezone.now() - timedelta(minutes=2)
    waiting = DryRun.objects.filter(state=DryRun.State.QUEUED.value, requested_at__lt=since)
    for run_id in waiting.order_by("pk").values_list("pk", flat=True)[:20]:
        wake(run_id)
