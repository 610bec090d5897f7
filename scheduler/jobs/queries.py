"""Read logs and boards of jobs. Their prices are in ``quoting.py``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from portal.kernel.money import Money
from scheduler.jobs import access, ports, refunds, rules
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
    """Return what a job has cost so far, over all of its runs and charges: the one figure of page, stream and API.

    While nothing is settled: every run at the frozen price, with what it was allocated, those the cluster broke left out, up to
    what is held. Then: what was taken and not given back. Two queries, none with ``access.COST`` prefetched.
    """
    if job.charge is None:
        return 0
    charges = [job.charge, *(further.charge for further in job.further_charges.all())]
    if job.charge.actual_fen is not None:
        return sum(charge.refundable_fen for charge in charges)
    total = sum(_cost_of_run_fen(job, run, now=now) for run in job.runs.all())
    return min(total, sum(charge.price_fen for charge in charges))


def _cost_of_run_fen(job: Job, run: JobRun, *, now: datetime) -> int:
    assert job.charge is not None
    state, elapsed = rules.JobState(run.state), run.elapsed_s
    if run.started_at is not None and run.ended_at is None and state is not rules.JobState.SUSPENDED:
        elapsed += max(0, int((now - max(run.observed_at, run.started_at)).total_seconds()))
    started = run.started_at is not None
    if refunds.why_not_billed(state=state, raw_state=run.raw_state, started=started, elapsed_s=elapsed):
        return 0
    unit = resource_rules.Unit(job.charge.quote["unit"])
    held, asked = (run.cards, job.cards) if unit is resource_rules.Unit.CARD_HOUR else (run.cpus, job.cpus)
    price = resource_rules.price(
        unit=unit,
        unit_price=Money(job.charge.quote["unit_price_fen"]),
        duration_s=elapsed,
        count=asked if held is None else held,
    )
    return price.amount.fen
