"""Use of computing: an enterprise its own, an operator its clusters', the department everybody's; and use without the portal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import charts
from portal.kernel.money import Money
from portal.pages import shell
from portal.pages.casework import language
from portal.pages.exports import FORMATS, exported
from portal.pages.jobs import stamp
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.metering import access, queries

__all__ = ["UseFilter", "unmanaged", "use"]

MOST_BARS = 20
MOST_DAYS = 14
"""Points of a line whose labels can still be read on a phone."""
SORTS = {
    "job": ["job__number"],
    "organisation": ["job__organisation__name"],
    "partition": ["job__partition__cluster__name", "job__partition__label"],
    "ended": ["ended_at"],
    "amount": ["line_fen"],
}
UNMANAGED_SORTS = {
    "number": ["pk"],
    "organisation": ["organisation__name"],
    "started": ["started_at"],
    "amount": ["amount_fen"],
}


class UseFilter(forms.Form):
    """A period in days of Beijing, both included, and a word."""

    since = forms.DateField(label=_("从"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("到"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    q = forms.CharField(label=_("作业号或单位"), required=False, max_length=60)

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Return the period as moments, half-open."""
        chosen = self.cleaned_data if self.is_valid() else {}
        zone = timezone.get_current_timezone()
        since, until = chosen.get("since"), chosen.get("until")
        return (
            datetime.combine(since, time(), zone) if since else None,
            datetime.combine(until + timedelta(days=1), time(), zone) if until else None,
        )

    @property
    def word(self) -> str:
        return str(self.cleaned_data.get("q") or "") if self.is_valid() else ""


@shell.needs(*access.READERS)
def use(request: HttpRequest) -> HttpResponse:
    """Show priced runs, summed by enterprise and kind of card, with a chart; the runs as CSV or workbook."""
    actor = shell.actor_of(request)
    filters = UseFilter(request.GET)
    since, until = filters.bounds()
    runs = queries.billed_runs(actor, since=since, until=until)
    if filters.word:
        runs = runs.filter(Q(job__number__icontains=filters.word) | Q(job__organisation__name__icontains=filters.word))
    asked = request.GET.get("format")
    if asked in FORMATS:
        return _file(asked, runs)
    sums = queries.by_card(runs)
    return shell.page(
        request,
        "jobs/use.html",
        {
            "filters": filters,
            "listing": shell.listing(request, runs, sorts=SORTS, default="-ended"),
            "sums": sums,
            "total_fen": sum(one.amount_fen for one in sums),
            "chart": _chart(sums),
            "course": _course(queries.by_day(runs, zone=timezone.get_current_timezone())),
            "own": actor.organisation_id,
            "outside": access.unmanaged_of(actor).count(),
        },
    )


def _card(card_type: str) -> str:
    return card_type.upper() or "CPU"


def _chart(sums: Sequence[queries.Use]) -> str:
    """Draw what was used, a bar for each enterprise and kind of card."""
    points = tuple(
        charts.Point(
            label=f"{bilingual_name(one)} · {_card(one.card_type)}",
            amount=one.units_s / 3600,
            text=_hours(one.units_s),
        )
        for one in sums[:MOST_BARS]
        if one.units_s
    )
    if not points:
        return ""
    return charts.cached(
        charts.Chart(
            kind=charts.Kind.BAR,
            title=gettext("各单位、各类卡的用量"),
            description=charts.text_of(points),
            points=points,
            amounts=_units({one.unit for one in sums}),
            language=language(),
        )
    )


def _hours(units_s: int) -> str:
    """Write hours: two digits where one would tell 0.0 from nothing."""
    hours = units_s / 3600
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:,.2f}"  # from here one digit tells enough


def _units(units: Collection[str]) -> str:
    if len(units) == 1:
        return label_of("price_unit", next(iter(units)))[1]
    return gettext("卡时或核时")


def _weeks(days: Sequence[queries.Day]) -> Sequence[queries.Day]:
    """Fold days into weeks, each told by its Monday."""
    weeks: dict[date, Counter[str]] = {}
    for day in days:
        weeks.setdefault(day.day - timedelta(days=day.day.weekday()), Counter()).update(day.units_s)
    units = frozenset(unit for day in days for unit in day.units)
    return [queries.Day(day=monday, units_s=used, units=units) for monday, used in weeks.items()]


def _course(days: Sequence[queries.Day]) -> str:
    """Draw what was used by day, over more than a fortnight by week, a line for each kind of card.

    Empty unless there are two to join.
    """
    by_week = len(days) > MOST_DAYS
    told = (_weeks(days) if by_week else days)[-MOST_DAYS:]
    kinds = sorted({kind for day in told for kind in day.units_s})
    if len(told) < 2:  # a line has two ends
        return ""
    points = tuple(
        charts.Point(
            label=f"{day.day:%m-%d}",
            amount=day.units_s.get(kind, 0) / 3600,
            text=_hours(day.units_s.get(kind, 0)),
            series=_card(kind),
        )
        for kind in kinds
        for day in told
    )
    return charts.cached(
        charts.Chart(
            kind=charts.Kind.LINE,
            title=gettext("逐周用量") if by_week else gettext("逐日用量"),
            description=charts.text_of(points),
            points=points,
            amounts=_units({unit for day in told for unit in day.units}),
            labels=gettext("周一日期") if by_week else "",
            language=language(),
        )
    )


def bilingual_name(one: queries.Use) -> str:
    """Return the enterprise's name in the reader's language."""
    return one.organisation_en if language().startswith("en") and one.organisation_en else one.organisation


def _file(kind: str, runs: QuerySet[Any]) -> HttpResponse:
    head = (
        gettext("作业号"),
        gettext("运行"),
        gettext("单位"),
        gettext("集群"),
        gettext("分区"),
        gettext("卡型"),
        gettext("开始"),
        gettext("结束"),
        gettext("数量"),
        gettext("计费秒数"),
        gettext("计价单位"),
        gettext("单价（元）"),
        gettext("金额（元）"),
    )
    rows = [_row(run) for run in runs.order_by("-ended_at", "-pk")[: shell.EXPORT_LIMIT]]
    return exported("compute-use", kind, head, rows)


def _row(run: Any) -> tuple[Any, ...]:
    job = run.job
    return (
        job.number,
        run.no,
        bilingual(job.organisation),
        bilingual(job.partition.cluster),
        bilingual(job.partition, "label"),
        _card(job.partition.card_type),
        stamp(run.started_at),
        stamp(run.ended_at),
        run.line_count,
        run.line_seconds,
        label_of("price_unit", run.line_unit)[1],
        Money(run.line_price_fen),
        Money(run.line_fen),
    )


@shell.needs(*access.READERS)
def unmanaged(request: HttpRequest) -> HttpResponse:
    """List runs on enterprises' accounts that did not go through the portal, with what is owed for them."""
    actor = shell.actor_of(request)
    filters = UseFilter(request.GET)
    since, until = filters.bounds()
    rows = access.unmanaged_of(actor)
    if since:
        rows = rows.filter(started_at__gte=since)
    if until:
        rows = rows.filter(started_at__lt=until)
    if filters.word:
        rows = rows.filter(Q(number__icontains=filters.word) | Q(organisation__name__icontains=filters.word))
    if shell.wants_csv(request):
        return _unmanaged_csv(rows)
    return shell.page(
        request,
        "jobs/unmanaged.html",
        {
            "filters": filters,
            "listing": shell.listing(request, rows, sorts=UNMANAGED_SORTS, default="-started"),
            "owed_fen": rows.aggregate(sum=Sum("amount_fen"))["sum"] or 0,
        },
    )


def _unmanaged_csv(rows: QuerySet[Any]) -> HttpResponse:
    head = (
        gettext("编号"),
        gettext("单位"),
        gettext("集群"),
        gettext("集群作业号"),
        gettext("账户"),
        gettext("用户"),
        gettext("开始"),
        gettext("结束"),
        gettext("数量"),
        gettext("计时（秒）"),
        gettext("应付（元）"),
    )
    lines = (
        (
            row.number,
            bilingual(row.organisation) if row.organisation else "",
            bilingual(row.cluster),
            row.cluster_job_id,
            row.account,
            row.user,
            stamp(row.started_at),
            stamp(row.ended_at),
            row.count,
            row.elapsed_s,
            Money(row.amount_fen).yuan() if row.amount_fen is not None else "",
        )
        for row in rows.order_by("-pk")[: shell.EXPORT_LIMIT]
    )
    return shell.csv_response("unmanaged-runs", head, lines)
