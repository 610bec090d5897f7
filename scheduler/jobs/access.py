"""Reach jobs (the submitting organisation's only) and the adapters of clusters."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.jobs import breaker, ports
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster

RELATED = ("partition", "partition__cluster", "partition__cluster__owner", "organisation", "submitted_by")
PARTS = "charge__parts__voucher"
COST = ("runs", "further_charges__charge")
"""What ``queries.cost_so_far_fen`` reads."""


def visible_to(actor: Actor) -> QuerySet[Job]:
    """Return the jobs of the actor's organisation. Raises Forbidden without the permission."""
    actor.require(Permission.JOB_SUBMIT)
    own = Job.objects.filter(organisation_id=actor.acting_for)
    return own.select_related(*RELATED, "charge", "charge__voucher")


def get_job(actor: Actor, number: str) -> Job:
    """Return a job of the actor's organisation. Raises NotFound, Forbidden."""
    job = visible_to(actor).filter(number=number).prefetch_related(PARTS, *COST).first()
    if job is None:
        raise NotFound
    return job


def on_cluster(actor: Actor, cluster: Cluster) -> QuerySet[Job]:
    """Return the jobs on a cluster its operator may see: never ask this for titles or scripts, they are deferred."""
    actor.require(Permission.CLUSTER_READ)
    return (
        Job.objects.filter(partition__cluster=cluster, partition__cluster__owner_id=actor.organisation_id)
        .defer("title", "script")
        .select_related("partition", "organisation")
    )


def get_on_cluster(actor: Actor, cluster: Cluster, number: str) -> Job:
    """Return a job on a cluster its operator may see, title and script deferred. Raises NotFound, Forbidden."""
    job = on_cluster(actor, cluster).filter(number=number).first()
    if job is None:
        raise NotFound
    return job


def connect(cluster: Cluster) -> ports.Cluster:
    """Return the adapter that answers for `cluster`, as settings name it, behind the cluster's circuit breaker."""
    adapter: type[ports.Cluster] = import_string(settings.CLUSTER_ADAPTERS[cluster.adapter])
    return breaker.guarded(cluster.pk, adapter(cluster.config))


def ref_of(job: Job) -> ports.Ref:
    """Return the cluster's identity of a placed job."""
    assert job.cluster_submitted_at is not None
    return ports.Ref(
        job_id=job.cluster_job_id,
        submitted_at=job.cluster_submitted_at,
        marker=job.marker,
        data=job.cluster_data,
    )
