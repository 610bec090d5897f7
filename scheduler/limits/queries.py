"""Read what accounts on a cluster should be held to: a constant number of queries for any number of accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from scheduler.allocations import queries as allocations
from scheduler.allocations.models import Allocation
from scheduler.allocations.rules import Standing
from scheduler.jobs import arrays
from scheduler.jobs.capabilities import AccountLimits
from scheduler.jobs.models import Job
from scheduler.jobs.rules import ACTIVE, OCCUPYING
from scheduler.limits import rules
from scheduler.limits.models import ClusterAccount
from scheduler.limits.rules import Bounds, LimitMode, OpenJob
from scheduler.metering import queries as metering
from scheduler.resources import queries as rates
from scheduler.resources.models import Cluster, Partition
from scheduler.resources.rules import ServiceClass, Unit
from vouchers.wallets import queries as wallets

__all__ = ["accounts", "desired", "mode_of"]

UNBOUND: Final = Bounds()


def accounts(*, cluster: Cluster, organisation_ids: Collection[int]) -> Mapping[int, str]:
    """Return the account of each enterprise that has one; answers ``scheduler.jobs.guards.Accounts``. One query."""
    return dict(
        cluster.accounts.filter(organisation__in=organisation_ids).order_by().values_list("organisation_id", "name")
    )


def mode_of(cluster: Cluster) -> LimitMode:
    """Return what bounds a cluster's accounts; without a policy nothing of ours."""
    policy = getattr(cluster, "limit_policy", None)
    return LimitMode(policy.mode) if policy else LimitMode.OFF


def desired(
    cluster: Cluster, mode: LimitMode, accounts: Sequence[ClusterAccount], *, now: datetime
) -> dict[int, AccountLimits]:
    """Return what each account should be held to at `now`, by its id."""
    bounds: dict[int, Bounds] = {}
    if mode is not LimitMode.OFF and accounts:
        ids = [account.organisation_id for account in accounts]
        jobs = _open_jobs(cluster, ids, now=now)
        partitions = list(cluster.partitions.filter(is_open=True))
        bounds = _granted(partitions, ids, jobs, now=now)
        if mode is LimitMode.COVERED:
            payable = _payable(partitions, ids, jobs, now=now)
            bounds = {pk: rules.bounds_from(bounds[pk], payable[pk]) for pk in ids}
    return {account.pk: _limits(account, bounds.get(account.organisation_id, UNBOUND)) for account in accounts}


def _limits(account: ClusterAccount, bounds: Bounds) -> AccountLimits:
    values = {name: getattr(bounds, name) for name in rules.BOUNDS}
    return AccountLimits(account.name, (account.posix_user,), **values)


def _open_jobs(cluster: Cluster, ids: Collection[int], *, now: datetime) -> Mapping[int, list[OpenJob]]:
    """Return the jobs of the portal on a cluster that have not ended, by enterprise. One query."""
    found: dict[int, list[OpenJob]] = defaultdict(list)
    rows = Job.objects.filter(
        partition__cluster=cluster, organisation_id__in=ids, state__in=[state.value for state in ACTIVE]
    ).values_list("organisation_id", "cards", "cpus", "time_limit_s", "array", "state", "started_at")
    occupying = {state.value for state in OCCUPYING}
    for pk, cards, cpus, limit, array, state, started_at in rows:
        ran = int((now - started_at).total_seconds()) if started_at and state in occupying else None
        tasks = max(1, len(arrays.tasks(array)))
        found[pk].append(OpenJob(cards, cpus, limit, tasks, ran))
    return found


def _granted(
    partitions: Sequence[Partition], ids: Sequence[int], jobs: Mapping[int, list[OpenJob]], *, now: datetime
) -> dict[int, Bounds]:
    """Return what grants bound on the cluster. Three queries.

    A grant over everything bounds the account; grants over partitions do where every open partition with cards has one.
    What is granted for one programme only bounds jobs of the portal: the cluster does not know who pays.
    """
    granted = allocations.of_organisations(ids, at=now)
    everybodys = {pk: [row for row in rows if not row.programme_code] for pk, rows in granted.items()}
    standings = allocations.standings([row for rows in everybodys.values() for row in rows])
    with_cards = {partition.pk for partition in partitions if partition.max_cards}
    return {pk: _bounds_of(everybodys[pk], standings, with_cards, jobs.get(pk, [])) for pk in ids}


def _bounds_of(
    rows: Sequence[Allocation], standings: Mapping[int, Standing], with_cards: Collection[int], jobs: Sequence[OpenJob]
) -> Bounds:
    whole = [row for row in rows if row.partition_id is None]
    parts = [row for row in rows if row.partition_id in with_cards]

    def minutes(row: Allocation) -> int | None:
        left = standings[row.pk].left_s
        return None if left is None else left // 60

    def together(values: Sequence[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known and len(known) == len(with_cards) else None

    return rules.quota(
        left_minutes=rules.least(*(minutes(row) for row in whole), together([minutes(row) for row in parts])),
        cards=rules.least(*(row.cards for row in whole), together([row.cards for row in parts])),
        jobs=jobs,
    )


def _payable(
    partitions: Sequence[Partition], ids: Sequence[int], jobs: Mapping[int, list[OpenJob]], *, now: datetime
) -> dict[int, Bounds]:
    """Return what vouchers can still pay for, at the dearest price of the cluster. Four queries."""
    prices: dict[str, int] = {}
    for rate in rates.rates_of_partitions([partition.pk for partition in partitions], at=now).values():
        prices[rate.unit] = max(prices.get(rate.unit, 0), rate.amount_fen)
    purses = wallets.spendable(holder_ids=ids, service=ServiceClass.COMPUTE.value, at=now)

    owed = metering.owed_of(ids)

    def minutes(pk: int, unit: Unit) -> int | None:
        held = [rules.Purse(fen, share) for fen, share in purses[pk]]
        if unit.value not in prices:
            return None
        return rules.still_payable(held, unit_price_fen=prices[unit.value], owed_fen=owed.get(pk, 0))

    return {
        pk: rules.covered(
            card_minutes=minutes(pk, Unit.CARD_HOUR),
            cpu_minutes=minutes(pk, Unit.CORE_HOUR),
            jobs=jobs.get(pk, []),
        )
        for pk in ids
    }
