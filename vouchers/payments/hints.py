"""Tell a worker that something is to do now. The rows are the outbox: what nobody was told of, the beat takes up."""

from __future__ import annotations

import structlog
from celery import current_app
from kombu.exceptions import OperationalError as BrokerAway

__all__ = ["hint"]

logger = structlog.get_logger("payments")


def hint(task: str, **values: int) -> None:
    """Send a task; a broker that is away changes nothing but the time."""
    try:
        current_app.send_task(task, kwargs=values)
    except BrokerAway as error:
        logger.warning("payments.broker_away", task=task, error=str(error))
