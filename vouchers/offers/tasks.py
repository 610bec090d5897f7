"""The clock's part of orders."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vouchers.offers import deadlines


@shared_task(name="vouchers.run_order_deadlines")
def run_order_deadlines(**_newer: object) -> None:
    deadlines.run_deadlines(now=timezone.now())
