"""Endpoints of announced maintenance: everybody reads, the cluster's operator announces."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Cursor, Line, Number, PageOut, PeriodIn, paged, problems
from scheduler.maintenance import access, services
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.resources import access as resources

router = Router(tags=["clusters"])


class ClusterMaintenanceIn(PeriodIn):
    """When a cluster takes no jobs and why; everybody reads it."""

    reason: Annotated[Line, Field(min_length=1, max_length=120)]
    reason_en: Annotated[Line, Field(max_length=160)] = ""


class ClusterMaintenanceOut(Schema):
    """A window, half-open. Finished early, it ends when it was finished; cancelled, it does not count."""

    id: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    reason_en: str
    finished_at: datetime | None
    cancelled_at: datetime | None


def _window(row: MaintenanceWindow) -> dict[str, Any]:
    names = ("reason", "reason_en", "finished_at", "cancelled_at")
    return {
        "id": row.pk,
        "starts_at": row.during.lower,
        "ends_at": row.during.upper,
        **{name: getattr(row, name) for name in names},
    }


@router.get("/{code}/maintenance", response={200: PageOut[ClusterMaintenanceOut], **problems(404)})
def list_maintenance(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  public
    """List the maintenance of a cluster, past and announced."""
    return paged(access.windows_of(resources.get_cluster(code)), wanted, _window)


@router.post("/{code}/maintenance", response={201: ClusterMaintenanceOut, **problems(404, 409)})
def announce(request: ActorRequest, code: Number, payload: ClusterMaintenanceIn) -> Status[dict[str, Any]]:
    """Announce maintenance. The same span and reason again is the same window."""
    made = services.announce(
        actor=request.actor,
        cluster=resources.get_managed_cluster(request.actor, code),
        period=payload.value(),
        reason=payload.reason,
        reason_en=payload.reason_en,
        now=timezone.now(),
    )
    return Status(201, _window(made))


@router.post("/{code}/maintenance/{window_id}/finish", response={200: ClusterMaintenanceOut, **problems(404, 409)})
def finish(request: ActorRequest, code: Number, window_id: int) -> dict[str, Any]:
    """End maintenance that is on: the cluster takes jobs again at once."""
    window = access.get_managed_window(request.actor, code, window_id)
    return _window(services.finish(actor=request.actor, window=window, now=timezone.now()))


@router.post("/{code}/maintenance/{window_id}/call-off", response={200: ClusterMaintenanceOut, **problems(404, 409)})
def call_off(request: ActorRequest, code: Number, window_id: int) -> dict[str, Any]:
    """Call off maintenance that has not begun."""
    window = access.get_managed_window(request.actor, code, window_id)
    return _window(services.call_off(actor=request.actor, window=window, now=timezone.now()))
