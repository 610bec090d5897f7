"""Leave a cluster that does not answer alone: after three failures nobody calls it, then one caller at a time tries.

The state is a row, so that all processes share it, and the database's clock times it. A call that is not made answers at
once as an unreachable cluster would, so a cluster that is away costs neither a worker nor a page its deadline. What
reads the shared file system (logs, files) and the health check itself pass freely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

import structlog
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Least, Now

from portal.kernel.errors import Unavailable
from scheduler.jobs import ports
from scheduler.jobs.doubt_models import ClusterBreaker

__all__ = ["FAILURES", "Circuit", "Standing", "guarded", "is_shut", "standings"]

logger = structlog.get_logger("jobs")

FAILURES: Final = 3
"""Failures in a row that open the circuit."""
FIRST_WAIT_S: Final = 5
MOST_WAIT_S: Final = 60
LEASE_S: Final = 90
"""How long one caller has the try to itself: an answer may take the adapter's two reads of 30 s and more."""

CONTROL, ACCOUNTING = ClusterBreaker.Channel.CONTROL, ClusterBreaker.Channel.ACCOUNTING
CALLS: Final = {
    **dict.fromkeys(
        (
            *("capabilities", "check", "submit", "release", "observe", "cancel", "cancel_task", "capacity"),
            *("read_limits", "apply_limits"),
        ),
        (CONTROL,),
    ),
    "find": (CONTROL, ACCOUNTING),
    "usage": (ACCOUNTING,),
}
"""What each call needs: the last named is the one its failure is held against."""


class Circuit(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """The next caller tries."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one channel of one cluster stands. Times are of the database's clock."""

    cluster_id: int
    channel: str
    circuit: Circuit
    failures: int
    opened_at: datetime | None
    retry_at: datetime | None
    detail: str


def standings(cluster_ids: Iterable[int]) -> dict[int, list[Standing]]:
    """Return how the channels of clusters stand that ever failed, in one query."""
    found: dict[int, list[Standing]] = {}
    rows = ClusterBreaker.objects.filter(cluster_id__in=list(cluster_ids)).annotate(at=Now()).order_by("channel")
    for row in rows:
        if row.opened_at is None:
            circuit = Circuit.CLOSED
        else:
            circuit = Circuit.HALF_OPEN if row.retry_at and row.retry_at <= row.at else Circuit.OPEN
        standing = Standing(row.cluster_id, row.channel, circuit, row.failures, row.opened_at, row.retry_at, row.detail)
        found.setdefault(row.cluster_id, []).append(standing)
    return found


def is_shut(cluster_id: int, channel: str = CONTROL) -> bool:
    """Say whether a call now would certainly not be made."""
    return ClusterBreaker.objects.filter(
        cluster_id=cluster_id, channel=channel, opened_at__isnull=False, retry_at__gt=Now()
    ).exists()


def guarded(cluster_id: int, adapter: ports.Cluster) -> ports.Cluster:
    """Return `adapter` behind the circuit breaker of its cluster."""
    return cast("ports.Cluster", _Guarded(cluster_id, adapter))


class _Guarded:
    """Any adapter, with the calls of `CALLS` guarded and everything else its own."""

    def __init__(self, cluster_id: int, adapter: ports.Cluster) -> None:
        self._cluster_id, self._adapter = cluster_id, adapter

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._adapter, name)
        if name == "health":
            return lambda: self._health(real)
        if name not in CALLS:
            return real
        return lambda *args, **named: self._call(name, real, args, named)

    def _health(self, real: Callable[[], ports.Health]) -> ports.Health:
        """A cluster that says it is well is tried at once."""
        said = real()
        if said.ok:
            ClusterBreaker.objects.filter(cluster_id=self._cluster_id, opened_at__isnull=False).update(retry_at=Now())
        return said

    def _call(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        rows = ClusterBreaker.objects.filter(cluster_id=self._cluster_id, channel__in=CALLS[name])
        tries = set()
        for row in rows:
            if row.opened_at is None:
                continue
            if not _take(row):
                return _not_made(name, row)
            tries.add(row.channel)
        blamed = CALLS[name][-1]
        try:
            answer = real(*args, **named)
        except Unavailable as error:
            self._failed(blamed, str(error.params.get("detail") or error), trying=blamed in tries)
            raise
        if isinstance(answer, ports.NotSent | ports.Unknown | ports.CannotTell):
            self._failed(blamed, answer.detail, trying=blamed in tries)
        else:
            _answered(rows)
        return answer

    @transaction.atomic
    def _failed(self, channel: str, detail: str, *, trying: bool) -> None:
        ClusterBreaker.objects.get_or_create(cluster_id=self._cluster_id, channel=channel)
        rows = ClusterBreaker.objects.filter(cluster_id=self._cluster_id, channel=channel)
        rows.update(failures=F("failures") + 1, detail=detail[:500])
        opened = rows.filter(opened_at__isnull=True, failures__gte=FAILURES).update(
            opened_at=Now(), trips=0, retry_at=Now() + Value(timedelta(seconds=FIRST_WAIT_S))
        )
        if opened:
            logger.error("breaker.opened", cluster_id=self._cluster_id, channel=channel, detail=detail)
        elif trying:
            # What failed while the circuit was open already says nothing new; only the one that tried lengthens the wait.
            rows.filter(opened_at__isnull=False).update(
                trips=Least(F("trips") + 1, 10),
                retry_at=Now()
                + Value(timedelta(seconds=1)) * Least(FIRST_WAIT_S * 2 ** Coalesce(F("trips") + 1, 0), MOST_WAIT_S),
            )


def _take(row: ClusterBreaker) -> bool:
    """Take the one try an open circuit allows, if it is due and nobody else has."""
    mine = ClusterBreaker.objects.filter(pk=row.pk, opened_at__isnull=False, retry_at__lte=Now())
    if mine.update(retry_at=Now() + Value(timedelta(seconds=LEASE_S))):
        return True
    return ClusterBreaker.objects.filter(pk=row.pk, opened_at__isnull=True).exists()


def _answered(rows: Any) -> None:
    """Close what was open and forget failures; nothing is written while all is well."""
    for row in rows:
        if row.opened_at is not None:
            logger.warning("breaker.closed", cluster_id=row.cluster_id, channel=row.channel)
        if row.failures or row.opened_at is not None:
            ClusterBreaker.objects.filter(pk=row.pk).update(
                failures=0, trips=0, opened_at=None, retry_at=None, closed_at=Now()
            )


def _not_made(name: str, row: ClusterBreaker) -> Any:
    """Answer as an unreachable cluster would."""
    detail = f"circuit open ({row.channel}): {row.detail}"[:500]
    if name == "submit":
        return ports.NotSent(detail)
    if name == "find":
        return ports.CannotTell(detail)
    raise Unavailable(detail=detail)
