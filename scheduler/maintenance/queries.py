"""Read announced maintenance: what is on, what is ahead, what it has against a job."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from portal.kernel.errors import Reason
from portal.numbers.services import PORTAL_ZONE
from scheduler.maintenance import rules
from scheduler.maintenance.models import MaintenanceWindow

__all__ = ["ahead_of", "is_closed", "reasons_against"]


def ahead_of(cluster_ids: Iterable[int], *, now: datetime) -> dict[int, list[MaintenanceWindow]]:
    """Return the windows that are on or ahead, the next one first, by cluster: one query."""
    found: dict[int, list[MaintenanceWindow]] = {}
    rows = MaintenanceWindow.objects.filter(
        cluster_id__in=list(cluster_ids), cancelled_at__isnull=True, during__overlap=(now, None)
    )
    for window in rows.order_by("during"):
        found.setdefault(window.cluster_id, []).append(window)
    return found


def is_closed(cluster_id: int, *, now: datetime) -> bool:
    """Say whether a window is on. Derived from the row and the clock: nothing has to run for it to end."""
    return MaintenanceWindow.objects.filter(
        cluster_id=cluster_id, cancelled_at__isnull=True, during__contains=now
    ).exists()


def reasons_against(cluster_id: int, *, limit_s: int, guard_s: int = 0, now: datetime) -> list[Reason]:
    """Return what announced maintenance has against a job that may run `limit_s` seconds, and `guard_s` beyond, from now. One query."""
    windows = ahead_of([cluster_id], now=now).get(cluster_id, [])
    periods = [window.period for window in windows]
    return rules.refusals(periods, now=now, limit_s=limit_s, guard_s=guard_s, zone=PORTAL_ZONE)
