"""Clusters: what there is, whether it is well, what it costs, how busy it is; and the operator's board."""

from __future__ import annotations

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext

from portal import charts
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import board, shell
from portal.pages.exports import FORMATS, exported
from portal.pages.jobs import JobFilter, stamp
from portal.pages.templatetags.show import bilingual, label
from scheduler.jobs import access, rules
from scheduler.jobs.models import Job
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster

__all__ = ["cluster", "clusters"]

SORTS = {
    "number": ["pk"],
    "organisation": ["organisation__name"],
    "partition": ["partition__label"],
    "cards": ["cards", "cpus"],
    "state": ["state"],
    "started": ["started_at"],
}


@shell.guarded
def clusters(request: HttpRequest) -> HttpResponse:
    """Show every cluster: health, pools, partitions, prices, limits, what runs and waits; ``?board=`` asks again."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    found = list(resources.clusters())
    html, digest = board.fragment(found, actor=actor, path="list", now=now, fresh="board" not in request.GET)
    context = {"board": mark_safe(html), "digest": digest, "path": request.path}  # noqa: S308  our own template's
    if "board" in request.GET:
        return board.answer(request, context)
    desk = actor is not None and actor.may(Permission.CLUSTER_MANAGE)
    return shell.page(request, "clusters/clusters.html", {**context, "desk": desk, "now": now})


@shell.guarded
def cluster(request: HttpRequest, code: str) -> HttpResponse:
    """Show one cluster; to its operator also the board of jobs, without titles and scripts, which are secrets."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    found = resources.get_cluster(code)
    html, digest = board.fragment([found], actor=actor, path="one", now=now, fresh="board" not in request.GET)
    shown = {"board": mark_safe(html), "digest": digest, "path": request.path}  # noqa: S308  our own template's
    if "board" in request.GET:
        return board.answer(request, shown)
    operates = actor is not None and actor.may(Permission.CLUSTER_READ) and found.owner_id == actor.organisation_id
    context: dict[str, object] = {**shown, "cluster": found, "operates": operates, "now": now}
    if operates:
        assert actor is not None
        jobs = _board(actor, found)
        filters = JobFilter(
            request.GET, partitions=found.partitions.select_related("cluster"), columns=("organisation__name",)
        )
        rows = filters.narrow(jobs)
        if (wanted := request.GET.get("format")) in FORMATS:
            return _table(found, rows, str(wanted))
        context |= {
            "filters": filters,
            "listing": shell.listing(request, rows, sorts=SORTS, default="-number"),
            "attention": _attention(jobs),
            "desk": actor.may(Permission.CLUSTER_MANAGE),
        }
    chart, hours = board.use_chart(found, now=now)
    context |= {"chart": charts.cached(chart) if chart else "", "hours": hours}
    return shell.page(request, "clusters/cluster.html", context)


def _board(actor: Actor, found: Cluster) -> QuerySet[Job]:
    return access.on_cluster(actor, found).select_related("charge").annotate(ran=F("ended_at") - F("started_at"))


def _attention(jobs: QuerySet[Job]) -> list[Job]:
    """Return the oldest jobs whose fate the portal is still finding out: the operator can help."""
    return list(jobs.filter(state=rules.JobState.UNKNOWN.value).order_by("pk")[:5])


def _table(found: Cluster, rows: QuerySet[Job], wanted: str) -> HttpResponse:
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
    return exported(f"jobs-{found.code}", wanted, head, map(_table_row, lines))


def _table_row(row: Job) -> tuple[object, ...]:
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
        Money(charge.price_fen),
        Money(charge.actual_fen) if charge.actual_fen is not None else "",
    )
