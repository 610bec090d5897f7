"""Close jobs by what comes late: accounting's rows, the end of waiting for them, a ruling on a run without a price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from scheduler.jobs import ports, rules, runs, settling
from scheduler.jobs.models import Job, JobRun
from scheduler.jobs.services import lock

__all__ = ["hear", "settle_again", "settle_late"]


def _settle(job: Job, *, now: datetime) -> None:
    states = list(JobRun.objects.filter(job=job).values_list("confirmed", flat=True))
    settling.settle(job, confirmed=bool(states) and all(states), now=now)
    job.save(update_fields=["settled_at", "settlement", "written_off_fen"])


def _is_open(job: Job) -> bool:
    """Say whether a job's money may still change: it ended on a cluster and is not settled for good."""
    over = rules.JobState(job.state) in rules.FINAL and job.charge_id is not None
    waits = job.settled_at is None or job.settlement == rules.Settlement.PROVISIONAL.value
    return over and waits


@transaction.atomic
def hear(*, job_id: int, told: Sequence[ports.Run], now: datetime) -> Job:
    """Write down the runs accounting has of a job, and settle or adjust it when they are all closed. Safe to repeat."""
    job = lock(job_id)
    if job.settled_at is not None and job.settlement != rules.Settlement.PROVISIONAL.value:
        return job
    runs.write(job, runs=told, as_of=now)
    if _is_open(job):
        _settle(job, now=now)
    return job


@transaction.atomic
def settle_again(*, job_id: int, now: datetime) -> Job:
    """Settle a job whose runs have a price now. Does nothing for one that runs or is settled."""
    job = lock(job_id)
    if _is_open(job):
        _settle(job, now=now)
    return job


def settle_late(*, cluster_id: int, now: datetime) -> int:
    """Settle, provisionally, the jobs whose accounting is late; return how many were looked at."""
    late = Job.objects.filter(
        partition__cluster=cluster_id,
        settled_at__isnull=True,
        state__in=[state.value for state in rules.FINAL],
        ended_at__lte=now - settling.LATE,
    )
    ids = list(late.order_by("pk").values_list("pk", flat=True)[:500])
    for pk in ids:
        settle_again(job_id=pk, now=now)
    return len(ids)
