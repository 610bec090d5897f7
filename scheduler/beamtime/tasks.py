"""The worker's part of schedules: ids in, one call; and what the clock does about drafts and offers."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from scheduler.beamtime import answering, billing, ending, market, quoting, returning, solving, telling

logger = structlog.get_logger("beamtime")


@shared_task(name="beamtime.solve", acks_late=True)
def solve(*, draft_id: int, **_newer: object) -> None:
    solving.solve(draft_id=draft_id, now=timezone.now())


def wake(draft_id: int) -> None:
    """Tell a worker of a draft. The row is the outbox: without a broker, the next sweep takes it up."""
    try:
        solve.delay(draft_id=draft_id)
    except BrokerAway as error:
        logger.warning("beamtime.broker_away", draft_id=draft_id, error=str(error))


@shared_task(name="beamtime.keep_schedules")
def keep_schedules(**_newer: object) -> None:
    """Take up drafts nobody computes, and end offers nobody answered."""
    now = timezone.now()
    for draft_id in solving.left(now=now):
        wake(draft_id)
    answering.lapse_due(now=now)


@shared_task(name="beamtime.release")
def release(**_newer: object) -> None:
    """Open the shifts nobody has to enterprises, close those somebody was given; end quotes not accepted or out of time."""
    market.release_due(now=timezone.now())
    quoting.expire_due(now=timezone.now())
    billing.follow_due(now=timezone.now())


@shared_task(name="beamtime.keep_visits")
def keep_visits(**_newer: object) -> None:
    """End visits nobody ended a day after their time, and remind teams of what is due."""
    now = timezone.now()
    ending.end_due(now=now)
    returning.lapse_due(now=now)
    telling.remind_due(now=now)
