"""Which jobs a job waits for: whether they are kept to, not yet to be told the cluster, or can never hold any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from scheduler.jobs import access, ports, rules, services
from scheduler.jobs.models import Job, JobDependency

__all__ = ["after_of", "cancel_hopeless", "holds_back", "hopeless"]

S = rules.JobState


def _links(job: Job) -> Sequence[JobDependency]:
    return list(JobDependency.objects.filter(job=job).select_related("after").order_by("pk"))


def after_of(job: Job) -> list[ports.After]:
    """Return what the cluster must wait for: the jobs it knows. What has ended well already needs no saying."""
    return [
        ports.After(access.ref_of(link.after), link.kind)
        for link in _links(job)
        if link.after.cluster_job_id and rules.can_hold(link.kind, S(link.after.state)) is None
    ]


def holds_back(job: Job, *, now: datetime) -> bool:
    """Say whether a pending job must not be sent yet: one it depends on is not on the cluster, or can never hold.

    In the latter case the job ends cancelled and its money is released.
    """
    links = _links(job)
    standing = [rules.can_hold(link.kind, S(link.after.state)) for link in links]
    if False in standing:
        cancel_hopeless(job_id=job.pk, now=now)
        return True
    return any(holds is None and not link.after.cluster_job_id for link, holds in zip(links, standing, strict=True))


@transaction.atomic
def cancel_hopeless(*, job_id: int, now: datetime) -> None:
    """Cancel a job whose dependency can never hold: at once before it was sent, else through the cluster. Idempotent."""
    job = services.lock(job_id)
    if job.state == S.PENDING.value:
        job.reason = "dependency_never"
        services.withdraw(job, actor=services.SYSTEM, now=now)
    elif S(job.state) in rules.ACTIVE and job.cancel_asked_at is None:
        job.cancel_asked_at, job.reason = now, "dependency_never"
        job.save(update_fields=["cancel_asked_at", "reason"])
        services.record(job, action="job.cancel_asked", actor=services.SYSTEM, now=now, cause="dependency_never")


def hopeless(jobs: Sequence[Job]) -> list[int]:
    """Return the ids of those waiting jobs one of whose dependencies can never hold, in one query."""
    waiting = [job.pk for job in jobs if S(job.state) in rules.ACTIVE - rules.OCCUPYING and job.cancel_asked_at is None]
    links = JobDependency.objects.filter(job_id__in=waiting).values_list("job_id", "kind", "after__state")
    return sorted({job_id for job_id, kind, state in links if rules.can_hold(kind, S(state)) is False})
