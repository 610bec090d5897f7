"""Jobs on a cluster that bear a marker of ours and are none of ours: found through accounting, ended only by a person."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, PortalError
from scheduler.clusters import incidents, rules
from scheduler.clusters.models import ClusterStatus, OrphanJob
from scheduler.clusters.polling import only_one
from scheduler.jobs import access, ports
from scheduler.jobs.models import Job
from scheduler.metering.sweeping import accounts_of
from scheduler.resources.models import Cluster

__all__ = ["MARKER", "sweep", "take_off"]

logger = structlog.get_logger("clusters")
MARKER: Final = re.compile(r"zj[a-z2-7]{26}")


def sweep(*, cluster_id: int, now: datetime) -> bool:
    """Read accounting for the portal's accounts and note every job with a marker nobody here knows.

    Return whether it was read. What did not run yet is not in it; such a job is held and costs nothing. Also tells
    whether accounting answers: `rules.FAILURES` failures in a row open an incident while the cluster itself is well.
    """
    with only_one(cluster_id) as mine:
        row = Cluster.objects.get(pk=cluster_id)
        status, _made = ClusterStatus.objects.get_or_create(cluster=row)
        asked = status.sweep_asked_at
        if not mine or not status.ok or (asked is not None and now - asked < rules.SWEEP_EVERY):
            return False
        accounts = accounts_of(row)
        if not accounts:
            return False
        since = status.swept_at - rules.SWEEP_OVERLAP if status.swept_at else now - rules.SWEEP_FIRST
        try:
            found = access.connect(row).usage(accounts=accounts, since=since, until=now + timedelta(minutes=5))
        except (PortalError, OSError, ValueError) as error:
            _failed(status, str(getattr(error, "params", {}).get("detail") or error), now)
            return False
        _write(status, found, now)
        return True


@transaction.atomic
def _failed(status: ClusterStatus, detail: str, now: datetime) -> None:
    locked = ClusterStatus.objects.select_for_update(no_key=True).order_by("pk").get(pk=status.pk)
    first = locked.sweep_asked_at if locked.sweep_failures else None
    locked.sweep_asked_at, locked.sweep_failures = now, locked.sweep_failures + 1
    locked.save(update_fields=["sweep_asked_at", "sweep_failures"])
    if locked.sweep_failures >= rules.FAILURES:
        kind = rules.IncidentKind.ACCOUNTING
        incidents.open_one(locked, kind, since=first or now, detail=detail, now=now)


@transaction.atomic
def _write(status: ClusterStatus, found: list[ports.UsageRow], now: datetime) -> None:
    locked = ClusterStatus.objects.select_for_update(no_key=True).order_by("pk").get(pk=status.pk)
    marked = [row for row in found if MARKER.fullmatch(row.name)]
    known = set(Job.objects.filter(marker__in={row.name for row in marked}).values_list("marker", flat=True))
    for row in marked:
        if row.name not in known:
            _note(locked, row, now)
    locked.swept_at = locked.sweep_asked_at = now
    locked.sweep_failures = 0
    locked.save(update_fields=["swept_at", "sweep_asked_at", "sweep_failures"])
    incidents.close(locked, rules.IncidentKind.ACCOUNTING, now=now)


def _note(status: ClusterStatus, row: ports.UsageRow, now: datetime) -> None:
    run = row.run
    orphan, made = OrphanJob.objects.update_or_create(
        cluster_id=status.cluster_id,
        cluster_job_id=run.job_id,
        submitted_at=run.submitted_at,
        marker=row.name,
        defaults={
            "account": row.account[:64],
            "user": row.user[:64],
            "partition": row.partition[:40],
            "raw_state": run.raw_state[:60],
            "cards": run.cards,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "last_seen_at": now,
        },
        create_defaults={
            "account": row.account[:64],
            "user": row.user[:64],
            "partition": row.partition[:40],
            "raw_state": run.raw_state[:60],
            "cards": run.cards,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "first_seen_at": now,
            "last_seen_at": now,
        },
    )
    if made:
        logger.error("cluster.orphan", cluster=status.cluster.code, job=run.job_id, marker=row.name)
        _record(orphan, action="orphan.found", actor=incidents.SYSTEM, now=now)


def take_off(*, actor: Actor, orphan: OrphanJob, now: datetime) -> OrphanJob:
    """Ask the cluster to end an orphan. Idempotent: a finished one is a success. Raises Unavailable, Rejected, Forbidden.

    The marker is looked up once more first: what the portal knows after all is never ended here.
    """
    actor.require(Permission.CLUSTER_MANAGE)
    if orphan.cluster.owner_id != actor.organisation_id or Job.objects.filter(marker=orphan.marker).exists():
        raise Forbidden
    if orphan.taken_off_at is not None:
        return orphan
    ref = ports.Ref(orphan.cluster_job_id, orphan.submitted_at, orphan.marker, {"user": orphan.user})
    access.connect(orphan.cluster).cancel(ref, user=orphan.user or orphan.cluster.posix_user)
    with transaction.atomic():
        locked = OrphanJob.objects.select_for_update(no_key=True).order_by("pk").get(pk=orphan.pk)
        if locked.taken_off_at is None:
            locked.taken_off_at, locked.taken_off_by_id = now, actor.user_id
            locked.save(update_fields=["taken_off_at", "taken_off_by"])
            _record(locked, action="orphan.taken_off", actor=actor, now=now)
    return locked


def _record(row: OrphanJob, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{row.cluster.code}",
        actor=actor,
        now=now,
        organisations=[row.cluster.owner_id],
        data={"cluster_job_id": row.cluster_job_id, "marker": row.marker, "account": row.account},
    )
