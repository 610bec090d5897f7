"""Reach dry runs: those of one's own department, for who writes or publishes programmes."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.dryruns.models import DryRun

__all__ = ["OFFICERS", "get_run", "runs_of"]

OFFICERS = (Permission.PROGRAMME_DRAFT, Permission.PROGRAMME_PUBLISH)


def runs_of(actor: Actor) -> QuerySet[DryRun]:
    """Return the runs of the actor's department, without their documents and drawings."""
    runs = DryRun.objects.select_related("requested_by", "programme").defer("uploaded", "charts", "document")
    if not any(actor.may(permission) for permission in OFFICERS):
        return runs.none()
    return runs.filter(department_id=actor.organisation_id)


def get_run(actor: Actor, run_id: int) -> DryRun:
    """Return a run of the actor's department. Raises NotFound."""
    run = runs_of(actor).filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run
