"""Bring jobs to their cluster and keep both in step: the effect of a submission happens exactly once.

Protocol: the intent is committed before a byte is sent; the job is placed *held* under its marker; its reference is
committed; then it is released. A lost answer leaves a held job that costs nothing; what became of it is found out by
``resolving.py``. Nothing here runs inside a transaction while it talks.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from portal.kernel.errors import PortalError, Rejected
from scheduler.jobs import access, ports, rules, services
from scheduler.jobs.models import Job
from vouchers.charges import services as charges

logger = structlog.get_logger("jobs")


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
            adopt(job, ref)
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


def adopt(job: Job, ref: ports.Ref) -> None:
    """Write down which job on the cluster this one is."""
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
        release(job, cluster, now)


def release(job: Job, cluster: ports.Cluster, now: datetime) -> None:
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


def ask_cancel(*, job_id: int) -> ports.Cluster | None:
    """Pass a wish to cancel on to the cluster, and return it if it took it; the state follows from what it then reports."""
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    if rules.JobState(job.state) not in rules.ON_CLUSTER:
        return None
    cluster = access.connect(job.partition.cluster)
    try:
        cluster.cancel(access.ref_of(job), user=job.partition.cluster.posix_user)
    except PortalError as error:
        logger.warning("job.cancel_failed", job=job.number, error=str(error))
        return None
    return cluster
