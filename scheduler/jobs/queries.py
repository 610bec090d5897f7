"""Read logs and boards of jobs. Their prices are in ``quoting.py``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from portal.kernel.money import Money
from scheduler.jobs import access, ports, rules
from scheduler.jobs.models import Job, JobRun
from scheduler.resources import rules as resource_rules


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a partition is by the portal's own records: jobs on cards, and jobs waiting."""

    running: int = 0
    waiting: int = 0
    cards_in_use: int = 0


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


def cost_of_runs_fen(job: Job, runs: Sequence[JobRun], *, now: datetime) -> int:
    """Return what a job's runs cost at the frozen price so far, each with what it was allocated; without runs, its time."""
    if job.charge is None or job.charge.actual_fen is not None or not runs:
        return cost_so_far_fen(job, now=now)
    unit = resource_rules.Unit(job.charge.quote["unit"])
    total = 0
    for run in runs:
        if run.started_at is None:
            continue
        cards = job.cards if run.cards is None else run.cards
        cpus = job.cpus if run.cpus is None else run.cpus
        elapsed = run.elapsed_s if run.ended_at else max(run.elapsed_s, int((now - run.started_at).total_seconds()))
        total += resource_rules.price(
            unit=unit,
            unit_price=Money(job.charge.quote["unit_price_fen"]),
            duration_s=max(0, elapsed),
            count=cards if unit is resource_rules.Unit.CARD_HOUR else cpus,
        ).amount.fen
    return int(min(total, job.charge.price_fen))
