"""The clock's part of settlements."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.settlements import drafting, paying_out


@shared_task(name="vouchers.draft_settlements")
def draft_settlements(**_newer: object) -> None:
    """Draft what is due at the end of the last week, month or quarter."""
    drafting.draft_due(now=timezone.now())


@shared_task(name="vouchers.look_at_rail_payouts")
def look_at_rail_payouts(**_newer: object) -> None:
    """Look for payouts over a gateway whose outcome is not known."""
    paying_out.look_at_due(now=timezone.now())
