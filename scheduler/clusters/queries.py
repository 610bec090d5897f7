"""Read the board, the last day's use, and what needs a person: from our rows, never from a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Avg, Max
from django.db.models.functions import TruncHour

from scheduler.clusters import concerns, rules
from scheduler.clusters.models import ClusterPool, ClusterStatus, Incident, OrphanJob, PoolUse
from scheduler.jobs import rules as job_rules
from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.guards import Room
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster, Partition

__all__ = ["HourOfUse", "alerts_of", "health_of", "last_sync_of", "pools_of", "rooms", "statuses_of", "use_of_day"]

MOST_NAMED = concerns.MOST_NAMED


@dataclass(frozen=True, slots=True)
class HourOfUse:
    """How a card type was used during an hour beginning `at`: means of what was read, and the peak of what waited."""

    at: datetime
    card_type: str
    cards: float
    used: float
    down: float
    cpus: float
    cpus_used: float
    waiting: int


def statuses_of(cluster_ids: Iterable[int]) -> dict[int, ClusterStatus]:
    """Return what pollers last wrote, by cluster, in one query."""
    return {row.cluster_id: row for row in ClusterStatus.objects.filter(cluster_id__in=list(cluster_ids))}


def pools_of(cluster_ids: Iterable[int]) -> dict[tuple[int, str], list[ClusterPool]]:
    """Return pools by cluster and name of partition, in one query."""
    found: dict[tuple[int, str], list[ClusterPool]] = {}
    for pool in ClusterPool.objects.filter(cluster_id__in=list(cluster_ids)):
        found.setdefault((pool.cluster_id, pool.partition), []).append(pool)
    return found


def rooms(partitions: Sequence[Partition], *, now: datetime) -> dict[int, Room]:
    """Return what is free by partition; answers ``scheduler.jobs.guards.Rooms``. One query.

    Readings older than `rules.STALE_AFTER` say nothing. Only cards of the partition's own type count.
    """
    pools = pools_of({partition.cluster_id for partition in partitions})
    found = {}
    for partition in partitions:
        fresh = [
            pool
            for pool in pools.get((partition.cluster_id, partition.name), [])
            if now - pool.as_of <= rules.STALE_AFTER
        ]
        if fresh:
            found[partition.pk] = _room(fresh, card_type=partition.card_type)
    return found


def _room(pools: Sequence[ClusterPool], *, card_type: str) -> Room:
    of_type = [pool for pool in pools if not card_type or pool.card_type.casefold() == card_type.casefold()]
    return Room(
        cards=sum(pool.cards_idle for pool in of_type),
        cpus=sum(pool.cpus_idle for pool in of_type or pools),
        waiting=sum(pool.waiting for pool in pools),
        is_open=all(pool.is_open for pool in pools),
        as_of=min(pool.as_of for pool in pools),
    )


def use_of_day(cluster_id: int, *, now: datetime) -> list[HourOfUse]:
    """Return the last 24 hours of a cluster by hour and card type, oldest first. One query.

    Each five minutes sum the partitions; an hour is the mean of its readings, not of its partitions.
    """
    since = now - timedelta(hours=24)
    rows = (
        PoolUse.objects.filter(cluster_id=cluster_id, at__gte=since, at__lte=now)
        .annotate(hour=TruncHour("at"))
        .order_by()
        .values("hour", "card_type", "partition")
        .annotate(
            cards=Avg("cards"),
            used=Avg("cards_used"),
            down=Avg("cards_down"),
            all_cpus=Avg("cpus"),
            cores=Avg("cpus_used"),
            most_waiting=Max("waiting"),
        )
    )
    found: dict[tuple[datetime, str], list[float]] = {}
    for row in rows:
        sums = found.setdefault((row["hour"], row["card_type"]), [0.0] * 6)
        parts = row["cards"], row["used"], row["down"], row["all_cpus"], row["cores"], row["most_waiting"]
        for at, part in enumerate(parts):
            sums[at] += float(part)
    return [
        HourOfUse(at, card, sums[0], sums[1], sums[2], sums[3], sums[4], int(sums[5]))
        for (at, card), sums in sorted(found.items())
    ]


def health_of(cluster: Cluster, *, in_maintenance: bool, now: datetime) -> str:
    """Return how a cluster is, as a code with words: maintenance, unknown, stale, well or away."""
    if not cluster.accepts_work or in_maintenance:
        return "maintenance"
    if cluster.health_at is None or cluster.health_ok is None:
        return "unknown"
    if now - cluster.health_at > rules.STALE_AFTER:
        return "stale"
    return "well" if cluster.health_ok else "away"


def alerts_of(clusters: Sequence[Cluster], *, now: datetime) -> dict[int, list[rules.Alert]]:
    """Return what needs a person, by cluster, the gravest first: twelve queries for any number of clusters."""
    ids = [cluster.pk for cluster in clusters]
    found: dict[int, list[rules.Alert]] = {pk: [] for pk in ids}
    for incident in Incident.objects.filter(cluster_id__in=ids, closed_at__isnull=True).order_by("opened_at"):
        kind = rules.AlertKind(incident.kind)
        found[incident.cluster_id].append(rules.Alert(kind, incident.opened_at, subjects=[incident.detail]))
    for cluster in clusters:
        if cluster.health_at is not None and now - cluster.health_at > rules.STALE_AFTER:
            found[cluster.pk].append(rules.Alert(rules.AlertKind.STALE, cluster.health_at))
    _add_jobs(found, ids, now)
    _add_job_alerts(found, ids)
    orphans: dict[int, list[OrphanJob]] = {}
    for orphan in OrphanJob.objects.filter(cluster_id__in=ids, taken_off_at__isnull=True, ended_at__isnull=True):
        orphans.setdefault(orphan.cluster_id, []).append(orphan)
    for pk, rows in orphans.items():
        names = [row.cluster_job_id for row in rows[:MOST_NAMED]]
        since = min(row.first_seen_at for row in rows)
        found[pk].append(rules.Alert(rules.AlertKind.ORPHAN, since, len(rows), names))
    for cluster_id, more in concerns.of(ids, now=now).items():
        found[cluster_id] += more
    return found


def _add_jobs(found: dict[int, list[rules.Alert]], ids: Sequence[int], now: datetime) -> None:
    """Add the jobs whose fate is unknown for too long, and those somebody holds."""
    unclear = [job_rules.JobState.UNKNOWN.value, job_rules.JobState.SUBMITTING.value]
    jobs = Job.objects.filter(partition__cluster_id__in=ids, settled_at__isnull=True)
    late = jobs.filter(state__in=unclear, attempted_at__lt=now - rules.UNRESOLVED_AFTER)
    rows = (late | jobs.filter(held=True)).order_by("pk")
    kinds: dict[tuple[int, rules.AlertKind], list[tuple[str, datetime | None]]] = {}
    for pk, number, state, at, seen in rows.values_list(
        "partition__cluster_id", "number", "state", "attempted_at", "observed_at"
    ):
        lost = state in unclear
        kind = rules.AlertKind.UNRESOLVED if lost else rules.AlertKind.HELD
        kinds.setdefault((pk, kind), []).append((number, at if lost else seen))
    for (pk, kind), named in kinds.items():
        times = [at for _number, at in named if at is not None]
        numbers = [number for number, _at in named[:MOST_NAMED]]
        found[pk].append(rules.Alert(kind, min(times, default=None), len(named), numbers))


KINDS: Final = {
    JobAlert.Kind.UNKNOWN_CODE.value: rules.AlertKind.UNKNOWN_STATE,
    JobAlert.Kind.DUPLICATE.value: rules.AlertKind.DUPLICATE,
    JobAlert.Kind.UNCONFIRMED.value: rules.AlertKind.UNCONFIRMED,
}
"""Alerts on single jobs that are told here; those unresolved or held are read from the jobs themselves."""


def _add_job_alerts(found: dict[int, list[rules.Alert]], ids: Sequence[int]) -> None:
    """Add what was raised on single jobs and nobody has cleared."""
    rows = JobAlert.objects.filter(
        cleared_at__isnull=True, kind__in=list(KINDS), job__partition__cluster_id__in=ids
    ).order_by("raised_at", "pk")
    named: dict[tuple[int, rules.AlertKind], list[tuple[str, datetime]]] = {}
    for pk, kind, number, at in rows.values_list("job__partition__cluster_id", "kind", "job__number", "raised_at"):
        named.setdefault((pk, KINDS[kind]), []).append((number, at))
    for (pk, alert), jobs in named.items():
        numbers = [number for number, _at in jobs[:MOST_NAMED]]
        found[pk].append(rules.Alert(alert, jobs[0][1], len(jobs), numbers))


def last_sync_of(cluster: Cluster) -> datetime | None:
    """Return when the reconciler last saw a job of the portal on the cluster."""
    seen: datetime | None = Job.objects.filter(partition__cluster=cluster).aggregate(at=Max("observed_at"))["at"]
    return seen
