"""Price a job before it is submitted: what is held, the time limit the vouchers buy, and every reason against it.

A cluster may end a run some time after its limit (Slurm looks every 30 s, then waits KillWait); the price of that
*guard* is held with the limit, so that a voucher is never overspent. In minutes: limit = min(asked, the partition's
most, ⌊available ÷ rate⌋ − guard), hold = rate × (limit + guard); below one minute the job is refused. A limit of 0
would mean "unlimited" to Slurm and never leaves the portal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from scheduler.jobs import rules
from scheduler.maintenance import queries as maintenance
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Partition, Rate
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges

__all__ = ["Quote", "judged", "limits_of", "quote"]

_ = noop

MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Quote:
    """What would be held and who would pay, or why the job cannot be.

    `price` is that of limit and guard together: it is held, and never is more charged.
    """

    price: resource_rules.Price
    split: charge_rules.Split
    reasons: Sequence[Reason]
    longest_minutes: int | None = None
    """The longest time limit the vouchers carry with these resources, the partition's most at most; None without any."""
    limit_s: int = 0
    """The time limit that would be sent."""
    guard_s: int = 0
    is_shortened: bool = False
    """The limit is shorter than what was asked for."""
    tasks: int = 1
    """How many times the resources are held: the tasks of an array."""


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


@dataclass(frozen=True, slots=True)
class _Tariff:
    """What a job of this size costs on one partition: `count` cards or cores over all its tasks."""

    rate: Rate
    count: int
    guard_s: int
    max_time_s: int

    def price(self, limit_s: int) -> resource_rules.Price:
        """Price a limit and the guard behind it; no limit costs nothing."""
        return rates.priced(self.rate, duration_s=limit_s + self.guard_s if limit_s > 0 else 0, count=self.count)

    def longest_minutes(self, lots: Sequence[charge_rules.Lot]) -> int:
        """Return the longest limit for which every voucher can pay the share it stands for; 0 when there is none."""
        least, most = 0, self.max_time_s // MINUTE
        while least < most:
            middle = (least + most + 1) // 2
            if _carried(self.price(middle * MINUTE).amount, lots):
                least = middle
            else:
                most = middle - 1
        return least


def _carried(price: Money, lots: Sequence[charge_rules.Lot]) -> bool:
    """Say whether vouchers have what their shares of `price` come to."""
    needed = charge_rules.split(price, lots=[charge_rules.Lot(lot.terms, price) for lot in lots]).voucher
    return charge_rules.split(price, lots=lots).voucher >= needed


def tariff(partition: Partition, rate: Rate, *, ask: rules.Ask, tasks: int = 1) -> _Tariff:
    """Return what jobs like `ask` cost on a partition at `rate`."""
    count = ask.cards if rate.unit == resource_rules.Unit.CARD_HOUR.value else ask.cpus
    return _Tariff(rate, max(count, 0) * max(tasks, 1), partition.cluster.guard_s, partition.max_time_s)


def quote(
    partition: Partition,
    *,
    ask: rules.Ask,
    vouchers: Sequence[Any],
    now: datetime,
    shorten: bool = False,
    tasks: int = 1,
) -> Quote:
    """Price the time limit with its guard and collect every reason against the job. Raises NoRate.

    With `shorten` the limit becomes what the partition allows and the vouchers buy, where that is less than asked.
    Otherwise vouchers that are too small are a reason, which says the longest limit they carry. `tasks` is how many
    times the resources are wanted at most: the tasks of an array.
    """
    rate = rates.rate_of_partition(partition.pk, at=now)
    if rate is None:
        raise resource_rules.NoRate(field="partition")
    lots = charges.lots_of(vouchers=vouchers)
    found = judged(partition, rate, ask=ask, lots=lots, now=now, shorten=shorten, tasks=tasks)
    against = maintenance.reasons_against(
        partition.cluster_id, limit_s=max(found.limit_s, 0), guard_s=found.guard_s, now=now
    )
    return replace(found, reasons=(*found.reasons, *against))


def judged(
    partition: Partition,
    rate: Rate,
    *,
    ask: rules.Ask,
    lots: Sequence[charge_rules.Lot],
    now: datetime,
    shorten: bool,
    tasks: int = 1,
) -> Quote:
    """Return the quote at a known rate for vouchers with known balances. No query."""
    size = tariff(partition, rate, ask=ask, tasks=tasks)
    longest = size.longest_minutes(lots) if lots and size.count and rate.amount_fen else None
    limit_s = ask.time_limit_s
    if shorten:
        limit_s = min(limit_s, partition.max_time_s // MINUTE * MINUTE)
        if longest is not None:
            limit_s = min(limit_s, max(longest, 1) * MINUTE)
    price = size.price(limit_s)
    service = resource_rules.ServiceClass.COMPUTE.value
    return Quote(
        price=price,
        split=charge_rules.split(price.amount, lots=lots),
        reasons=(
            *rules.refusals(replace(ask, time_limit_s=limit_s), limits_of(partition)),
            *(
                _advised(reason, longest=longest, guard_s=size.guard_s)
                for reason in charge_rules.voucher_refusals(price.amount, lots=lots, service=service, at=now)
            ),
        ),
        longest_minutes=longest,
        limit_s=limit_s,
        guard_s=size.guard_s,
        is_shortened=limit_s < ask.time_limit_s,
        tasks=max(tasks, 1),
    )


def _advised(reason: Reason, *, longest: int | None, guard_s: int) -> Reason:
    """Return a reason with the best advice there is: how long the vouchers would carry the job."""
    if reason.code != "voucher.too_small" or longest is None:
        return reason
    guard = -(-guard_s // MINUTE)
    if longest:
        remedy = _("该券最多可支持时限 %(minutes)s 分钟。请缩短时限、减少资源，换一张券，或全部自付。")
    else:
        remedy = _("余额不够运行 1 分钟和 %(guard)s 分钟的停止余量。请减少资源，换一张券，或全部自付。")
    return replace(reason, remedy=remedy, params={**reason.params, "minutes": longest, "guard": guard})
