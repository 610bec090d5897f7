"""Say once that something about a job needs a person, and say when it no longer does."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db.models import QuerySet

from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job
from scheduler.messages import alarms
from scheduler.messages.rules import MessageKind

__all__ = ["clear", "open_of", "sound"]

logger = structlog.get_logger("jobs")


def sound(job: Job, kind: JobAlert.Kind, *, now: datetime, detail: str = "") -> None:
    """Raise an alert; while one of the kind is open for the job, nothing happens.

    The first job of a cluster whose fate stays unknown is told to its operators, by message; further ones with it are not.
    """
    row, is_new = JobAlert.objects.get_or_create(
        job=job, kind=kind, cleared_at=None, defaults={"detail": detail[:500], "raised_at": now}
    )
    if not is_new:
        return
    logger.error("job.alert", job=job.number, kind=kind.value, detail=detail)
    cluster = job.partition.cluster
    if kind is JobAlert.Kind.UNRESOLVED and not _others(row, cluster.pk).exists():
        alarms.tell_operators(
            cluster=cluster, kind=MessageKind.JOB_UNRESOLVED, key=str(row.pk), params={"job": job.number}, now=now
        )


def _others(row: JobAlert, cluster_id: int) -> QuerySet[JobAlert]:
    same = JobAlert.objects.filter(job__partition__cluster_id=cluster_id, kind=row.kind, cleared_at=None)
    return same.exclude(pk=row.pk)


def clear(job: Job, *kinds: JobAlert.Kind, now: datetime) -> None:
    """Close the job's open alerts of `kinds`. Idempotent."""
    JobAlert.objects.filter(job=job, kind__in=kinds, cleared_at=None).update(cleared_at=now)


def open_of(cluster_id: int) -> QuerySet[JobAlert]:
    """Return a cluster's open alerts, newest first. Never ask the jobs for title or script: they are deferred."""
    return (
        JobAlert.objects.filter(job__partition__cluster_id=cluster_id, cleared_at=None)
        .select_related("job__partition", "job__organisation")
        .defer("job__title", "job__script")
    )
