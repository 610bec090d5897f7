"""Reach use and its checks: an enterprise its own, an operator that of its clusters, the department's finance and audit all."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.jobs.models import JobRun
from scheduler.metering.models import JobAudit, QuarantinedRun, UnmanagedRun

__all__ = ["OVERSEERS", "READERS", "audits", "get_quarantined", "quarantined", "runs_of", "unmanaged_of"]

OVERSEERS = (Permission.AUDIT_READ, Permission.LEDGER_READ)
"""Who may read everybody's use: figures, never titles or scripts."""
READERS = (Permission.JOB_SUBMIT, Permission.CLUSTER_READ, *OVERSEERS)


def _whose(actor: Actor, *, organisation: str, cluster: str) -> Q:
    """Return the condition of what `actor` may see. Raises Forbidden."""
    if any(actor.may(permission) for permission in OVERSEERS):
        return Q()
    if actor.may(Permission.CLUSTER_READ):
        return Q(**{f"{cluster}__owner_id": actor.organisation_id})
    if actor.may(Permission.JOB_SUBMIT):
        return Q(**{organisation: actor.acting_for})
    raise Forbidden


def runs_of(actor: Actor) -> QuerySet[JobRun]:
    """Return the runs of jobs whose figures the actor may read. Raises Forbidden."""
    return JobRun.objects.filter(_whose(actor, organisation="job__organisation_id", cluster="job__partition__cluster"))


def unmanaged_of(actor: Actor) -> QuerySet[UnmanagedRun]:
    """Return the runs without the portal that the actor may read. Raises Forbidden."""
    found = UnmanagedRun.objects.filter(_whose(actor, organisation="organisation_id", cluster="cluster"))
    return found.select_related("cluster", "organisation", "partition")


def quarantined(actor: Actor) -> QuerySet[QuarantinedRun]:
    """Return runs that cannot be priced: an operator's of its clusters, an overseer's all. Raises Forbidden."""
    if not any(actor.may(permission) for permission in (Permission.CLUSTER_READ, *OVERSEERS)):
        raise Forbidden
    found = QuarantinedRun.objects.filter(_whose(actor, organisation="pk", cluster="cluster"))
    return found.select_related(
        "cluster",
        "run__job__organisation",
        "run__job__partition",
        "unmanaged__organisation",
        "unmanaged__partition",
        "proposed_by",
        "resolved_by",
    ).defer("run__job__title", "run__job__script")


def get_quarantined(actor: Actor, pk: int) -> QuarantinedRun:
    """Return a quarantined run of a cluster the actor's organisation operates. Raises NotFound, Forbidden."""
    actor.require(Permission.CLUSTER_READ)
    found = quarantined(actor).filter(pk=pk, cluster__owner_id=actor.organisation_id).first()
    if found is None:
        raise NotFound
    return found


def audits(actor: Actor) -> QuerySet[JobAudit]:
    """Return the nightly audits. Raises Forbidden for all but overseers."""
    if not any(actor.may(permission) for permission in OVERSEERS):
        raise Forbidden
    return JobAudit.objects.all()
