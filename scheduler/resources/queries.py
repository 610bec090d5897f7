"""Read rates: what a resource or partition costs at a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from portal.kernel.money import Money
from scheduler.resources import rules
from scheduler.resources.models import Rate


def rate_of_resource(resource_id: int, *, at: datetime) -> Rate | None:
    """Return the rate in force at `at`, or None."""
    return Rate.objects.filter(resource_id=resource_id, valid__contains=at).first()


def rate_of_partition(partition_id: int, *, at: datetime) -> Rate | None:
    """Return the rate in force at `at`, or None."""
    return Rate.objects.filter(partition_id=partition_id, valid__contains=at).first()


def rates_of_resources(resource_ids: Iterable[int], *, at: datetime) -> dict[int, Rate]:
    """Return the rates in force, by resource, in one query."""
    found = Rate.objects.filter(resource_id__in=list(resource_ids), valid__contains=at)
    return {rate.resource_id: rate for rate in found if rate.resource_id is not None}


def rates_of_partitions(partition_ids: Iterable[int], *, at: datetime) -> dict[int, Rate]:
    """Return the rates in force, by partition, in one query."""
    found = Rate.objects.filter(partition_id__in=list(partition_ids), valid__contains=at)
    return {rate.partition_id: rate for rate in found if rate.partition_id is not None}


def priced(rate: Rate, *, duration_s: int, count: int = 1) -> rules.Price:
    """Price a use at `rate`."""
    return rules.price(
        unit=rules.Unit(rate.unit), unit_price=Money(rate.amount_fen), duration_s=duration_s, count=count
    )
