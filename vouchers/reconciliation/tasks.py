"""The clock's part of reconciliation: every gateway every morning, a few days back."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from portal.kernel.period import Period
from vouchers.payments.rails import rail
from vouchers.reconciliation import services

logger = structlog.get_logger("reconciliation")


@shared_task(name="reconciliation.pull")
def pull_gateways(**_newer: object) -> None:
    """Pull every configured gateway; one that does not answer is pulled with the next run, which reaches back."""
    now = timezone.now()
    for code in settings.PAYMENT_RAILS:
        during = Period(now - services.OVERLAP, now)
        try:
            services.pull(rail=rail(code), during=during, actor=Actor.system("自动处理"), now=now)
        except PortalError as error:
            logger.error("reconciliation.not_pulled", rail=code, code=error.code)
