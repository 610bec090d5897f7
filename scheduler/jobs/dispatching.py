"""Bring jobs to their cluster: the effect of a submission happens exactly once.

Protocol: the intent is committed before a byte is sent; the job is placed *held* under its marker; its reference is
committed; then it is released. A lost answer leaves a held job that costs nothing; what became of it is found out by
``resolving.py``. Every question and answer is kept (``evidence.py``). Nothing here runs inside a transaction while it
talks.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from portal.kernel.errors import PortalError, Rejected
from scheduler.jobfiles import staging
from scheduler.jobs import access, alerts, arraytasks, breaker, dependencies, evidence, guards, ports, rules, services
from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job
from vouchers.charges import services as charges

logger = structlog.get_logger("jobs")

AWAY = "cluster_away"
"""Why a job waits whose cluster does not answer."""

Answer = ports.Accepted | ports.RejectedBy | ports.NotSent | ports.Unknown


def spec_of(job: Job, *, now: datetime) -> ports.Spec:
    """Return what the cluster is asked to run.

    Its account and user are the enterprise's own on the cluster, which is told first what they need (``guards.identity``).
    """
    cluster = job.partition.cluster
    account, user = guards.identity(cluster, job.organisation_id, ready_at=now)
    return ports.Spec(
        script=job.script,
        partition=job.partition.name,
        cpus=job.cpus,
        memory_mb=job.memory_mb,
        cards=job.cards,
        card_type=job.partition.card_type if job.cards else "",
        time_limit_s=job.time_limit_s,
        account=account,
        user=user,
        environment=job.environment,
        array=arraytasks.remaining(job),
        after=dependencies.after_of(job),
        requeue=job.requeue,
    )


@transaction.atomic
def _begin(job_id: int, now: datetime) -> tuple[Job, evidence.Asking] | None:
    """Commit the intent and the question. None where there is nothing to send (any more)."""
    job = services.lock(job_id)
    if job.state != rules.JobState.PENDING.value:
        return None
    if job.cancel_asked_at is not None:
        services.withdraw(job, actor=services.SYSTEM, now=now)
        return None
    services.move(job, rules.JobAction.SEND)
    job.attempts += 1
    job.attempted_at = now
    job.save(update_fields=["state", "attempts", "attempted_at"])
    asked_of = {"cluster": job.partition.cluster.code, "marker": job.marker, "attempt": job.attempts}
    return job, evidence.ask(job, evidence.Op.SUBMIT, now=now, **asked_of)


def dispatch(*, job_id: int, now: datetime) -> None:
    """Send a pending job and release it. Safe to call any number of times, by any number of workers."""
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    if job.state != rules.JobState.PENDING.value or dependencies.holds_back(job, now=now):
        return
    if job.cancel_asked_at is None and breaker.is_shut(job.partition.cluster_id):
        Job.objects.filter(pk=job_id, state=rules.JobState.PENDING.value).update(reason=AWAY)
        return
    begun = _begin(job_id, now)
    if begun is None:
        return
    job, asking = begun
    cluster = access.connect(job.partition.cluster)
    answer: Answer = cluster.submit(spec_of(job, now=now), marker=job.marker, first=job.attempts == 1)
    asking.answer(answer)
    if _conclude(job, answer, now):
        job = Job.objects.select_related("partition__cluster").get(pk=job_id)
        release(job, cluster, now)
    elif isinstance(answer, ports.Accepted):
        _give_up_late(job_id, answer.ref, cluster, now)


@transaction.atomic
def _conclude(sent: Job, answer: Answer, now: datetime) -> bool:
    """Write down the outcome of this attempt; say whether the job is placed now.

    Whoever was declared lost meanwhile may still speak for its own attempt, never for a later one.
    """
    job = services.lock(sent.pk)
    state = rules.JobState(job.state)
    if job.attempts != sent.attempts or state not in {rules.JobState.SUBMITTING, rules.JobState.UNKNOWN}:
        return False
    before = job.reason
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
            job.reason = AWAY
            job.attempts -= 1  # nothing arrived: the same attempt is made again
            logger.warning("job.not_sent", job=job.number, detail=detail)
        case ports.Unknown(detail=detail):
            if state is rules.JobState.SUBMITTING:
                services.move(job, rules.JobAction.LOSE_ANSWER)
            logger.warning("job.unknown", job=job.number, detail=detail)
    job.save()
    if not (isinstance(answer, ports.NotSent) and before == AWAY):
        services.record(job, action=f"job.{job.state}", actor=services.SYSTEM, now=now, attempt=sent.attempts)
    return job.state == rules.JobState.PLACED.value


def adopt(job: Job, ref: ports.Ref) -> None:
    """Write down which job on the cluster this one is."""
    services.move(job, rules.JobAction.PLACE)
    job.cluster_job_id = ref.job_id
    job.cluster_submitted_at = ref.submitted_at
    job.cluster_data = dict(ref.data)
    job.reason = ""


def _give_up_late(job_id: int, ref: ports.Ref, cluster: ports.Cluster, now: datetime) -> None:
    """Cancel what an attempt placed after it was given up, unless it is the very job that was adopted since.

    While the job has no reference yet, the later attempt's own search under the marker finds this one.
    """
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    over = rules.JobState(job.state) in rules.FINAL
    if ref.job_id == job.cluster_job_id or not (job.cluster_job_id or over):
        return
    alerts.sound(job, JobAlert.Kind.DUPLICATE, now=now, detail=ref.job_id)
    asking = evidence.ask(job, evidence.Op.CANCEL, now=now, cluster_job_id=ref.job_id)
    try:
        cluster.cancel(ref, user=guards.user_of(job))
    except PortalError as error:
        asking.answered(evidence.Verdict.FAILED, detail=str(error))
    else:
        asking.answered(evidence.Verdict.DONE, refs=[ref.job_id])


def release(job: Job, cluster: ports.Cluster, now: datetime) -> None:
    """Let a placed job start, or take it back when the user cancelled meanwhile."""
    user, ref = guards.user_of(job), access.ref_of(job)
    op = evidence.Op.RELEASE if job.cancel_asked_at is None else evidence.Op.CANCEL
    asking = evidence.ask(job, op, now=now, cluster_job_id=ref.job_id)
    try:
        if job.cancel_asked_at is not None:
            cluster.cancel(ref, user=user)
        else:
            staging.stage(job_id=job.pk, marker=job.marker, user=user, cluster=cluster, now=now)
            cluster.release(ref, user=user)
    except Rejected as error:
        asking.answered(evidence.Verdict.REJECTED, detail=str(error))
        _take_back(job, cluster, detail=str(error), now=now)
    except PortalError as error:
        asking.answered(evidence.Verdict.FAILED, detail=str(error))
        logger.warning("job.release_failed", job=job.number, error=str(error))
    else:
        asking.answered(evidence.Verdict.DONE, refs=[ref.job_id])
        if op is evidence.Op.RELEASE:
            Job.objects.filter(pk=job.pk).update(released_at=now)


def _take_back(job: Job, cluster: ports.Cluster, *, detail: str, now: datetime) -> None:
    """Give up a placed job that the cluster will not start as paid for: cancel it there, release its money here."""
    try:
        cluster.cancel(access.ref_of(job), user=guards.user_of(job))
    except PortalError as error:
        logger.warning("job.cancel_failed", job=job.number, error=str(error))
        return
    with transaction.atomic():
        locked = services.lock(job.pk)
        if locked.state != rules.JobState.PLACED.value or locked.cancel_asked_at is not None:
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
        cluster.cancel(access.ref_of(job), user=guards.user_of(job))
    except PortalError as error:
        logger.warning("job.cancel_failed", job=job.number, error=str(error))
        return None
    return cluster
