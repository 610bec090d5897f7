"""Remove the copies of secrets from a cluster as soon as their job has ended; what does not answer is asked again."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from portal.kernel.errors import PortalError
from scheduler.jobfiles.models import JobFile
from scheduler.jobs import access, guards, rules, services

__all__ = ["remove"]

logger = structlog.get_logger("jobs")
MOST = 200
ASKED_FOR = timedelta(days=60)
"""How long after its submission a job's copies are asked for: by then its cluster has swept its directory."""


def remove(*, cluster_id: int, now: datetime) -> int:
    """Remove every secret of an ended job that is still in its directory on a cluster; return how many. Safe to repeat.

    A file that is not there any more is removed too. Each removal is in the job's record. Not to be called in a transaction.
    """
    left = JobFile.objects.filter(
        secret__isnull=False,
        staged_at__isnull=False,
        removed_at__isnull=True,
        job__partition__cluster_id=cluster_id,
        job__state__in=[state.value for state in rules.FINAL],
        job__cluster_submitted_at__isnull=False,
        job__created_at__gte=now - ASKED_FOR,
    ).select_related("job__partition__cluster")
    done = 0
    for file in left.order_by("pk")[:MOST]:
        job = file.job
        try:
            access.connect(job.partition.cluster).remove_file(
                access.ref_of(job), user=guards.user_of(job), path=file.path
            )
        except PortalError as error:
            logger.warning("job.secret_copy_left", job=job.number, path=file.path, error=str(error))
            continue
        with transaction.atomic():
            if JobFile.objects.filter(pk=file.pk, removed_at__isnull=True).update(removed_at=now):
                services.record(job, action="job.secret_removed", actor=rules.SYSTEM, now=now, path=file.path)
                logger.info("job.secret_removed", job=job.number, path=file.path)
                done += 1
    return done
