"""Reach what belongs to a cluster's operator."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from scheduler.clusters.models import Incident, KeyRotation, OrphanJob
from scheduler.jobs.models import Job
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster


def get_incident(actor: Actor, code: str, incident_id: int) -> Incident:
    """Return an incident of a cluster the actor runs. Raises NotFound, Forbidden."""
    cluster = resources.get_managed_cluster(actor, code)
    found = Incident.objects.filter(cluster=cluster, pk=incident_id).select_related("cluster").first()
    if found is None:
        raise NotFound
    return found


def orphans_of(actor: Actor, cluster: Cluster) -> QuerySet[OrphanJob]:
    """Return every orphan ever seen on a cluster the actor runs. Raises Forbidden."""
    resources.require_managed(actor, cluster)
    return OrphanJob.objects.filter(cluster=cluster).select_related("cluster", "taken_off_by")


def get_orphan(actor: Actor, code: str, orphan_id: int) -> OrphanJob:
    """Return an orphan on a cluster the actor runs. Raises NotFound, Forbidden."""
    found = orphans_of(actor, resources.get_managed_cluster(actor, code)).filter(pk=orphan_id).first()
    if found is None:
        raise NotFound
    return found


def open_jobs(actor: Actor, cluster: Cluster) -> QuerySet[Job]:
    """Return the jobs of the portal not settled on a cluster the actor runs, without titles and scripts.

    Raises Forbidden.
    """
    resources.require_managed(actor, cluster)
    return (
        Job.objects.filter(partition__cluster=cluster, settled_at__isnull=True)
        .defer("title", "script", "environment")
        .select_related("partition__cluster", "organisation")
    )


def get_open_job(actor: Actor, code: str, number: str) -> Job:
    """Return an unsettled job on a cluster the actor runs. Raises NotFound, Forbidden."""
    found = open_jobs(actor, resources.get_managed_cluster(actor, code)).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def rotation_of(actor: Actor, cluster: Cluster) -> KeyRotation | None:
    """Return the exchange of keys going on, or None. Raises Forbidden."""
    resources.require_managed(actor, cluster)
    return KeyRotation.objects.filter(cluster=cluster, finished_at__isnull=True).first()
