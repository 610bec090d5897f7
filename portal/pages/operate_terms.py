"""The operator's pages of partitions with their prices, and of credentials with their exchange."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.numbers.services import PORTAL_ZONE
from portal.pages import shell, slots
from portal.pages.cluster_words import SIGNERS, STEPS
from portal.pages.fields import YuanField
from scheduler.clusters import access, credentials, rules
from scheduler.clusters.models import ClusterStatus, KeyRotation
from scheduler.resources import access as resources
from scheduler.resources import partitions
from scheduler.resources import queries as rates
from scheduler.resources.models import Partition, Rate

__all__ = ["cluster_credentials", "cluster_partition", "cluster_partitions"]

NAMES = {"max_time_s": "max_time_min"}


class TermsForm(forms.Form):
    """What one job may ask of a partition, in the units people think in."""

    max_cards = forms.IntegerField(label=_("每个作业最多卡数"), min_value=0, max_value=10_000)
    max_cpus = forms.IntegerField(label=_("每个作业最多核数"), min_value=1, max_value=100_000)
    max_memory_mb = forms.IntegerField(label=_("每个作业最大内存（MB）"), min_value=1, max_value=10**9)
    max_time_min = forms.IntegerField(label=_("最长时限（分钟）"), min_value=1, max_value=30 * 1440)
    is_open = forms.BooleanField(label=_("接收新作业"), required=False)

    def terms(self) -> partitions.PartitionTerms:
        said = self.cleaned_data
        return partitions.PartitionTerms(
            max_cards=said["max_cards"],
            max_cpus=said["max_cpus"],
            max_memory_mb=said["max_memory_mb"],
            max_time_s=said["max_time_min"] * 60,
            is_open=said["is_open"],
        )


class PriceForm(forms.Form):
    """The next price and the day it begins."""

    amount = YuanField(label=_("价格"), least_fen=0)
    since = slots.DayField(
        label=_("生效日期"), required=False, help_text=_("留空即刻生效；填写日期则自当日零时（北京时间）生效。")
    )


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_partitions(request: HttpRequest, code: str) -> HttpResponse:
    """List a cluster's partitions with their limits and the price in force."""
    found, now = resources.get_managed_cluster(shell.actor_of(request), code), timezone.now()
    rows = list(found.partitions.all())
    prices = rates.rates_of_partitions([row.pk for row in rows], at=now)
    lines = [{"partition": row, "rate": prices.get(row.pk)} for row in rows]
    return shell.page(request, "operate/partitions.html", {"tab": "partitions", "cluster": found, "lines": lines})


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_partition(request: HttpRequest, code: str, name: str) -> HttpResponse:
    """Set a partition's limits, open or close it, announce its next price, or take an announced one back."""
    actor, now = shell.actor_of(request), timezone.now()
    found = resources.get_managed_cluster(actor, code)
    row = next((each for each in found.partitions.all() if each.name == name), None)
    if row is None:
        raise NotFound
    act = shell.act_of(request, "terms", "price", "withdraw") if request.method == "POST" else ""
    terms = TermsForm(request.POST if act == "terms" else None, initial=_initial(row))
    price = PriceForm(request.POST if act == "price" else None)
    error: Explained | None = None
    if act == "terms" and terms.is_valid():
        _done, error = shell.attempt(
            lambda: partitions.change_partition(actor=actor, partition=row, terms=terms.terms(), now=now)
        )
        error = slots.put_back(terms, error, NAMES) if error else None
    elif act == "price" and price.is_valid():
        day = price.cleaned_data["since"]
        since = datetime.combine(day, time(), PORTAL_ZONE) if day else None
        amount = price.cleaned_data["amount"]
        _done, error = shell.attempt(
            lambda: partitions.set_partition_price(actor=actor, partition=row, amount=amount, since=since, now=now)
        )
        error = slots.put_back(price, error) if error else None
    elif act == "withdraw":
        rate_id = int(request.POST["id"]) if request.POST.get("id", "").isdecimal() else 0
        partitions.withdraw_partition_price(actor=actor, partition=row, rate_id=rate_id, now=now)
    if act and error is None and not terms.errors and not price.errors:
        messages.success(request, gettext("已保存。已提交的作业和已有报价不受影响。"))
        return redirect("cluster_partition", code, name)
    context = {
        "tab": "partitions",
        "cluster": found,
        "partition": row,
        "terms": terms,
        "price": price,
        "form": terms if terms.is_bound else price,
        "error": error,
        "history": list(Rate.objects.filter(partition=row).order_by("-valid")[:100]),
        "now": now,
    }
    bad = 422 if terms.errors or price.errors else 200
    return shell.page(request, "operate/partition.html", context, status=error.status if error else bad)


def _initial(row: Partition) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in ("max_cards", "max_cpus", "max_memory_mb", "is_open")}
    return {**facts, "max_time_min": row.max_time_s // 60}


class RotationForm(forms.Form):
    """The name of the new key; never the key."""

    new_key = forms.CharField(label=_("新密钥编号（key id）"), max_length=80, help_text=_("只填编号，不要填写密钥。"))


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_credentials(request: HttpRequest, code: str) -> HttpResponse:
    """Show how the portal proves itself to a cluster; test it now; exchange its key step by step."""
    actor, now = shell.actor_of(request), timezone.now()
    found = resources.get_managed_cluster(actor, code)
    act = shell.act_of(request, "test", "begin", "step") if request.method == "POST" else ""
    form = RotationForm(request.POST if act == "begin" else None)
    error: Explained | None = None
    if act == "test":
        status = credentials.test_now(actor=actor, cluster=found, now=now)
        said = gettext("集群应答正常。") if status.ok else gettext("集群没有正常应答，原因见“健康”页。")
        (messages.success if status.ok else messages.error)(request, said)
    elif act == "begin" and form.is_valid():
        name = form.cleaned_data["new_key"]
        _done, error = shell.attempt(lambda: credentials.begin(actor=actor, cluster=found, new_key=name, now=now))
        error = slots.put_back(form, error) if error else None
    elif act == "step":
        going_on = access.rotation_of(actor, found)
        step = request.POST.get("step", "")
        if going_on is None or step not in [each.value for each in rules.STEPS]:
            raise NotFound
        chosen = rules.RotationStep(step)
        _done, error = shell.attempt(lambda: credentials.done(actor=actor, rotation=going_on, step=chosen, now=now))
    if act and error is None and not form.errors:
        return redirect("cluster_credentials", code)
    rotation = access.rotation_of(actor, found)
    context = {
        "tab": "credentials",
        "cluster": found,
        "credentials": (held := credentials.credentials_of(found)),
        "signer": gettext(SIGNERS[held.signer]),
        "status": ClusterStatus.objects.filter(cluster=found).first(),
        "rotation": rotation,
        "steps": _steps(rotation) if rotation else [],
        "past": list(KeyRotation.objects.filter(cluster=found, finished_at__isnull=False)[:20]),
        "form": form,
        "error": error,
    }
    bad = 422 if form.errors else 200
    return shell.page(request, "operate/credentials.html", context, status=error.status if error else bad)


def _steps(rotation: KeyRotation) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    is_next = True
    for step in rules.STEPS:
        kept = rotation.steps.get(step.value)
        what, how = STEPS[step]
        lines.append(
            {
                "code": step.value,
                "what": gettext(what),
                "how": gettext(how),
                "at": datetime.fromisoformat(kept["at"]) if kept else None,
                "by": kept["by"] if kept else "",
                "is_next": is_next and not kept,
            }
        )
        is_next = is_next and bool(kept)
    return lines
