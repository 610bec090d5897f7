"""The clock's part of documents."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.invoices import following


@shared_task(name="vouchers.make_documents")
def make_documents(**_newer: object) -> int:
    """Make the invoices, receipts and credit notes that nobody has looked at yet."""
    return following.make_due(now=timezone.now())
