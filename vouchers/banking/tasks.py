"""The worker's part of bank statements: an id in, one call."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from vouchers.banking import automatic
from vouchers.banking.models import StatementImport

logger = structlog.get_logger("banking")


@shared_task(name="banking.look_through", acks_late=True)
def look_through(*, import_id: int, **_newer: object) -> None:
    """Match what is certain in a statement that was taken."""
    automatic.look_through(import_id=import_id, now=timezone.now())


def wake(import_id: int) -> None:
    """Tell a worker of an import. The row is the outbox: without a broker, the next sweep takes it up."""
    try:
        look_through.delay(import_id=import_id)
    except BrokerAway as error:
        logger.warning("banking.broker_away", import_id=import_id, error=str(error))


@shared_task(name="banking.look_for_left")
def look_for_left(**_newer: object) -> None:
    """Take up imports nobody was told of, or whose worker died; look once a day at lines nobody has placed."""
    automatic.look_again_at_old(now=timezone.now())
    since = timezone.now() - timedelta(minutes=2)
    waiting = StatementImport.objects.filter(finished_at__isnull=True, imported_at__lt=since)
    for import_id in waiting.order_by("pk").values_list("pk", flat=True)[:20]:
        wake(import_id)
