"""Reach accounts on clusters: the operator of a cluster those on it, a department all, to read."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.limits.models import ClusterAccount
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster

__all__ = ["clusters_of", "get_account", "get_cluster", "on_cluster"]


def clusters_of(actor: Actor) -> QuerySet[Cluster]:
    """Return the clusters whose limits the actor may see: its own as an operator, all as who grants. Raises Forbidden."""
    actor.require(Permission.ALLOCATION_MANAGE)
    found = resources.clusters()
    return found.filter(owner_id=actor.acting_for) if actor.may(Permission.CLUSTER_READ) else found


def get_cluster(actor: Actor, code: str) -> Cluster:
    """Return a cluster whose limits the actor sets: its own. Raises NotFound, Forbidden."""
    actor.require(Permission.ALLOCATION_MANAGE)
    found = resources.get_cluster(code)
    if found.owner_id != actor.organisation_id:
        raise Forbidden
    return found


def on_cluster(actor: Actor, cluster: Cluster) -> QuerySet[ClusterAccount]:
    """Return the accounts on one of `clusters_of`. Raises Forbidden."""
    if not clusters_of(actor).filter(pk=cluster.pk).exists():
        raise Forbidden
    return ClusterAccount.objects.filter(cluster=cluster).select_related("organisation", "cluster")


def get_account(actor: Actor, code: str, name: str) -> ClusterAccount:
    """Return an account on a cluster of the actor's own. Raises NotFound, Forbidden."""
    found = on_cluster(actor, get_cluster(actor, code)).filter(name=name).first()
    if found is None:
        raise NotFound
    return found
