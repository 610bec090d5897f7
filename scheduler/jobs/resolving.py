"""Find out what became of submissions whose answer was lost. Only proof decides; doubt changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from scheduler.jobs import dispatching, ports, rules, services
from scheduler.jobs.models import Job

logger = structlog.get_logger("jobs")

STALE = timedelta(minutes=2)
"""A submission without an outcome after this long lost its worker."""
SETTLE_DOWN = timedelta(seconds=30)
"""How long after an attempt absence can first be proven: the server may still be delivering the request."""


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
            dispatching.adopt(job, found.refs[0])
        job.save()
        services.record(job, action=f"job.resolved_{job.state}", actor=services.SYSTEM, now=now)
    if isinstance(found, ports.Found):
        for extra in found.refs[1:]:
            cluster.cancel(extra, user=job.partition.cluster.posix_user)


@transaction.atomic
def declare_stale(job_id: int, now: datetime) -> None:
    """Treat a submission whose worker died as one whose answer was lost."""
    job = services.lock(job_id)
    if job.state == rules.JobState.SUBMITTING.value and job.attempted_at and now - job.attempted_at > STALE:
        services.move(job, rules.JobAction.LOSE_ANSWER)
        job.save(update_fields=["state"])
        services.record(job, action="job.unknown", actor=services.SYSTEM, now=now, cause="worker lost")
