"""Find out what became of submissions whose answer was lost. Only proof decides; doubt changes nothing.

Found under the marker → adopted; several → the oldest is kept, the others cancelled, and a person told. Absence is
believed when two clean answers at least 30 s apart say so, the first not before the server has surely given up on the
request. Whoever cannot tell never sends again: after a quarter of an hour a person is told (compute.md §3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from portal.kernel.errors import PortalError
from scheduler.jobs import alerts, dispatching, evidence, guards, ports, rules, services
from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job
from vouchers.charges import services as charges

logger = structlog.get_logger("jobs")

STALE = timedelta(minutes=5)
"""A submission without an outcome after this long lost its worker: longer than every deadline of one attempt together."""
SETTLE_DOWN_S = 30
"""How long after an attempt absence can first be proven: the server may still be delivering the request."""
ALARM_AFTER = timedelta(minutes=15)
"""A person is told by then, at most one pause earlier."""
MOST_ATTEMPTS = 5
EAGER = timedelta(seconds=5)
PATIENT = timedelta(seconds=20)
PATIENT_AFTER = timedelta(minutes=5)


def _settle_down(job: Job) -> timedelta:
    """Return how long to wait after an attempt: twice the scheduler's own message timeout, at least 30 s."""
    timeout = job.partition.cluster.config.get("message_timeout_s", 10)
    return timedelta(seconds=max(2 * int(timeout), SETTLE_DOWN_S))


def _is_due(job: Job, *, now: datetime) -> bool:
    """Say whether to ask about an unclear job now: after the settling time, every few seconds, later less often."""
    if job.attempted_at is None or now - job.attempted_at < _settle_down(job):
        return False
    last = evidence.last_asked(job, evidence.Op.FIND)
    pause = EAGER if now - job.attempted_at < PATIENT_AFTER else PATIENT
    return last is None or now - last >= pause


def resolve(*, job_id: int, cluster: ports.Cluster, now: datetime) -> None:
    """Ask what became of a submission and act on proof. Safe to call from several workers at once."""
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    if job.state != rules.JobState.UNKNOWN.value or not _is_due(job, now=now):
        return
    assert job.attempted_at is not None
    since = job.attempted_at - timedelta(minutes=10)
    asking = evidence.ask(job, evidence.Op.FIND, now=now, marker=job.marker, since=since.isoformat())
    found = cluster.find(marker=job.marker, since=since)
    row = asking.answer(found)
    match found:
        case ports.CannotTell(detail=detail):
            if now - job.attempted_at >= ALARM_AFTER - PATIENT:  # the next answer would come too late
                alerts.sound(job, JobAlert.Kind.UNRESOLVED, now=now, detail=detail)
        case ports.Found(refs=refs):
            keep = min(refs, key=_age)
            if _cancel_others(job, [ref for ref in refs if ref is not keep], cluster, now=now):
                _conclude(job, keep=keep, now=now)
        case ports.Absent():
            logger.info("job.absent", job=job.number, times=row.times)
            if evidence.proves_absence(job, asked_at=now):
                _conclude(job, keep=None, now=now)


def _age(ref: ports.Ref) -> tuple[datetime, int, str]:
    return ref.submitted_at, int(ref.job_id) if ref.job_id.isdecimal() else 0, ref.job_id


def _cancel_others(job: Job, others: Sequence[ports.Ref], cluster: ports.Cluster, *, now: datetime) -> bool:
    """Cancel what must not run beside the one that is kept; say whether all of it is gone. They are held: none runs."""
    if others:
        alerts.sound(job, JobAlert.Kind.DUPLICATE, now=now, detail=", ".join(ref.job_id for ref in others))
    for ref in others:
        asking = evidence.ask(job, evidence.Op.CANCEL, now=now, cluster_job_id=ref.job_id)
        try:
            cluster.cancel(ref, user=guards.user_of(job))
        except PortalError as error:
            asking.answered(evidence.Verdict.FAILED, detail=str(error))
            return False
        asking.answered(evidence.Verdict.DONE, refs=[ref.job_id])
    return True


@transaction.atomic
def _conclude(asked: Job, *, keep: ports.Ref | None, now: datetime) -> None:
    """Adopt the job found, or send again what is proven absent. An answer about an earlier attempt decides nothing."""
    job = services.lock(asked.pk)
    if job.state != rules.JobState.UNKNOWN.value or job.attempts != asked.attempts:
        return
    if keep is not None:
        dispatching.adopt(job, keep)
    elif job.cancel_asked_at is not None:
        services.withdraw(job, actor=services.SYSTEM, now=now)
    elif job.attempts < MOST_ATTEMPTS:
        services.move(job, rules.JobAction.RETRY)
    else:
        services.move(job, rules.JobAction.REFUSE)
        job.reason, job.settled_at = "attempts", now
        charges.release(charge_id=services.charge_of(job), reason="rejected", actor=services.SYSTEM, now=now)
    job.save()
    alerts.clear(job, JobAlert.Kind.UNRESOLVED, now=now)
    services.record(job, action=f"job.resolved_{job.state}", actor=services.SYSTEM, now=now, attempt=job.attempts)


@transaction.atomic
def declare_stale(job_id: int, now: datetime) -> None:
    """Treat a submission whose worker died as one whose answer was lost."""
    job = services.lock(job_id)
    if job.state == rules.JobState.SUBMITTING.value and job.attempted_at and now - job.attempted_at > STALE:
        services.move(job, rules.JobAction.LOSE_ANSWER)
        job.save(update_fields=["state"])
        services.record(job, action="job.unknown", actor=services.SYSTEM, now=now, cause="worker lost")
