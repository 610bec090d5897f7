"""Ask clusters how they are and what they have: one poller each, whose answers everybody else reads from rows.

Nothing here runs in a transaction while it talks. A cluster that hangs or is configured wrongly is away; no other one
notices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog
from django.db import connection, transaction

from portal.kernel.errors import PortalError
from scheduler.clusters import incidents, rules
from scheduler.clusters.models import ClusterPool, ClusterStatus, HealthReading, PoolUse
from scheduler.jobs import access, learning, ports
from scheduler.resources.models import Cluster

__all__ = ["due", "poll"]

logger = structlog.get_logger("clusters")
POLLER_LOCK = 73
T = TypeVar("T")

COUNTS = ("cards", "cards_used", "cards_down", "cpus", "cpus_used", "running", "waiting")


@contextmanager
def only_one(cluster_id: int) -> Iterator[bool]:
    """Yield whether this process may ask the cluster: an advisory lock keeps it to one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [POLLER_LOCK, cluster_id])
        (mine,) = cursor.fetchone()
        try:
            yield bool(mine)
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [POLLER_LOCK, cluster_id])


def due(*, now: datetime) -> list[int]:
    """Return the clusters whose turn it is, those never asked included."""
    waiting = ClusterStatus.objects.filter(due_at__gt=now).values("cluster_id")
    return list(Cluster.objects.exclude(pk__in=waiting).order_by("pk").values_list("pk", flat=True))


@dataclass(slots=True)
class _Heard:
    """What a poll has heard so far."""

    probe: rules.Probe
    capacity: ports.Capacity | None = None
    capacity_detail: str = ""
    learnt: bool = False
    asked_health: bool = False


def poll(*, cluster_id: int, now: datetime, force: bool = False) -> bool:
    """Ask one cluster if it is due, and write down what it said. Return whether it was asked.

    Safe to call at any time by any number of workers: while one asks, the others return at once.
    """
    with only_one(cluster_id) as mine:
        if not mine:
            return False
        row = Cluster.objects.get(pk=cluster_id)
        status, _made = ClusterStatus.objects.get_or_create(cluster=row)
        if not force and status.due_at is not None and status.due_at > now:
            return False
        _write(row, _ask(row, status, now), now)
        return True


def _ask(row: Cluster, status: ClusterStatus, now: datetime) -> _Heard:
    """Ask for capacity; for health and version only where capacity says nothing or they are old."""
    try:
        adapter = access.connect(row)
    except (ValueError, KeyError, ImportError, PortalError) as error:
        return _Heard(rules.Probe(ok=False, at=now, took_ms=0, detail=f"configuration: {error}"[:200]))
    heard = _Heard(rules.Probe(ok=True, at=now, took_ms=0, version=row.version))
    heard.capacity, took, heard.capacity_detail = _timed(lambda: adapter.capacity())  # noqa: PLW0108  an adapter may lack it
    fresh = status.asked_health_at is not None and now - status.asked_health_at < rules.HEALTH_EVERY
    if heard.capacity is not None and fresh and status.ok:
        heard.probe = rules.Probe(ok=True, at=now, took_ms=took, version=row.version, detail=row.health_detail)
    else:
        health, waited, detail = _timed(lambda: adapter.health())  # noqa: PLW0108  an adapter may lack it
        heard.asked_health = True
        ok = health is not None and health.ok
        heard.probe = rules.Probe(
            ok=ok,
            at=now,
            took_ms=max(took, waited) if ok else waited,
            version=(health.version if health else "")[:60] or row.version,
            detail=(health.detail if health else detail)[:200],
        )
    stale = status.capabilities_at is None or now - status.capabilities_at >= rules.CAPABILITIES_EVERY
    if heard.probe.ok and stale:
        _timed(lambda: learning.learn(row, adapter))
        heard.learnt = True
    return heard


def _timed(call: Callable[[], T]) -> tuple[T | None, int, str]:
    """Return what a call answers, how many milliseconds it took, and why it did not answer."""
    began = time.monotonic()
    answer: T | None = None
    detail = ""
    try:
        answer = call()
    except PortalError as error:
        detail = str(error.params.get("detail") or error)[:200]
    except Exception as error:  # an adapter's fault is this cluster's trouble, and nobody else's
        detail = f"{type(error).__name__}: {error}"[:200]
        logger.exception("cluster.adapter_failed", detail=detail)
    return answer, int((time.monotonic() - began) * 1000), detail


@transaction.atomic
def _write(row: Cluster, heard: _Heard, now: datetime) -> None:
    probe = heard.probe
    status = ClusterStatus.objects.select_for_update(no_key=True).order_by("pk").get(pk=row.pk)
    status.ok, status.latency_ms, status.polled_at = probe.ok, probe.took_ms, now
    status.due_at = now + rules.next_pause(probe.took_ms)
    if probe.ok:
        status.good_at, status.failures, status.failing_since = now, 0, None
    else:
        status.failures += 1
        status.failing_since = status.failing_since or now
    if heard.asked_health:
        status.asked_health_at = now
    if heard.learnt:
        status.capabilities_at = now
        Cluster.objects.filter(pk=row.pk).update(capabilities=row.capabilities)
    status.capacity_detail = heard.capacity_detail
    if heard.capacity is not None:
        status.capacity_at = heard.capacity.as_of
        _keep_pools(row, heard.capacity)
    status.save()
    HealthReading.objects.create(
        cluster=row, at=now, ok=probe.ok, latency_ms=probe.took_ms, detail="" if probe.ok else probe.detail
    )
    Cluster.objects.filter(pk=row.pk).update(
        health_ok=probe.ok, health_detail=probe.detail, health_at=now, version=probe.version
    )
    incidents.follow(status, detail=probe.detail, now=now)
    if now.minute == 0:
        _forget(row, now)


def _keep_pools(row: Cluster, capacity: ports.Capacity) -> None:
    """Replace the pools, unless newer ones are there, and keep the reading of these five minutes."""
    newer = ClusterPool.objects.filter(cluster=row, as_of__gt=capacity.as_of)
    if newer.exists():
        return
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for pool in capacity.pools:
        known[pool.partition[:40], pool.card_type[:32]] = {
            **{name: getattr(pool, name) for name in COUNTS},
            "nodes": pool.nodes,
            "nodes_down": pool.nodes_down,
            "is_open": pool.is_open,
        }
    ClusterPool.objects.bulk_create(
        [
            ClusterPool(cluster=row, partition=partition, card_type=card, as_of=capacity.as_of, **values)
            for (partition, card), values in known.items()
        ],
        update_conflicts=True,
        unique_fields=["cluster", "partition", "card_type"],
        update_fields=[*COUNTS, "nodes", "nodes_down", "is_open", "as_of"],
    )
    ClusterPool.objects.filter(cluster=row, as_of__lt=capacity.as_of).delete()
    PoolUse.objects.bulk_create(
        [
            PoolUse(
                cluster=row,
                partition=partition,
                card_type=card,
                at=rules.bucket(capacity.as_of),
                **{name: values[name] for name in COUNTS},
            )
            for (partition, card), values in known.items()
        ],
        update_conflicts=True,
        unique_fields=["cluster", "at", "partition", "card_type"],
        update_fields=list(COUNTS),
    )


def _forget(row: Cluster, now: datetime) -> None:
    HealthReading.objects.filter(cluster=row, at__lt=now - rules.KEPT_READINGS).delete()
    PoolUse.objects.filter(cluster=row, at__lt=now - rules.KEPT_USE).delete()
