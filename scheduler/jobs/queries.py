"""Read quotes, logs and boards of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from scheduler.jobs import access, ports, rules
from scheduler.jobs.models import Job
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Partition
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.ledger import queries as balances

_ = noop


@dataclass(frozen=True, slots=True)
class Quote:
    """What the time limit would cost at most and who would pay, or why the job cannot be."""

    price: resource_rules.Price
    split: charge_rules.Split
    reasons: Sequence[Reason]
    longest_minutes: int | None = None
    """The longest time limit the voucher can carry with these resources; None without a voucher or a price."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a partition is by the portal's own records: jobs on cards, and jobs waiting."""

    running: int = 0
    waiting: int = 0
    cards_in_use: int = 0


def limits_of(partition: Partition) -> rules.PartitionLimits:
    """Return what the partition offers one job."""
    return rules.PartitionLimits(
        card_type=partition.card_type,
        max_cards=partition.max_cards,
        max_cpus=partition.max_cpus,
        max_memory_mb=partition.max_memory_mb,
        max_time_s=partition.max_time_s,
        is_open=partition.is_open and partition.cluster.accepts_work,
    )


def quote(partition: Partition, *, ask: rules.Ask, vouchers: Sequence[Any], now: datetime) -> Quote:
    """Price the whole time limit and collect every reason against the job. Raises NoRate.

    Where a single voucher is too small, the reason says the longest time limit it can carry.
    """
    rate = rates.rate_of_partition(partition.pk, at=now)
    if rate is None:
        raise resource_rules.NoRate(field="partition")
    count = ask.cards if rate.unit == resource_rules.Unit.CARD_HOUR.value else ask.cpus
    price = rates.priced(rate, duration_s=max(ask.time_limit_s, 0), count=max(count, 0))
    reasons = list(rules.refusals(ask, limits_of(partition)))
    longest = _longest_minutes(vouchers[0], rate.amount_fen, count) if len(vouchers) == 1 else None
    service = resource_rules.ServiceClass.COMPUTE.value
    plan = charges.plan(vouchers=vouchers, price=price.amount, service=service, now=now)
    for reason in plan.reasons:
        if longest and reason.code == "voucher.too_small":
            reason = Reason(  # noqa: PLW2901  the same reason with a better remedy
                reason.code,
                reason.message,
                _("该券最多可支持时限 %(minutes)s 分钟。请缩短时限、减少资源，换一张券，或全部自付。"),
                field=reason.field,
                params={**reason.params, "minutes": longest},
            )
        reasons.append(reason)
    return Quote(price=price, split=plan.split, reasons=tuple(reasons), longest_minutes=longest)


def _longest_minutes(voucher: Any, unit_price_fen: int, count: int) -> int | None:
    """Return the longest limit, in whole minutes, whose voucher share the balance covers; None where it is free."""
    available = balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    per_minute = Fraction(unit_price_fen * count, 60) * Fraction(voucher.share_num, voucher.share_den)
    return int(available / per_minute) if per_minute > 0 else None


def loads_of(partition_ids: Iterable[int]) -> dict[int, Load]:
    """Return how busy partitions are, whoever's jobs they are, in one query."""
    on_cards = Q(state__in=[state.value for state in rules.OCCUPYING])
    found = (
        Job.objects.filter(
            partition_id__in=list(partition_ids),
            settled_at__isnull=True,
            state__in=[state.value for state in rules.ACTIVE],
        )
        .order_by()
        .values("partition_id")
        .annotate(
            running=Count("pk", filter=on_cards),
            waiting=Count("pk", filter=~on_cards),
            cards_in_use=Coalesce(Sum("cards", filter=on_cards), 0),
        )
    )
    return {row["partition_id"]: Load(row["running"], row["waiting"], row["cards_in_use"]) for row in found}


def ahead_of(job: Job) -> int:
    """Return how many jobs of the portal wait before this one in its partition."""
    waiting = [state.value for state in rules.ACTIVE - rules.OCCUPYING]
    return Job.objects.filter(
        partition_id=job.partition_id, settled_at__isnull=True, state__in=waiting, pk__lt=job.pk
    ).count()


def log(job: Job, *, offset: int, limit: int = 65536) -> ports.LogChunk:
    """Read a job's output from `offset`. Raises Unavailable, Rejected. Empty before the job is on the cluster."""
    if not job.cluster_job_id:
        return ports.LogChunk(data=b"", next_offset=offset, eof=True)
    return access.connect(job.partition.cluster).log(access.ref_of(job), offset=offset, limit=limit)


def cost_so_far_fen(job: Job, *, now: datetime) -> int:
    """Return what the elapsed time costs at the frozen price: derived for display, posted only at the end."""
    if job.charge is None or job.started_at is None:
        return 0
    if job.charge.actual_fen is not None:
        return int(job.charge.actual_fen)
    unit = resource_rules.Unit(job.charge.quote["unit"])
    elapsed = int(((job.ended_at or now) - job.started_at).total_seconds())
    price = resource_rules.price(
        unit=unit,
        unit_price=Money(job.charge.quote["unit_price_fen"]),
        duration_s=max(0, elapsed),
        count=job.cards if unit is resource_rules.Unit.CARD_HOUR else job.cpus,
    )
    return min(price.amount.fen, job.charge.price_fen)
