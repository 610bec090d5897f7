"""The board of clusters: pools, prices, our jobs and announced maintenance, told from rows the pollers wrote.

Its fragment is kept for five seconds per language and kind of visitor, so any number of browsers cost one rendering; a
browser that shows the same already gets an empty answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext, ngettext

from portal import charts
from portal.kernel.actors import Actor, Permission
from portal.numbers.services import PORTAL_ZONE
from portal.pages.templatetags.show import count, quantity
from portal.wire import language
from scheduler.clusters import queries as readings
from scheduler.clusters import rules
from scheduler.clusters.models import ClusterPool
from scheduler.jobs import queries
from scheduler.maintenance import queries as maintenance
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.resources import queries as rates
from scheduler.resources.models import Cluster, Partition, Rate

__all__ = ["CARDS", "Line", "Panel", "age_text", "card_name", "fragment", "panels_of", "use_chart"]

KEPT_S: Final = 5
CARDS: Final[Mapping[str, str]] = MappingProxyType(
    {"a100": "NVIDIA A100", "h20": "NVIDIA H20", "h100": "NVIDIA H100", "910b": "Ascend 910B", "mi300": "AMD MI300"}
)
"""Names of cards by the schedulers' short names; others are shown in capitals."""


def card_name(card_type: str) -> str:
    return CARDS.get(card_type, card_type.upper())


def age_text(at: datetime | None, *, now: datetime) -> str:
    """Say how long ago something was seen, in words that change once a minute at most."""
    if at is None:
        return gettext("从未")
    seconds = max(int((now - at).total_seconds()), 0)
    if seconds < 60:
        return gettext("不到 1 分钟前")
    if seconds < 3600:
        return ngettext("%d 分钟前", "%d 分钟前", seconds // 60) % (seconds // 60)
    if seconds < 86_400:
        return ngettext("%d 小时前", "%d 小时前", seconds // 3600) % (seconds // 3600)
    return ngettext("%d 天前", "%d 天前", seconds // 86_400) % (seconds // 86_400)


@dataclass(frozen=True, slots=True)
class PoolLine:
    """One card type of a partition as the scheduler counts it. Without cards, processors are counted."""

    pool: ClusterPool
    card: str
    idle: str
    total: str
    rest: str
    age: str
    is_old: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One partition as a page shows it."""

    partition: Partition
    rate: Rate | None
    load: queries.Load
    card: str
    is_open: bool
    pools: Sequence[PoolLine]


@dataclass(frozen=True, slots=True)
class Panel:
    """One cluster as a page shows it."""

    cluster: Cluster
    health: str
    seen: str
    lines: Sequence[Line]
    windows: Sequence[MaintenanceWindow]
    can_submit: bool


def _pool_line(pool: ClusterPool, *, now: datetime) -> PoolLine:
    noun = "卡" if pool.cards else "核"
    used, down = (pool.cards_used, pool.cards_down) if pool.cards else (pool.cpus_used, 0)
    rest = [gettext("在用 %(number)s") % {"number": quantity(used)}]
    if down:
        rest.append(gettext("停用 %(number)s") % {"number": quantity(down)})
    rest.append(gettext("排队 %(number)s 个作业") % {"number": quantity(pool.waiting)})
    return PoolLine(
        pool=pool,
        card=card_name(pool.card_type),
        idle=quantity(pool.cards_idle if pool.cards else pool.cpus_idle),
        total=count(pool.cards or pool.cpus, noun),
        rest=gettext("，").join(rest),
        age=age_text(pool.as_of, now=now),
        is_old=now - pool.as_of > rules.STALE_AFTER,
    )


def panels_of(found: Sequence[Cluster], *, actor: Actor | None, now: datetime) -> list[Panel]:
    """Return clusters with pools, prices, load and maintenance: four queries for any number of them."""
    clusters = [each.pk for each in found]
    ids = [partition.pk for each in found for partition in each.partitions.all()]
    prices, loads = rates.rates_of_partitions(ids, at=now), queries.loads_of(ids)
    pools, windows = readings.pools_of(clusters), maintenance.ahead_of(clusters, now=now)
    invited = actor is None or actor.may(Permission.JOB_SUBMIT)
    panels = []
    for each in found:
        ahead = windows.get(each.pk, [])
        closed = any(now in window.period for window in ahead)
        takes = each.accepts_work and not closed
        lines = [
            Line(
                partition=partition,
                rate=prices.get(partition.pk),
                load=loads.get(partition.pk, queries.Load()),
                card=card_name(partition.card_type),
                is_open=partition.is_open and takes,
                pools=[_pool_line(pool, now=now) for pool in pools.get((each.pk, partition.name), [])],
            )
            for partition in each.partitions.all()
        ]
        health = readings.health_of(each, in_maintenance=closed, now=now)
        seen = age_text(each.health_at, now=now) if each.health_at else ""
        panels.append(Panel(each, health, seen, lines, ahead, invited and takes))
    return panels


def fragment(
    found: Sequence[Cluster], *, actor: Actor | None, path: str, now: datetime, fresh: bool = True
) -> tuple[str, str]:
    """Return the board of `found` and its digest; unless `fresh`, one rendered within the last five seconds will do."""
    if not found:
        return "", ""
    invited = actor is None or actor.may(Permission.JOB_SUBMIT)
    codes = hashlib.sha256(",".join(each.code for each in found).encode()).hexdigest()[:16]
    key = f"board:{get_language()}:{int(invited)}:{path}:{codes}"
    kept: tuple[str, str] | None = None if fresh else cache.get(key)
    if kept is not None:
        return kept
    context = {"panels": panels_of(found, actor=actor, now=now), "single": path == "one"}
    html = render_to_string("clusters/board.html", context)
    made = html, hashlib.sha256(html.encode()).hexdigest()[:20]
    cache.set(key, made, KEPT_S)
    return made


def answer(request: HttpRequest, context: Mapping[str, object]) -> HttpResponse:
    """Answer a browser that asks again: nothing where it shows this board already, else the new one."""
    digest = str(context["digest"])
    if request.headers.get("If-None-Match", "").strip('"') == digest:
        response = HttpResponse(status=304)
    elif request.GET["board"] == digest:
        response = HttpResponse(status=204)
    else:
        response = render(request, "clusters/live.html", dict(context))
    response["ETag"] = f'"{digest}"'
    response["Cache-Control"] = "private, no-cache"
    return response


def use_chart(cluster: Cluster, *, now: datetime) -> tuple[charts.Chart | None, list[readings.HourOfUse]]:
    """Return the use of the last day by full hours, as a chart and as the numbers beside it."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [row for row in readings.use_of_day(cluster.pk, now=now) if hour - timedelta(hours=24) <= row.at < hour]
    points = tuple(
        charts.Point(
            label=f"{localtime(row.at, PORTAL_ZONE):%H:%M}",
            amount=round(100 * (row.used if row.cards else row.cpus_used) / (row.cards or row.cpus or 1), 1),
            text=f"{100 * (row.used if row.cards else row.cpus_used) / (row.cards or row.cpus or 1):.0f}%",
            series=card_name(row.card_type) or gettext("处理器"),
        )
        for row in rows
    )
    if len({point.label for point in points}) < 2:
        return None, rows
    chart = charts.Chart(
        kind=charts.Kind.LINE,
        title=gettext("近 24 小时使用率"),
        description=charts.text_of(list(points)),
        points=points,
        amounts=gettext("使用率（%）"),
        language=language(),
    )
    return chart, rows
