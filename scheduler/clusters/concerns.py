"""What else needs a person: stuck jobs, runs without a price, limits that do not hold, runs past the portal, books, circuits.

Each is one query for any number of clusters, from rows others wrote. An alert ends when what it tells of has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.db.models.functions import Coalesce

from scheduler.clusters import rules
from scheduler.clusters.rules import Alert, AlertKind
from scheduler.jobs import rules as job_rules
from scheduler.jobs.doubt_models import ClusterBreaker
from scheduler.jobs.models import Job
from scheduler.limits import rules as limits
from scheduler.limits.models import ClusterAccount, LimitDrift
from scheduler.maintenance import queries as maintenance
from scheduler.metering import queries as metering
from scheduler.metering.models import JobAudit, QuarantinedRun, UnmanagedRun
from scheduler.metering.rules import QuarantineState

__all__ = ["MOST_NAMED", "of"]

MOST_NAMED: Final = 10
Told = tuple[int, str, datetime | None]
"""The cluster, what is concerned, and since when."""


def of(cluster_ids: Sequence[int], *, now: datetime) -> dict[int, list[Alert]]:
    """Return these alerts by cluster, the gravest kind first. Eight queries."""
    found: dict[int, list[Alert]] = {}
    sources: tuple[tuple[AlertKind, Iterable[Told]], ...] = (
        (AlertKind.BREAKER, _circuits(cluster_ids)),
        (AlertKind.STUCK, _stuck(cluster_ids, now=now)),
        (AlertKind.AUDIT, _differing(cluster_ids)),
        (AlertKind.QUARANTINE, _unpriced(cluster_ids)),
        (AlertKind.REFUSED, _refused(cluster_ids)),
        (AlertKind.DRIFT, _drifted(cluster_ids, now=now)),
        (AlertKind.UNMANAGED, _unmanaged(cluster_ids, now=now)),
        (AlertKind.MAINTENANCE, _windows(cluster_ids, now=now)),
    )
    for kind, told in sources:
        by_cluster: dict[int, list[Told]] = {}
        for one in told:
            by_cluster.setdefault(one[0], []).append(one)
        for pk, ones in by_cluster.items():
            since = min((at for _pk, _name, at in ones if at is not None), default=None)
            names = list(dict.fromkeys(name for _pk, name, _at in ones))
            found.setdefault(pk, []).append(Alert(kind, since, len(names), names[:MOST_NAMED]))
    return found


def _stuck(ids: Sequence[int], *, now: datetime) -> Iterator[Told]:
    """Yield jobs not sent or not released for long, and those on a cluster that nobody has seen for long.

    Held and unclear ones are alerts of their own. A job that waits for another to be sent first is in order.
    """
    state = job_rules.JobState
    waiting = Q(state__in=[state.PENDING.value, state.PLACED.value], since__lt=now - rules.STUCK_AFTER)
    on_cluster = [each.value for each in job_rules.ON_CLUSTER if each is not state.PLACED]
    unseen = Q(state__in=on_cluster, held=False, observed_at__lt=now - rules.STALE_AFTER)
    rows = (
        Job.objects.filter(partition__cluster_id__in=ids, settled_at__isnull=True)
        .annotate(since=Coalesce("attempted_at", "created_at"))
        .filter(waiting | unseen)
        .exclude(state=state.PENDING.value, dependencies__after__state=state.PENDING.value)
        .order_by("pk")
        .values_list("partition__cluster_id", "number", "state", "since", "observed_at")
    )
    for pk, number, said, since, seen in rows:
        yield pk, number, seen if said in on_cluster else since


def _unpriced(ids: Sequence[int]) -> Iterator[Told]:
    rows = QuarantinedRun.objects.filter(cluster_id__in=ids).exclude(state=QuarantineState.RESOLVED.value)
    for pk, number, no, other, at in rows.order_by("opened_at", "pk").values_list(
        "cluster_id", "run__job__number", "run__no", "unmanaged__number", "opened_at"
    ):
        yield pk, f"{number}/{no}" if number else other, at


def _refused(ids: Sequence[int]) -> Iterator[Told]:
    rows = ClusterAccount.objects.filter(cluster_id__in=ids, state=limits.AccountState.REFUSED.value)
    yield from rows.order_by("name").values_list("cluster_id", "name", Coalesce("applied_at", "created_at"))


def _drifted(ids: Sequence[int], *, now: datetime) -> Iterator[Told]:
    """Yield accounts with a difference not repaired, or with the same repaired twice within a day."""
    drifts = LimitDrift.objects.filter(account__cluster_id__in=ids).order_by("pk")
    rows = drifts.filter(Q(repaired_at__isnull=True) | Q(repaired_at__gt=now - limits.AGAIN_WITHIN)).values_list(
        "account__cluster_id", "account__name", "what", "seen_at", "repaired_at"
    )
    repaired: set[tuple[int, str, str]] = set()
    for pk, name, what, at, done_at in rows:
        if done_at is None or (pk, name, what) in repaired:
            yield pk, name, at
        else:
            repaired.add((pk, name, what))


def _unmanaged(ids: Sequence[int], *, now: datetime) -> Iterator[Told]:
    rows = UnmanagedRun.objects.filter(cluster_id__in=ids, first_seen_at__gt=now - rules.UNMANAGED_WITHIN)
    yield from rows.order_by("first_seen_at", "pk").values_list("cluster_id", "number", "first_seen_at")


def _differing(ids: Sequence[int]) -> Iterator[Told]:
    """Yield the jobs of these clusters that the last audit found to differ. One query more where it found any."""
    last = JobAudit.objects.order_by("-pk").first()
    if last is None or not last.differences:
        return
    for cluster, numbers in metering.differing(last).items():
        if cluster.pk in ids:
            yield from ((cluster.pk, number, last.made_at) for number in numbers)


def _circuits(ids: Sequence[int]) -> Iterator[Told]:
    rows = ClusterBreaker.objects.filter(cluster_id__in=ids, opened_at__isnull=False)
    yield from rows.order_by("channel").values_list("cluster_id", "channel", "opened_at")


def _windows(ids: Sequence[int], *, now: datetime) -> Iterator[Told]:
    for pk, windows in maintenance.ahead_of(ids, now=now).items():
        yield from ((pk, window.reason, window.period.start) for window in windows)
