"""The workers' and the clock's part of payments over rails: ids in, one call."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.payments import inbox, looking, refunding
from vouchers.payments.rail_models import RefundAttempt

__all__ = ["fetch_payment_notices", "look_at_payments", "process_payment_event", "send_payment_refund"]


@shared_task(name="payments.process_event")
def process_payment_event(*, event_id: int, **_newer: object) -> None:
    """Process one stored notice."""
    inbox.process(event_id=event_id, now=timezone.now())


@shared_task(name="payments.send_refund")
def send_payment_refund(*, refund_id: int, **_newer: object) -> None:
    """Send one refund that was written."""
    refunding.send(refund=RefundAttempt.objects.get(pk=refund_id), now=timezone.now())


@shared_task(name="payments.look")
def look_at_payments(**_newer: object) -> None:
    """Ask back what is owed, and look at what is due."""
    now = timezone.now()
    looking.ask_what_is_owed(now=now)
    looking.look_at_due(now=now)


@shared_task(name="payments.fetch_notices")
def fetch_payment_notices(**_newer: object) -> None:
    """Fetch the notices that never arrived."""
    looking.fetch_notices(now=timezone.now())
