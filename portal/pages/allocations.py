"""Computing granted to enterprises: what was granted, is used, runs and is left; granting, changing, ending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.period import Period
from portal.numbers.services import PORTAL_ZONE
from portal.organisations import access as people
from portal.pages import shell, slots
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.allocations import access, queries, services
from scheduler.allocations.models import Allocation
from scheduler.allocations.rules import MOST_CARDS, MOST_HOURS, Amounts, Standing, hours_text
from scheduler.resources import access as resources
from scheduler.resources.models import Partition

__all__ = ["allocation", "allocation_new", "allocations"]

SORTS = {
    "name": ["name"],
    "organisation": ["organisation__name"],
    "until": ["during"],
    "number": ["pk"],
}
LEAST_SHOWN = 4
"""Of a thousand: no visible part of a bar is thinner."""


def phase_of(row: Allocation, *, now: datetime) -> str:
    """Return where a grant is in time, as a code with words (`labels.py`, ``allocation``)."""
    if row.ended_at is not None:
        return "ended"
    if now < row.during.lower:
        return "coming"
    return "in_force" if now < row.during.upper else "over"


class AllocationFilter(forms.Form):
    """What the list may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    phase = forms.ChoiceField(
        label=_("状态"),
        required=False,
        choices=[
            ("", _("全部")),
            ("in_force", _("生效中")),
            ("coming", _("未开始")),
            ("over", _("已到期")),
            ("ended", _("已终止")),
        ],
    )

    def narrow(self, rows: QuerySet[Allocation], *, now: datetime) -> QuerySet[Allocation]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        said = self.cleaned_data if self.is_valid() else {}
        match said.get("phase"):
            case "in_force":
                rows = rows.filter(ended_at__isnull=True, during__contains=now)
            case "coming":
                rows = rows.filter(ended_at__isnull=True, during__startswith__gt=now)
            case "over":
                rows = rows.filter(ended_at__isnull=True, during__endswith__lte=now)
            case "ended":
                rows = rows.filter(ended_at__isnull=False)
        for word in (said.get("q") or "").split():
            rows = rows.filter(
                Q(name__icontains=word)
                | Q(number__icontains=word)
                | Q(organisation__name__icontains=word)
                | Q(programme_code__icontains=word)
            )
        return rows


@dataclass(frozen=True, slots=True)
class Line:
    """One grant as the page shows it."""

    row: Allocation
    standing: Standing
    phase: str
    scope: str
    hours: dict[str, Any] | None
    cards: dict[str, Any] | None
    is_managed: bool


@shell.needs(Permission.ALLOCATION_MANAGE, Permission.JOB_SUBMIT)
def allocations(request: HttpRequest) -> HttpResponse:
    """List grants with what is used, running and left of each: one's own, or those one granted."""
    actor, now = shell.actor_of(request), timezone.now()
    filters = AllocationFilter(request.GET)
    rows = filters.narrow(access.visible_to(actor), now=now)
    if shell.wants_csv(request):
        return _csv(rows, now=now)
    listing = shell.listing(request, rows, sorts=SORTS, default="-number")
    found = list(listing.rows)
    standings = queries.standings(found)
    context = {
        "filters": filters,
        "listing": listing,
        "lines": [_line(row, standings[row.pk], actor=actor, now=now) for row in found],
        "grants": actor.may(Permission.ALLOCATION_MANAGE),
        "now": now,
    }
    return shell.page(request, "allocations/list.html", context)


def _line(row: Allocation, standing: Standing, *, actor: Actor, now: datetime) -> Line:
    hours = cards = None
    if standing.left_s is not None:
        parts = (("used", standing.used_s), ("held", standing.held_s), ("free", standing.left_s))
        hours = _bar([(code, _hours_words(code), amount, hours_text(amount)) for code, amount in parts])
    if standing.cards_left is not None:
        numbers = (("used", standing.running), ("held", standing.waiting), ("free", standing.cards_left))
        cards = _bar([(code, _cards_words(code), amount, str(amount)) for code, amount in numbers])
    return Line(
        row=row,
        standing=standing,
        phase=phase_of(row, now=now),
        scope=_scope(row),
        hours=hours,
        cards=cards,
        is_managed=actor.may(Permission.ALLOCATION_MANAGE) and row.granted_by_id == actor.organisation_id,
    )


def _hours_words(code: str) -> str:
    return {"used": gettext("已用"), "held": gettext("未结束的作业"), "free": gettext("剩余")}[code]


def _cards_words(code: str) -> str:
    return {"used": gettext("运行"), "held": gettext("等待"), "free": gettext("剩余")}[code]


def _bar(parts: Sequence[tuple[str, str, int, str]]) -> dict[str, Any]:
    """Return a stacked bar: each part's code, words, amount and text. Parts of nothing are left out."""
    shown = [part for part in parts if part[2] > 0]
    total = sum(part[2] for part in shown)
    widths = [max(LEAST_SHOWN, round(1000 * part[2] / total)) for part in shown]
    if widths:
        widths[widths.index(max(widths))] += 1000 - sum(widths)
    bars, x = [], 0
    for (code, words, _amount, text), width in zip(shown, widths, strict=True):
        bars.append({"code": code, "label": words, "text": text, "x": x, "width": width})
        x += width
    return {"bars": bars, "sentence": gettext("，").join(f"{words} {text}" for _code, words, _n, text in parts)}


def _scope(row: Allocation) -> str:
    """Say what a grant covers: partition and programme."""
    where = (
        f"{bilingual(row.partition.cluster)} · {bilingual(row.partition, 'label')}"
        if row.partition
        else gettext("全部分区，合计")
    )
    return f"{where} · {row.programme_code}" if row.programme_code else where


def _csv(rows: QuerySet[Allocation], *, now: datetime) -> HttpResponse:
    head = (
        gettext("配额号"),
        gettext("名称"),
        gettext("单位"),
        gettext("政策项目"),
        gettext("集群"),
        gettext("分区"),
        gettext("开始"),
        gettext("结束"),
        gettext("状态"),
        gettext("核给卡时"),
        gettext("已用卡时"),
        gettext("未结束作业占用卡时"),
        gettext("剩余卡时"),
        gettext("同时用卡"),
        gettext("运行卡数"),
        gettext("等待卡数"),
        gettext("剩余卡数"),
    )
    found = list(rows.order_by("-pk")[: shell.EXPORT_LIMIT])
    standings = queries.standings(found)
    return shell.csv_response("allocations", head, (_csv_row(row, standings[row.pk], now=now) for row in found))


def _csv_row(row: Allocation, standing: Standing, *, now: datetime) -> tuple[object, ...]:
    partition = row.partition
    return (
        row.number,
        row.name,
        bilingual(row.organisation),
        row.programme_code,
        bilingual(partition.cluster) if partition else "",
        bilingual(partition, "label") if partition else "",
        _local(row.during.lower),
        _local(row.during.upper),
        label_of("allocation", phase_of(row, now=now))[1],
        "" if row.card_s is None else hours_text(row.card_s),
        hours_text(standing.used_s),
        hours_text(standing.held_s),
        "" if standing.left_s is None else hours_text(standing.left_s),
        row.cards,
        standing.running,
        standing.waiting,
        standing.cards_left,
    )


def _local(at: datetime) -> str:
    return f"{at.astimezone(PORTAL_ZONE):%Y-%m-%d %H:%M} {gettext('北京时间')}"


class AmountsForm(forms.Form):
    """How much, and until when."""

    card_hours = forms.IntegerField(
        label=_("卡时"), min_value=0, max_value=MOST_HOURS, required=False, help_text=_("整个期间合计；留空为不限。")
    )
    cards = forms.IntegerField(
        label=_("同时用卡"),
        min_value=0,
        max_value=MOST_CARDS,
        required=False,
        help_text=_("所有未结束作业的卡数之和；留空为不限。"),
    )
    until = slots.DayField(label=_("截止日（含）"))

    def amounts(self) -> Amounts:
        """Return what was filled in; `Amounts.check` judges it."""
        hours = self.cleaned_data["card_hours"]
        return Amounts(None if hours is None else hours * 3600, self.cleaned_data["cards"])

    def ends_at(self) -> datetime:
        """Return the end of the last day, in Beijing."""
        return slots.instant(self.cleaned_data["until"] + timedelta(days=1), 0, PORTAL_ZONE.key, field="until")


class GrantForm(AmountsForm):
    """A new grant."""

    name = forms.CharField(label=_("名称"), max_length=60, help_text=_("企业会看到，例如“2026 年第四季度算力”。"))
    organisation = forms.CharField(label=_("企业"), max_length=120, help_text=_("单位全称或统一社会信用代码。"))
    partition = forms.ChoiceField(label=_("分区"), required=False)
    programme = forms.CharField(
        label=_("政策项目编号"), max_length=60, required=False, help_text=_("填写后只计用该项目的券支付的作业。")
    )
    since = slots.DayField(label=_("起始日"))
    field_order = ("name", "organisation", "partition", "programme", "card_hours", "cards", "since", "until")

    def __init__(self, data: Any, *, partitions: Sequence[Partition], whole: bool, **more: Any) -> None:
        super().__init__(data, **more)
        field = self.fields["partition"]
        assert isinstance(field, forms.ChoiceField)
        named = [(str(each.pk), f"{bilingual(each.cluster)} · {bilingual(each, 'label')}") for each in partitions]
        field.choices = [*([("", gettext("全部分区，合计"))] if whole else []), *named]
        field.required = not whole


@shell.needs(Permission.ALLOCATION_MANAGE)
def allocation_new(request: HttpRequest) -> HttpResponse:
    """Grant card-hours or cards to an enterprise."""
    actor, now = shell.actor_of(request), timezone.now()
    partitions = _partitions(actor)
    posted = request.POST if request.method == "POST" else None
    whole = not actor.may(Permission.CLUSTER_READ)
    form = GrantForm(
        posted, partitions=partitions, whole=whole, initial={"since": timezone.localdate(now, PORTAL_ZONE)}
    )
    error: Explained | None = None
    if posted is not None and form.is_valid():
        made, error = shell.attempt(
            lambda: services.grant(actor=actor, wanted=_wanted(form, partitions), now=now, key=shell.key_of(request))
        )
        if error is None:
            messages.success(
                request, gettext("已核给配额 %(number)s，对以后提交的作业生效。") % {"number": made.number}
            )
            return redirect("allocations")
        error = slots.put_back(form, error, {"ends_at": "until", "credit_code": "organisation"})
    context = {"form": form, "error": error, "key": request.POST.get("idempotency_key") or shell.new_key()}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "allocations/new.html", context, status=status)


def _partitions(actor: Actor) -> list[Partition]:
    """Return the partitions the actor may grant on: an operator those of its own clusters, a department all."""
    found = resources.clusters()
    if actor.may(Permission.CLUSTER_READ):
        found = found.filter(owner_id=actor.acting_for)
    return [partition for cluster in found for partition in cluster.partitions.all() if partition.max_cards]


def _wanted(form: GrantForm, partitions: Sequence[Partition]) -> services.Wanted:
    said = form.cleaned_data
    organisation = people.by_name_or_code(said["organisation"])
    if organisation is None:
        raise NotFound(field="organisation")
    start = slots.instant(said["since"], 0, PORTAL_ZONE.key, field="since")
    return services.Wanted(
        name=said["name"],
        organisation=organisation,
        amounts=form.amounts(),
        period=Period(start, form.ends_at()),
        programme_code=said["programme"].strip(),
        partition=next((each for each in partitions if str(each.pk) == said["partition"]), None),
    )


@shell.needs(Permission.ALLOCATION_MANAGE)
def allocation(request: HttpRequest, number: str) -> HttpResponse:
    """Change or end a grant of one's own organisation."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_managed(actor, number)
    act = shell.act_of(request, "change", "end") if request.method == "POST" else ""
    if act == "end":
        services.end(actor=actor, allocation=row, now=now)
        messages.success(request, gettext("已终止配额 %(number)s。") % {"number": row.number})
        return redirect("allocations")
    last_day = (row.during.upper.astimezone(PORTAL_ZONE) - timedelta(microseconds=1)).date()
    initial = {"card_hours": None if row.card_s is None else row.card_s // 3600, "cards": row.cards, "until": last_day}
    form = AmountsForm(request.POST if act else None, initial=initial)
    error: Explained | None = None
    if act and form.is_valid():
        _made, error = shell.attempt(
            lambda: services.change(actor=actor, allocation=row, amounts=form.amounts(), until=form.ends_at(), now=now)
        )
        if error is None:
            messages.success(request, gettext("已修改配额 %(number)s。") % {"number": row.number})
            return redirect("allocations")
        error = slots.put_back(form, error)
    line = _line(row, queries.standings([row])[row.pk], actor=actor, now=now)
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "allocations/change.html", {"form": form, "line": line, "error": error}, status=status)
