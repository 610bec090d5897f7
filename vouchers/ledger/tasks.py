"""The clock's part of the ledger: seal every minute, audit every night."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.ledger import auditing, seals

MOST_BLOCKS = 50


@shared_task(name="ledger.seal")
def seal_ledger(**_newer: object) -> None:
    """Seal what is ready, in at most `MOST_BLOCKS` blocks: the next run takes the rest."""
    for _ in range(MOST_BLOCKS):
        if seals.seal(now=timezone.now()) is None:
            return


@shared_task(name="ledger.audit")
def audit_ledger(**_newer: object) -> None:
    auditing.audit(now=timezone.now())
