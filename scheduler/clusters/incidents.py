"""Open and close incidents as readings come in; the operator's notes on them."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Count, Q

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from scheduler.clusters import rules
from scheduler.clusters.models import ClusterStatus, Incident
from scheduler.jobs import rules as job_rules
from scheduler.jobs.models import Job

__all__ = ["NoteTooLong", "close", "follow", "note", "open_one", "outages"]

_ = noop
logger = structlog.get_logger("clusters")
SYSTEM = Actor.system(_("集群巡检"))


class NoteTooLong(Invalid):
    code = "incident.note"
    message = _("说明最多 500 字。")


def outages(*, cluster_id: int, since: datetime, until: datetime) -> list[tuple[datetime, datetime | None]]:
    """Return when the controller was away; answers ``scheduler.jobs.guards.Outages``. One query.

    Accounting that is away ends no job, so it is none of these.
    """
    rows = Incident.objects.filter(
        Q(closed_at__isnull=True) | Q(closed_at__gt=since),
        cluster_id=cluster_id,
        kind=rules.IncidentKind.AWAY.value,
        opened_at__lte=until,
    )
    return list(rows.order_by("opened_at", "pk").values_list("opened_at", "closed_at"))


def follow(status: ClusterStatus, *, detail: str, now: datetime) -> None:
    """Open an incident once readings failed `rules.FAILURES` times in a row; close it with the first good one.

    The caller holds the status row. The incident begins with the first failed reading.
    """
    if status.failures >= rules.FAILURES:
        open_one(status, rules.IncidentKind.AWAY, since=status.failing_since or now, detail=detail, now=now)
    elif status.ok:
        close(status, rules.IncidentKind.AWAY, now=now)


def open_one(
    status: ClusterStatus, kind: rules.IncidentKind, *, since: datetime, detail: str, now: datetime
) -> Incident:
    """Return the open incident of `kind`, opening it with what it affects if there is none."""
    known = Incident.objects.filter(cluster_id=status.cluster_id, kind=kind.value, closed_at__isnull=True).first()
    if known is not None:
        return known
    occupying = Q(state__in=[state.value for state in job_rules.OCCUPYING])
    jobs = Job.objects.filter(partition__cluster_id=status.cluster_id, settled_at__isnull=True).aggregate(
        running=Count("pk", filter=occupying), waiting=Count("pk", filter=~occupying)
    )
    made = Incident.objects.create(
        cluster_id=status.cluster_id,
        kind=kind.value,
        opened_at=since,
        detail=detail[:200],
        partitions=list(status.cluster.partitions.order_by("name").values_list("name", flat=True)),
        jobs_running=jobs["running"],
        jobs_waiting=jobs["waiting"],
    )
    logger.error("cluster.incident", cluster=status.cluster.code, kind=kind.value, detail=detail)
    _record(made, action="incident.opened", now=now)
    return made


def close(status: ClusterStatus, kind: rules.IncidentKind, *, now: datetime) -> None:
    """Close the open incident of `kind`, if there is one."""
    for row in Incident.objects.filter(cluster_id=status.cluster_id, kind=kind.value, closed_at__isnull=True):
        row.closed_at = max(now, row.opened_at)
        row.save(update_fields=["closed_at"])
        _record(row, action="incident.closed", now=now)


@transaction.atomic
def note(*, actor: Actor, incident: Incident, text: str, now: datetime) -> Incident:
    """Write what the operator knows of an incident, in place of what was written before. Raises NoteTooLong."""
    actor.require(Permission.CLUSTER_MANAGE)
    if incident.cluster.owner_id != actor.organisation_id:
        raise Forbidden
    said = text.strip()
    if len(said) > 500:
        raise NoteTooLong(field="note")
    locked = Incident.objects.select_for_update(no_key=True).order_by("pk").get(pk=incident.pk)
    if locked.note == said:
        return locked
    locked.note, locked.noted_by_id, locked.noted_at = said, actor.user_id, now
    locked.save(update_fields=["note", "noted_by", "noted_at"])
    _record(locked, action="incident.noted", now=now, actor=actor)
    return locked


def _record(row: Incident, *, action: str, now: datetime, actor: Actor = SYSTEM) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{row.cluster.code}",
        actor=actor,
        now=now,
        organisations=[row.cluster.owner_id],
        data={"kind": row.kind, "since": row.opened_at.isoformat(), "note": row.note or row.detail},
    )
