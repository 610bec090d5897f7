"""Keep the portal and its clusters in step: one poller per cluster decides what each open job needs next."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import connection

from portal.kernel.errors import PortalError
from scheduler.jobs import access, dispatching, ports, resolving, rules, services
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster

logger = structlog.get_logger("jobs")

RETRY_AFTER = timedelta(seconds=15)
POLLER_LOCK = 72


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
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [POLLER_LOCK, cluster_id])


def _reconcile(row: Cluster, *, now: datetime) -> None:
    open_jobs = list(
        Job.objects.filter(partition__cluster=row, settled_at__isnull=True)
        .select_related("partition__cluster")
        .order_by("pk")[:500]
    )
    if not open_jobs:
        return
    cluster = access.connect(row)
    for job in open_jobs:
        state = rules.JobState(job.state)
        if state is rules.JobState.SUBMITTING:
            resolving.declare_stale(job.pk, now)
        elif state is rules.JobState.UNKNOWN:
            resolving.resolve(job_id=job.pk, cluster=cluster, now=now)
        elif state is rules.JobState.PENDING and (not job.attempted_at or now - job.attempted_at > RETRY_AFTER):
            dispatching.dispatch(job_id=job.pk, now=now)
        elif state is rules.JobState.PLACED and job.released_at is None:
            dispatching.release(job, cluster, now)
        elif job.cancel_asked_at is not None and state in rules.ON_CLUSTER:
            dispatching.ask_cancel(job_id=job.pk)
    placed = [job for job in open_jobs if rules.JobState(job.state) in rules.ON_CLUSTER]
    if placed:
        observe(placed, cluster, now=now)


def check_health(*, cluster_id: int) -> Cluster:
    """Ask a cluster how it is and keep the answer for every page to read."""
    row = Cluster.objects.get(pk=cluster_id)
    health = access.connect(row).health()
    row.health_ok = health.ok
    row.health_detail = health.detail[:200]
    row.health_at = health.as_of
    row.version = health.version[:60]
    row.save(update_fields=["health_ok", "health_detail", "health_at", "version"])
    return row


def cancel_and_look(*, job_id: int, now: datetime) -> None:
    """Pass a wish to cancel on, then ask at once what came of it."""
    cluster = dispatching.ask_cancel(job_id=job_id)
    if cluster is not None:
        observe([Job.objects.select_related("partition__cluster").get(pk=job_id)], cluster, now=now)
