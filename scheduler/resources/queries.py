"""Read rates: what a resource or partition costs at a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from portal.kernel.money import Money
from scheduler.resources import fees, profile, rules
from scheduler.resources.models import Rate

STANDARD: Final = {
    "unit": rules.Unit.HOUR.value,
    "mode": profile.ServiceMode.SELF.value,
    "user_class": fees.UserClass.EXTERNAL.value,
}
"""What an enterprise pays for an hour of its own work: the price bookings and the search go by."""
STANDARD_RATE: Final = """
    SELECT * FROM rate
    WHERE resource_id = %(resource)s AND unit = %(unit)s AND mode = %(mode)s AND user_class = %(user_class)s
        AND valid @> %(at)s::timestamptz
"""


def rate_of_resource(resource_id: int, *, at: datetime) -> Rate | None:
    """Return what an hour costs an enterprise at `at`, or None."""
    return next(iter(Rate.objects.raw(STANDARD_RATE, {**STANDARD, "resource": resource_id, "at": at})), None)


def prices_of_resource(resource_id: int, *, at: datetime) -> list[Rate]:
    """Return the price list at `at`: every line in force, and those announced for later, by mode, class and unit."""
    found = Rate.objects.filter(resource_id=resource_id, valid__overlap=(at, None))
    order = {mode.value: place for place, mode in enumerate(profile.ServiceMode)}
    who = {user.value: place for place, user in enumerate(fees.UserClass)}
    return sorted(found, key=lambda rate: (order[rate.mode], who[rate.user_class], rate.unit, rate.valid.lower))


def price_of(
    resource_id: int,
    *,
    mode: profile.ServiceMode,
    unit: rules.Unit,
    user_class: fees.UserClass = fees.UserClass.EXTERNAL,
    at: datetime,
) -> Rate | None:
    """Return the line of the price list in force at `at`, or None."""
    return Rate.objects.filter(
        resource_id=resource_id, mode=mode.value, unit=unit.value, user_class=user_class.value, valid__contains=at
    ).first()


def rate_of_partition(partition_id: int, *, at: datetime) -> Rate | None:
    """Return the rate in force at `at`, or None."""
    return Rate.objects.filter(partition_id=partition_id, valid__contains=at).first()


def rates_of_resources(resource_ids: Iterable[int], *, at: datetime) -> dict[int, Rate]:
    """Return the rates in force, by resource, in one query."""
    found = Rate.objects.filter(resource_id__in=list(resource_ids), valid__contains=at, **STANDARD)
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
