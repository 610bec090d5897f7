"""Bring jobs to their cluster and keep both in step: the effect of a submission happens exactly once.

Protocol: the intent is committed before a byte is sent; the job is placed *held* under its marker; its reference is
committed; then it is released. A lost answer leaves a held job that costs nothing, and is resolved only by proof: found
under the marker → adopted, proven absent → sent again. Nothing here runs inside a transaction while it talks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction

from portal.kernel.errors import PortalError, Rejected
from scheduler.jobs import access, ports, rules, services
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster
from vouchers.charges import services as charges

logger = structlog.get_logger("jobs")

STALE = timedelta(minutes=2)
"""A submission without an outcome after this long lost its worker."""
SETTLE_DOWN = timedelta(seconds=30)
"""How long after an attempt absence can first be proven: the server may still be delivering the request."""
RETRY_AFTER = timedelta(seconds=15)
POLLER_LOCK = 72


def spec_of(job: Job) -> ports.Spec:
    """Return what the cluster is asked to run.

    The account is the enterprise's own, ``e-<organisation id>``, unless the operator's configuration names one
    ``account`` for all of the portal's jobs.
    """
    cluster = job.partition.cluster
    return ports.Spec(
        script=job.script,
        partition=job.partition.name,
        cpus=job.cpus,
        memory_mb=job.memory_mb,
        cards=job.cards,
        card_type=job.partition.card_type if job.cards else "",
        time_limit_s=job.time_limit_s,
        account=cluster.config.get("account", f"e-{job.organisation_id}"),
        user=cluster.posix_user,
    )


@transaction.atomic
def _begin(job_id: int, now: datetime) -> Job | None:
    job = services.lock(job_id)
    if job.state != rules.JobState.PENDING.value:
        return None
    services.move(job, rules.JobAction.SEND)
    job.attempts += 1
    job.attempted_at = now
    job.save(update_fields=["state", "attempts", "attempted_at"])
    return job


@transaction.atomic
def _conclude(
    job_id: int, answer: ports.Accepted | ports.RejectedBy | ports.NotSent | ports.Unknown, now: datetime
) -> Job:
    job = services.lock(job_id)
    match answer:
        case ports.Accepted(ref=ref):
            _adopt(job, ref)
        case ports.RejectedBy(code=code, detail=detail):
            services.move(job, rules.JobAction.REFUSE)
            job.reason = code
            job.settled_at = now
            charges.release(charge_id=services.charge_of(job), reason="rejected", actor=services.SYSTEM, now=now)
            logger.warning("job.rejected", job=job.number, code=code, detail=detail)
        case ports.NotSent(detail=detail):
            services.move(job, rules.JobAction.RETRY)
            job.reason = "cluster_away"
            logger.warning("job.not_sent", job=job.number, detail=detail)
        case ports.Unknown(detail=detail):
            services.move(job, rules.JobAction.LOSE_ANSWER)
            logger.warning("job.unknown", job=job.number, detail=detail)
    job.save()
    services.record(job, action=f"job.{job.state}", actor=services.SYSTEM, now=now, attempt=job.attempts)
    return job


def _adopt(job: Job, ref: ports.Ref) -> None:
    services.move(job, rules.JobAction.PLACE)
    job.cluster_job_id = ref.job_id
    job.cluster_submitted_at = ref.submitted_at
    job.cluster_data = dict(ref.data)
    job.reason = ""


def dispatch(*, job_id: int, now: datetime) -> None:
    """Send a pending job and release it. Safe to call any number of times, by any number of workers."""
    job = _begin(job_id, now)
    if job is None:
        return
    cluster = access.connect(job.partition.cluster)
    job = _conclude(job_id, cluster.submit(spec_of(job), marker=job.marker), now)
    if job.state == rules.JobState.PLACED.value:
        _release(job, cluster, now)


def _release(job: Job, cluster: ports.Cluster, now: datetime) -> None:
    """Let a placed job start, or take it back when the user cancelled meanwhile."""
    user = job.partition.cluster.posix_user
    try:
        if job.cancel_asked_at is not None:
            cluster.cancel(access.ref_of(job), user=user)
            return
        cluster.release(access.ref_of(job), user=user)
    except Rejected as error:
        _take_back(job, cluster, detail=str(error), now=now)
        return
    except PortalError as error:
        logger.warning("job.release_failed", job=job.number, error=str(error))
        return
    Job.objects.filter(pk=job.pk).update(released_at=now)


def _take_back(job: Job, cluster: ports.Cluster, *, detail: str, now: datetime) -> None:
    """Give up a placed job that the cluster will not start as paid for: cancel it there, release its money here."""
    try:
        cluster.cancel(access.ref_of(job), user=job.partition.cluster.posix_user)
    except PortalError as error:
        logger.warning("job.cancel_failed", job=job.number, error=str(error))
        return
    with transaction.atomic():
        locked = services.lock(job.pk)
        if locked.state != rules.JobState.PLACED.value:
            return
        services.move(locked, rules.JobAction.REFUSE)
        locked.reason = "resources"
        locked.settled_at = now
        locked.save()
        charges.release(charge_id=services.charge_of(locked), reason="rejected", actor=services.SYSTEM, now=now)
        services.record(locked, action="job.rejected", actor=services.SYSTEM, now=now, detail=detail[:200])


def ask_cancel(*, job_id: int, now: datetime) -> None:
    """Pass a wish to cancel on to the cluster; the state follows from what the cluster then reports."""
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    if rules.JobState(job.state) not in rules.ON_CLUSTER:
        return
    cluster = access.connect(job.partition.cluster)
    try:
        cluster.cancel(access.ref_of(job), user=job.partition.cluster.posix_user)
    except PortalError as error:
        logger.warning("job.cancel_failed", job=job.number, error=str(error))
        return
    observe([job], cluster, now=now)


def observe(jobs: list[Job], cluster: ports.Cluster, *, now: datetime) -> None:
    """Ask the cluster about jobs and write down what it says. An unavailable cluster changes nothing."""
    try:
        seen = cluster.observe([access.ref_of(job) for job in jobs])
    except PortalError as error:
        logger.warning("jobs.not_observed", error=str(error))
        return
    for job, observation in zip(jobs, seen, strict=True):
        services.apply(job_id=job.pk, seen=observation, now=now)


def resolve(*, job_id: int, cluster: ports.Cluster, now: datetime) -> None:
    """Find out what became of a submission whose answer was lost. Only proof decides; doubt changes nothing."""
    job = Job.objects.get(pk=job_id)
    if job.attempted_at is None or now - job.attempted_at < SETTLE_DOWN:
        return
    found = cluster.find(marker=job.marker, since=job.attempted_at - timedelta(minutes=10))
    if isinstance(found, ports.CannotTell):
        logger.error("job.unresolved", job=job.number, detail=found.detail)
        return
    with transaction.atomic():
        job = services.lock(job_id)
        if job.state != rules.JobState.UNKNOWN.value:
            return
        if isinstance(found, ports.Absent):
            services.move(job, rules.JobAction.RETRY)
        else:
            _adopt(job, found.refs[0])
        job.save()
        services.record(job, action=f"job.resolved_{job.state}", actor=services.SYSTEM, now=now)
    if isinstance(found, ports.Found):
        for extra in found.refs[1:]:
            cluster.cancel(extra, user=job.partition.cluster.posix_user)


@transaction.atomic
def _declare_stale(job_id: int, now: datetime) -> None:
    job = services.lock(job_id)
    if job.state == rules.JobState.SUBMITTING.value and job.attempted_at and now - job.attempted_at > STALE:
        services.move(job, rules.JobAction.LOSE_ANSWER)
        job.save(update_fields=["state"])
        services.record(job, action="job.unknown", actor=services.SYSTEM, now=now, cause="worker lost")


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
            _declare_stale(job.pk, now)
        elif state is rules.JobState.UNKNOWN:
            resolve(job_id=job.pk, cluster=cluster, now=now)
        elif state is rules.JobState.PENDING and (not job.attempted_at or now - job.attempted_at > RETRY_AFTER):
            dispatch(job_id=job.pk, now=now)
        elif state is rules.JobState.PLACED and job.released_at is None:
            _release(job, cluster, now)
        elif job.cancel_asked_at is not None and state in rules.ON_CLUSTER:
            ask_cancel(job_id=job.pk, now=now)
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
