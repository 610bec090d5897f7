"""Say once that something about a job needs a person, and say when it no longer does."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db.models import QuerySet

from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job

__all__ = ["clear", "open_of", "sound"]

logger = structlog.get_logger("jobs")


def sound(job: Job, kind: JobAlert.Kind, *, now: datetime, detail: str = "") -> None:
    """Raise an alert; while one of the kind is open for the job, nothing happens."""
    _row, is_new = JobAlert.objects.get_or_create(
        job=job, kind=kind, cleared_at=None, defaults={"detail": detail[:500], "raised_at": now}
    )
    if is_new:
        logger.error("job.alert", job=job.number, kind=kind.value, detail=detail)


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
