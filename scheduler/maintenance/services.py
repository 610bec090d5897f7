"""Announce maintenance, end it early, call it off; the only writer of windows."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.kernel.period import Period
from scheduler.maintenance import rules
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.resources.models import Cluster

__all__ = ["ReasonMissing", "announce", "call_off", "finish"]

_ = noop


class ReasonMissing(Invalid):
    code = "maintenance.reason"
    message = _("请写明维护内容（120 字以内），所有人都会看到。")


def _lock(actor: Actor, cluster_id: int) -> Cluster:
    """Lock the cluster whose windows change. Raises Forbidden unless the actor runs it."""
    actor.require(Permission.CLUSTER_MANAGE)
    cluster = Cluster.objects.select_for_update(no_key=True).order_by("pk").get(pk=cluster_id)
    if not actor.is_system and cluster.owner_id != actor.organisation_id:
        raise Forbidden
    return cluster


@transaction.atomic
def announce(
    *, actor: Actor, cluster: Cluster, period: Period, reason: str, reason_en: str = "", now: datetime
) -> MaintenanceWindow:
    """Announce a window. Announcing the same span again returns the one there is.

    Jobs already waiting stay; they are the operator's to hold or let run. Raises MaintenancePast, MaintenanceTooLong,
    MaintenanceOverlaps, ReasonMissing, Forbidden.
    """
    locked = _lock(actor, cluster.pk)
    said = reason.strip()
    if not said or len(said) > 120:
        raise ReasonMissing(field="reason")
    rules.check(period, now=now)
    span = DateTimeTZRange(period.start, period.end)
    in_force = MaintenanceWindow.objects.filter(cluster=locked, cancelled_at__isnull=True)
    if same := in_force.filter(during=span, reason=said).first():
        return same
    if in_force.filter(during__overlap=span).exists():
        raise rules.MaintenanceOverlaps(field="starts_at")
    window = MaintenanceWindow.objects.create(
        cluster=locked,
        during=span,
        reason=said,
        reason_en=reason_en.strip()[:160],
        announced_by_id=actor.user_id,
        created_at=now,
    )
    _record(window, action="maintenance.announced", actor=actor, now=now)
    return window


@transaction.atomic
def finish(*, actor: Actor, window: MaintenanceWindow, now: datetime) -> MaintenanceWindow:
    """End a window that is on: from `now` the cluster takes jobs. Idempotent. Raises MaintenanceOver for one not on."""
    locked = _row(actor, window)
    if locked.finished_at is not None:
        return locked
    if locked.cancelled_at is not None or not locked.during.lower <= now < locked.during.upper:
        raise rules.MaintenanceOver
    if locked.during.lower == now:
        locked.cancelled_at = now
    else:
        locked.during = DateTimeTZRange(locked.during.lower, now)
    locked.finished_at = now
    locked.save(update_fields=["during", "finished_at", "cancelled_at"])
    _record(locked, action="maintenance.finished", actor=actor, now=now)
    return locked


@transaction.atomic
def call_off(*, actor: Actor, window: MaintenanceWindow, now: datetime) -> MaintenanceWindow:
    """Call off a window that has not begun. Idempotent. Raises MaintenanceBegun."""
    locked = _row(actor, window)
    if locked.cancelled_at is not None:
        return locked
    if locked.during.lower <= now:
        raise rules.MaintenanceBegun
    locked.cancelled_at = now
    locked.save(update_fields=["cancelled_at"])
    _record(locked, action="maintenance.called_off", actor=actor, now=now)
    return locked


def _row(actor: Actor, window: MaintenanceWindow) -> MaintenanceWindow:
    _lock(actor, window.cluster_id)
    return MaintenanceWindow.objects.select_for_update(no_key=True).order_by("pk").get(pk=window.pk)


def _record(window: MaintenanceWindow, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{window.cluster.code}",
        actor=actor,
        now=now,
        organisations=[window.cluster.owner_id],
        data={
            "from": window.during.lower.isoformat(),
            "to": window.during.upper.isoformat(),
            "note": window.reason,
        },
    )
