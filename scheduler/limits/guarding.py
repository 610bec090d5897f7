"""Refuse a job that would run as the same POSIX user as another enterprise's; answers ``scheduler.jobs.guards.Guard``.

Who shares a user shares its files: scripts, inputs, secrets and output of the one lie open to the jobs of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from portal.kernel.errors import Reason, noop
from scheduler.jobs.guards import Asked, identity
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster

__all__ = ["BY_POSIX_USER", "refusals", "user_is_shared"]

_ = noop

BY_POSIX_USER: Final = frozenset({"slurm"})
"""Adapters whose jobs run as the account's POSIX user; the local runner gives every job a user of its own."""


def refusals(asked: Asked, *, lock: bool, now: datetime) -> Sequence[Reason]:  # noqa: ARG001 - the port's
    """Return the ground, if there is one. With `lock`, first jobs of two enterprises are judged one after the other."""
    cluster = asked.partition.cluster
    if cluster.adapter not in BY_POSIX_USER or cluster.config.get("shared_user") is True:
        return ()
    if lock:
        Cluster.objects.select_for_update(no_key=True).order_by("pk").get(pk=cluster.pk)
    if not user_is_shared(cluster, asked.organisation_id):
        return ()
    return (
        Reason(
            "job.shared_user",
            _("贵单位在该集群上还没有自己的用户，作业文件会被其他单位看到。"),
            _("请联系集群运行单位为贵单位开立账户，或选择其他集群。"),
            field="partition",
        ),
    )


def user_is_shared(cluster: Cluster, organisation_id: int) -> bool:
    """Say whether another enterprise's jobs run, or have run, as the user this one's would."""
    user = identity(cluster, organisation_id)[1]
    others = cluster.accounts.exclude(organisation_id=organisation_id)
    if others.filter(posix_user=user).exists():
        return True
    if user != cluster.posix_user:
        return False
    elsewhere = others.exclude(posix_user=user).values("organisation_id")
    strangers = Job.objects.filter(partition__cluster=cluster).exclude(organisation_id=organisation_id)
    return strangers.exclude(organisation_id__in=elsewhere).exists()
