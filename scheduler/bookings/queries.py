"""Read quotes, alternatives and calendars of bookings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from portal.kernel.errors import Reason, noop
from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability import rules as availability_rules
from scheduler.availability.models import BLOCKING, Claim
from scheduler.bookings import rules
from scheduler.bookings.models import Booking
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Resource
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges

_ = noop

TAKEN = Reason(
    "booking.taken",
    _("所选时段（含准备和清理时间）已被占用。"),
    _("请改选列出的空闲时段之一，或在周历上另选时间。"),
    field="starts_at",
)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a booking would cost and who would pay, or why it cannot be. `blocked` includes set-up and clean-up."""

    price: resource_rules.Price
    split: charge_rules.Split
    blocked: Period
    reasons: Sequence[Reason]


def limits_of(resource: Resource) -> rules.Limits:
    """Return the resource's limits."""
    return rules.Limits(
        granularity_s=resource.granularity_s,
        min_duration_s=resource.min_duration_s,
        max_duration_s=resource.max_duration_s,
        lead_s=resource.lead_s,
        horizon_s=resource.horizon_s,
        zone=resource.zone,
    )


def quote(
    resource: Resource, *, period: Period, vouchers: Sequence[Any], organisation_id: int | None, now: datetime
) -> Quote:
    """Price `period` and collect every reason against it. Six queries. Raises NoRate.

    A look, not a promise: only `services.request_booking` holds anything.
    """
    blocked = period.padded(before=timedelta(seconds=resource.setup_s), after=timedelta(seconds=resource.cleanup_s))
    reasons = list(rules.limit_refusals(period, limits=limits_of(resource), now=now))
    if resource.state != resource_rules.PublishState.PUBLISHED.value:
        reasons.append(
            Reason("booking.not_published", _("该仪器目前不接受预约。"), _("请选择其他仪器。"), field="instrument")
        )
    # A span far beyond the horizon is already refused; expanding opening hours over it would only cost time.
    if period.duration <= timedelta(days=62):
        around = Period(blocked.start - timedelta(days=1), blocked.end + timedelta(days=14))
        opened = availability.open_periods([resource], window=around)[resource.pk]
        reasons += availability_rules.opening_refusals(blocked, opened, zone=resource.zone)
    if Claim.objects.filter(
        resource=resource, state__in=BLOCKING, blocked__overlap=(blocked.start, blocked.end)
    ).exists():
        reasons.append(TAKEN)
    if organisation_id == resource.owner_id:
        reasons.append(
            Reason(
                "booking.own",
                _("贵单位是该仪器的提供单位，不能以企业身份预约。"),
                _("自用时间请在“我的仪器”中登记。"),
                field="instrument",
            )
        )
    rate = rates.rate_of_resource(resource.pk, at=now)
    if rate is None:
        raise resource_rules.NoRate(field="instrument")
    price = rates.priced(rate, duration_s=int(period.duration.total_seconds()))
    service = resource_rules.ServiceClass.INSTRUMENT_USE.value
    plan = charges.plan(vouchers=vouchers, price=price.amount, service=service, now=now, ends_at=period.end)
    reasons += plan.reasons
    return Quote(
        price=price,
        split=plan.split,
        blocked=blocked,
        reasons=tuple(reasons),
    )


def alternatives(resource: Resource, *, wanted: Period, now: datetime) -> list[Period]:
    """Return up to three free periods of the wanted length nearest to the wanted start; durations kept in limits."""
    seconds = int(wanted.duration.total_seconds())
    seconds = min(max(seconds, resource.min_duration_s), resource.max_duration_s)
    earliest = now + timedelta(seconds=resource.lead_s)
    reachable = Period(earliest, now + timedelta(seconds=resource.horizon_s))
    start = min(max(wanted.start, reachable.start), reachable.end - timedelta(seconds=seconds))
    fitted = Period(start, start + timedelta(seconds=seconds))
    return availability.alternatives(resource, wanted=fitted, earliest=reachable)


def calendar(resource: Resource, *, since: datetime, until: datetime) -> QuerySet[Booking]:
    """Return the bookings a feed of the resource shows, cancelled ones included, oldest first."""
    return (
        Booking.objects.filter(resource=resource, ends_at__gt=since, starts_at__lt=until)
        .select_related("organisation")
        .order_by("starts_at", "pk")
    )
