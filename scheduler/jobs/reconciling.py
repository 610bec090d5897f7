"""Keep the portal and its clusters in step: one poller per cluster decides what each open job needs next."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import connection

from portal.kernel.errors import PortalError
from scheduler.jobs import (
    access,
    arraytasks,
    dependencies,
    dispatching,
    ports,
    resolving,
    rules,
    secretcopies,
    services,
)
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster

logger = structlog.get_logger("jobs")

RETRY_AFTER = timedelta(seconds=15)
WAITING = timedelta(hours=1)
POLLER_LOCK = 75
MOST_JOBS = 2000
BUDGET_S = 60.0
"""How long one round may take before the next begins with a fresh look: what waits goes on where it was left."""


def observe(jobs: list[Job], cluster: ports.Cluster, *, now: datetime) -> None:
    """Ask the cluster about jobs and write down what it says. An unavailable cluster changes nothing."""
    try:
        seen = cluster.observe([access.ref_of(job) for job in jobs])
    except PortalError as error:
        logger.warning("jobs.not_observed", error=str(error))
        return
    for job, observation in zip(jobs, seen, strict=True):
        services.apply(job_id=job.pk, seen=observation, now=now)


def reconcile(*, cluster_id: int, now: datetime) -> None:
    """Bring one cluster and the portal into step. One poller per cluster at a time: others return at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [POLLER_LOCK, cluster_id])
        (mine,) = cursor.fetchone()
        if not mine:
            return
        try:
            _reconcile(Cluster.objects.get(pk=cluster_id), now=now)
            secretcopies.remove(cluster_id=cluster_id, now=now)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [POLLER_LOCK, cluster_id])


def _reconcile(row: Cluster, *, now: datetime) -> None:
    open_jobs = list(
        Job.objects.filter(partition__cluster=row, settled_at__isnull=True)
        .select_related("partition__cluster")
        .order_by("pk")[:MOST_JOBS]
    )
    if not open_jobs:
        return
    cluster = access.connect(row)
    for job_id in dependencies.hopeless(open_jobs):
        dependencies.cancel_hopeless(job_id=job_id, now=now)
    placed = [job for job in open_jobs if rules.JobState(job.state) in rules.ON_CLUSTER or _waits(job, now=now)]
    if placed:
        observe(placed, cluster, now=now)
    for job_id in arraytasks.with_wishes(placed):
        arraytasks.pass_on(job_id=job_id, now=now)
    until = time.monotonic() + BUDGET_S
    for job in open_jobs:
        if time.monotonic() > until:
            logger.warning("jobs.over_budget", cluster=row.code, open=len(open_jobs))
            return
        _further(job, cluster, now=now)


def _further(job: Job, cluster: ports.Cluster, *, now: datetime) -> None:
    """Do what one open job needs next."""
    state = rules.JobState(job.state)
    if state is rules.JobState.SUBMITTING:
        resolving.declare_stale(job.pk, now)
    elif state is rules.JobState.UNKNOWN:
        resolving.resolve(job_id=job.pk, cluster=cluster, now=now)
    elif state is rules.JobState.PENDING and (not job.attempted_at or now - job.attempted_at > RETRY_AFTER):
        dispatching.dispatch(job_id=job.pk, now=now)
    elif state in rules.ON_CLUSTER and (job.cancel_asked_at is not None or job.released_at is None):
        job.refresh_from_db(fields=["state", "cancel_asked_at", "released_at"])  # it was observed since
        if rules.JobState(job.state) not in rules.ON_CLUSTER:
            return
        if job.cancel_asked_at is not None:
            dispatching.ask_cancel(job_id=job.pk)
        elif job.released_at is None and job.state in {rules.JobState.PLACED.value, rules.JobState.QUEUED.value}:
            dispatching.release(job, cluster, now)


def _waits(job: Job, *, now: datetime) -> bool:
    """Say whether an ended job is asked about until accounting has it; later the sweep of accounting will tell."""
    ended = job.ended_at if rules.JobState(job.state) in rules.FINAL else None
    return bool(job.cluster_job_id) and ended is not None and now - ended < WAITING


def cancel_and_look(*, job_id: int, now: datetime) -> None:
    """Pass a wish to cancel on, of the job or of some of its tasks, then ask at once what came of it."""
    job = Job.objects.only("cancel_asked_at").get(pk=job_id)
    if job.cancel_asked_at is None:
        cluster = arraytasks.pass_on(job_id=job_id, now=now)
    else:
        cluster = dispatching.ask_cancel(job_id=job_id)
    if cluster is not None:
        observe([Job.objects.select_related("partition__cluster").get(pk=job_id)], cluster, now=now)
