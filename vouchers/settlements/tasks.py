"""The clock's part of settlements."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.settlements import drafting


@shared_task(name="vouchers.draft_settlements")
def draft_settlements(**_newer: object) -> None:
    """Draft what is due at the end of the last week, month or quarter."""
    drafting.draft_due(now=timezone.now())
