"""Reach instruments, clusters and partitions: published ones are public, the rest belongs to their owner."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.resources import entries, rules
from scheduler.resources.models import Cluster, Partition, Resource

PUBLISHED = rules.PublishState.PUBLISHED.value
PROPOSED = rules.PublishState.PROPOSED.value
CATALOGUED = [*(kind.value for kind in entries.CATALOGUED), rules.ResourceKind.BEAMLINE.value]
"""What is found and booked: all a lab enters, and the beamlines a facility sets up."""
OF_FACILITIES = frozenset({rules.ResourceKind.BEAMLINE.value, rules.ResourceKind.DEVICE.value})


def _owned(actor: Actor | None, permission: Permission) -> Q:
    if actor is None or not actor.may(permission):
        return Q(pk__in=[])
    return Q(owner_id=actor.organisation_id)


def instruments_visible_to(actor: Actor | None) -> QuerySet[Resource]:
    """Return published instruments of every catalogued kind; to who manages them the own unpublished ones, to who
    reviews them the proposed ones.
    """
    seen = Q(state=PUBLISHED) | _owned(actor, Permission.INSTRUMENT_MANAGE)
    if actor is not None and actor.may(Permission.INSTRUMENT_ADMIT):
        seen |= Q(state=PROPOSED)
    return Resource.objects.filter(kind__in=CATALOGUED).filter(seen).select_related("owner", "instrument")


def proposed_instruments(actor: Actor) -> QuerySet[Resource]:
    """Return what waits for review. Raises Forbidden."""
    actor.require(Permission.INSTRUMENT_ADMIT)
    return Resource.objects.filter(kind__in=CATALOGUED, state=PROPOSED).select_related("owner", "instrument")


def get_proposed(actor: Actor, number: str) -> Resource:
    """Return an instrument that waits for review. Raises NotFound, Forbidden."""
    resource = proposed_instruments(actor).filter(number=number).first()
    if resource is None:
        raise NotFound
    return resource


def own_instruments(actor: Actor) -> QuerySet[Resource]:
    """Return the instruments the actor manages. Raises Forbidden without the permission."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    return Resource.objects.filter(owner_id=actor.organisation_id, kind__in=CATALOGUED).select_related(
        "owner", "instrument"
    )


def every_instrument(actor: Actor, *permissions: Permission) -> QuerySet[Resource]:
    """Return all that labs entered, drafts too, for whoever holds any of `permissions`. Raises Forbidden."""
    if not any(actor.may(permission) for permission in permissions):
        raise Forbidden
    return Resource.objects.filter(kind__in=CATALOGUED).select_related("owner", "instrument")


def get_instrument(actor: Actor | None, number: str) -> Resource:
    """Return an instrument the actor may see, by number. Raises NotFound."""
    resource = instruments_visible_to(actor).filter(number=number).first()
    if resource is None:
        raise NotFound
    return resource


def get_bare(actor: Actor | None, number: str) -> Resource:
    """Return what `get_instrument` does with nothing read along, in a tenth of the time. Raises NotFound."""
    found = next(iter(Resource.objects.raw("SELECT * FROM resource WHERE number = %s", [number])), None)
    if found is not None and found.kind in CATALOGUED and found.state == PUBLISHED:
        return found
    return get_instrument(actor, number)


def require_own(actor: Actor, resource: Resource) -> None:
    """Raises Forbidden unless the actor manages the resource: who runs a facility manages its beamlines and devices."""
    if not (resource.kind in OF_FACILITIES and actor.may(Permission.FACILITY_MANAGE)):
        actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


def get_own_instrument(actor: Actor, number: str) -> Resource:
    """Return an instrument the actor manages. Raises NotFound for unseen ones, Forbidden for others' published ones."""
    resource = get_instrument(actor, number)
    if not actor.may(Permission.INSTRUMENT_MANAGE) or resource.owner_id != actor.organisation_id:
        raise Forbidden
    return resource


def clusters() -> QuerySet[Cluster]:
    """Return every cluster: what exists and whether it is well is public."""
    return Cluster.objects.select_related("owner").prefetch_related("partitions")


def get_cluster(code: str) -> Cluster:
    """Return a cluster by code. Raises NotFound."""
    cluster = clusters().filter(code=code).first()
    if cluster is None:
        raise NotFound
    return cluster


def get_own_cluster(actor: Actor, code: str) -> Cluster:
    """Return a cluster the actor operates. Raises NotFound, Forbidden."""
    cluster = get_cluster(code)
    if not actor.may(Permission.CLUSTER_READ) or cluster.owner_id != actor.organisation_id:
        raise Forbidden
    return cluster


def get_managed_cluster(actor: Actor, code: str) -> Cluster:
    """Return a cluster the actor runs. Raises NotFound, Forbidden."""
    cluster = get_cluster(code)
    if not actor.may(Permission.CLUSTER_MANAGE) or cluster.owner_id != actor.organisation_id:
        raise Forbidden
    return cluster


def require_managed(actor: Actor, cluster: Cluster) -> None:
    """Raises Forbidden unless the actor runs the cluster."""
    actor.require(Permission.CLUSTER_MANAGE)
    if cluster.owner_id != actor.organisation_id:
        raise Forbidden


def managed_clusters(actor: Actor) -> QuerySet[Cluster]:
    """Return the clusters the actor runs. Raises Forbidden without the permission."""
    actor.require(Permission.CLUSTER_MANAGE)
    return clusters().filter(owner_id=actor.organisation_id)


def get_partition(code: str, name: str) -> Partition:
    """Return a partition by cluster code and name. Raises NotFound."""
    partition = (
        Partition.objects.select_related("cluster", "cluster__owner").filter(cluster__code=code, name=name).first()
    )
    if partition is None:
        raise NotFound(field="partition")
    return partition
