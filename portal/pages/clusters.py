"""Clusters: what there is, whether it is well, what it costs, how busy it is; and the operator's board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import shell
from portal.pages.jobs import JobFilter, stamp
from portal.pages.templatetags.show import bilingual, label
from scheduler.jobs import access, queries, rules
from scheduler.jobs.models import Job
from scheduler.resources import access as resources
from scheduler.resources import queries as rates
from scheduler.resources.models import Cluster, Partition, Rate

__all__ = ["cluster", "clusters", "health_of"]

FRESH: Final = timedelta(minutes=3)
"""A cluster is asked every 30 s; what it said longer ago than this is not its present state."""
CARDS: Final[Mapping[str, str]] = MappingProxyType(
    {"a100": "NVIDIA A100", "h20": "NVIDIA H20", "h100": "NVIDIA H100", "910b": "Ascend 910B", "mi300": "AMD MI300"}
)
"""Names of cards by the schedulers' short names; others are shown in capitals."""
SORTS = {
    "number": ["pk"],
    "organisation": ["organisation__name"],
    "partition": ["partition__label"],
    "cards": ["cards", "cpus"],
    "state": ["state"],
    "started": ["started_at"],
}


def health_of(found: Cluster, *, now: datetime) -> str:
    """Return how a cluster is, as a code with words (`labels.py`, ``health``)."""
    if not found.accepts_work:
        return "maintenance"
    if found.health_at is None or found.health_ok is None:
        return "unknown"
    if now - found.health_at > FRESH:
        return "stale"
    return "well" if found.health_ok else "away"


@dataclass(frozen=True, slots=True)
class Line:
    """One partition as a page shows it."""

    partition: Partition
    rate: Rate | None
    load: queries.Load
    card: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One cluster as a page shows it."""

    cluster: Cluster
    health: str
    lines: Sequence[Line]
    can_submit: bool


def _panels(found: Sequence[Cluster], *, actor: Actor | None, now: datetime) -> list[Panel]:
    """Return clusters with prices and load: two queries for any number of them."""
    ids = [partition.pk for each in found for partition in each.partitions.all()]
    prices, loads = rates.rates_of_partitions(ids, at=now), queries.loads_of(ids)
    invited = actor is None or actor.may(Permission.JOB_SUBMIT)
    return [
        Panel(
            cluster=each,
            health=health_of(each, now=now),
            lines=[
                Line(
                    partition=partition,
                    rate=prices.get(partition.pk),
                    load=loads.get(partition.pk, queries.Load()),
                    card=CARDS.get(partition.card_type, partition.card_type.upper()),
                    is_open=partition.is_open and each.accepts_work,
                )
                for partition in each.partitions.all()
            ],
            can_submit=invited and each.accepts_work,
        )
        for each in found
    ]


@shell.guarded
def clusters(request: HttpRequest) -> HttpResponse:
    """Show every cluster: health, partitions, prices, limits, what runs and waits."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    panels = _panels(list(resources.clusters()), actor=actor, now=now)
    return shell.page(request, "clusters/clusters.html", {"panels": panels, "now": now})


@shell.guarded
def cluster(request: HttpRequest, code: str) -> HttpResponse:
    """Show one cluster; to its operator also the board of jobs, without titles and scripts, which are secrets."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    found = resources.get_cluster(code)
    operates = actor is not None and actor.may(Permission.CLUSTER_READ) and found.owner_id == actor.organisation_id
    context: dict[str, object] = {"operates": operates, "now": now}
    if operates:
        assert actor is not None
        board = _board(actor, found)
        filters = JobFilter(
            request.GET, partitions=found.partitions.select_related("cluster"), columns=("organisation__name",)
        )
        rows = filters.narrow(board)
        if shell.wants_csv(request):
            return _csv(found, rows)
        context |= {
            "filters": filters,
            "listing": shell.listing(request, rows, sorts=SORTS, default="-number"),
            "attention": _attention(board),
        }
    [panel] = _panels([found], actor=actor, now=now)
    return shell.page(request, "clusters/cluster.html", {**context, "panel": panel})


def _board(actor: Actor, found: Cluster) -> QuerySet[Job]:
    return access.on_cluster(actor, found).select_related("charge").annotate(ran=F("ended_at") - F("started_at"))


def _attention(board: QuerySet[Job]) -> list[Job]:
    """Return the oldest jobs whose fate the portal is still finding out: the operator can help."""
    return list(board.filter(state=rules.JobState.UNKNOWN.value).order_by("pk")[:5])


def _csv(found: Cluster, rows: QuerySet[Job]) -> HttpResponse:
    head = (
        gettext("作业号"),
        gettext("集群作业号"),
        gettext("单位"),
        gettext("分区"),
        gettext("加速卡"),
        gettext("CPU 核数"),
        gettext("内存（MB）"),
        gettext("时限（分钟）"),
        gettext("状态"),
        gettext("提交"),
        gettext("开始"),
        gettext("结束"),
        gettext("状态核对于"),
        gettext("冻结（元）"),
        gettext("实际（元）"),
    )
    lines = rows.order_by("-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response(f"jobs-{found.code}", head, map(_csv_row, lines))


def _csv_row(row: Job) -> tuple[object, ...]:
    charge = row.charge
    assert charge is not None
    return (
        row.number,
        row.cluster_job_id,
        bilingual(row.organisation),
        bilingual(row.partition, "label"),
        row.cards,
        row.cpus,
        row.memory_mb,
        row.time_limit_s // 60,
        label(row.state, "job"),
        stamp(row.created_at),
        stamp(row.started_at),
        stamp(row.ended_at),
        stamp(row.observed_at),
        Money(charge.price_fen).yuan(),
        Money(charge.actual_fen).yuan() if charge.actual_fen is not None else "",
    )
