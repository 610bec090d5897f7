"""Reach maintenance windows: announced ones are public, changing them is the cluster's operator's."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster


def windows_of(cluster: Cluster) -> QuerySet[MaintenanceWindow]:
    """Return every window ever announced for a cluster, the latest first."""
    return MaintenanceWindow.objects.filter(cluster=cluster).order_by("-during", "-pk")


def get_managed_window(actor: Actor, code: str, window_id: int) -> MaintenanceWindow:
    """Return a window of a cluster the actor runs. Raises NotFound, Forbidden."""
    cluster = resources.get_managed_cluster(actor, code)
    window = windows_of(cluster).filter(pk=window_id).first()
    if window is None:
        raise NotFound
    return window
