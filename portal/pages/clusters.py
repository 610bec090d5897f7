"""Clusters: what there is, whether it is well, what it costs; and the operator's board."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from portal.pages import shell
from scheduler.resources import access as resources


@shell.guarded
def clusters(request: HttpRequest) -> HttpResponse:
    """Show every cluster."""
    return shell.page(request, "clusters/clusters.html", {"clusters": resources.clusters()})


@shell.guarded
def cluster(request: HttpRequest, code: str) -> HttpResponse:
    """Show one cluster."""
    return shell.page(request, "clusters/cluster.html", {"cluster": resources.get_cluster(code)})
