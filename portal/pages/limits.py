"""Accounts on clusters and their limits: what they should be held to, what the cluster says, drift, the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.pages import shell, slots
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual, zone_of
from scheduler.limits import access, queries, rules, services, tasks
from scheduler.limits.models import ClusterAccount, LimitDrift, LimitPolicy
from scheduler.resources.models import Cluster

__all__ = ["cluster_limits", "limits"]

DRIFTS = 20
"""How many differences of the past the page shows."""


def _words(what: str) -> str:
    """Name a bound."""
    return {
        "running_card_minutes": gettext("运行卡分钟"),
        "running_cpu_minutes": gettext("运行核分钟"),
        "cards": gettext("同时用卡"),
        "cpus": gettext("同时用核"),
        "submitted": gettext("可提交作业数"),
        "users": gettext("集群用户"),
        "account": gettext("账户"),
    }[what]


@shell.needs(Permission.ALLOCATION_MANAGE)
def limits(request: HttpRequest) -> HttpResponse:
    """List the clusters whose accounts one may see: policy, age of the last sync, how many accounts are in step."""
    actor = shell.actor_of(request)
    in_step = Q(accounts__state=rules.AccountState.IN_STEP.value)
    rows = (
        access.clusters_of(actor)
        .select_related("limit_policy", "owner")
        .annotate(
            accounts_all=Count("accounts"),
            accounts_fine=Count("accounts", filter=in_step),
            read_at=Max("accounts__as_of"),
        )
    )
    return shell.page(request, "limits/list.html", {"rows": rows, "off": rules.LimitMode.OFF.value})


class PolicyForm(forms.Form):
    """What bounds the accounts of a cluster."""

    mode = forms.ChoiceField(label=_("上限依据"), choices=LimitPolicy.Mode.choices)


class EnrolForm(forms.Form):
    """An enterprise to give an account."""

    organisation = forms.CharField(label=_("企业"), max_length=120, help_text=_("单位全称或统一社会信用代码。"))
    name = forms.CharField(
        label=_("集群账户名"), max_length=40, required=False, help_text=_("以“e-”开头；留空由平台命名。")
    )
    posix_user = forms.CharField(
        label=_("集群用户名"), max_length=32, required=False, help_text=_("作业以该用户运行；留空用集群的默认用户。")
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound as the page shows it."""

    words: str
    wanted: str
    found: str
    differs: bool


@shell.needs(Permission.ALLOCATION_MANAGE)
def cluster_limits(request: HttpRequest, code: str) -> HttpResponse:
    """Show the accounts of a cluster; its operator sets the policy, enrols an enterprise, or applies now."""
    actor, now = shell.actor_of(request), timezone.now()
    cluster = access.clusters_of(actor).filter(code=code).select_related("limit_policy").first()
    if cluster is None:
        raise NotFound
    operates = cluster.owner_id == actor.organisation_id
    enrolling, error = EnrolForm(None), None
    if request.method == "POST":
        enrolling, error, done = _act(request, actor, access.get_cluster(actor, code), now=now)
        if done:
            messages.success(request, done)
            return redirect("cluster_limits", code)
    planned = services.plan(cluster=cluster, now=now)
    if shell.wants_csv(request):
        return _csv(cluster, planned)
    context = {
        "cluster": cluster,
        "policy": getattr(cluster, "limit_policy", None),
        "mode": queries.mode_of(cluster).value,
        "lines": [_line(each) for each in planned],
        "drifts": [_drift(row) for row in _drifts(cluster)],
        "operates": operates,
        "policy_form": PolicyForm(initial={"mode": queries.mode_of(cluster).value}),
        "form": enrolling,
        "error": error,
    }
    status = error.status if error else 422 if enrolling.errors else 200
    return shell.page(request, "limits/cluster.html", context, status=status)


def _act(
    request: HttpRequest, actor: Actor, cluster: Cluster, *, now: datetime
) -> tuple[EnrolForm, Explained | None, str]:
    """Do what a form of the page asks; return the form to show again, what went wrong, and what was done."""
    act = shell.act_of(request, "policy", "enrol", "apply")
    form = EnrolForm(request.POST if act == "enrol" else None)
    if act == "apply":
        services.ask_sync(actor=actor, cluster=cluster, now=now)
        tasks.hint(cluster.pk)
        return form, None, gettext("已要求立即下发，几秒后刷新可见结果。")
    if act == "policy":
        policy = PolicyForm(request.POST)
        if policy.is_valid():
            mode = rules.LimitMode(policy.cleaned_data["mode"])
            services.set_policy(actor=actor, cluster=cluster, mode=mode, now=now)
            tasks.hint(cluster.pk)
            return form, None, gettext("已保存，正在下发到集群。")
        return form, None, ""
    if not form.is_valid():
        return form, None, ""
    _row, error = shell.attempt(lambda: _enrol(actor, cluster, form, now=now))
    if error is not None:
        return form, slots.put_back(form, error), ""
    tasks.hint(cluster.pk)
    return form, None, gettext("已登记，正在集群上建立账户。")


def _enrol(actor: Actor, cluster: Cluster, form: EnrolForm, *, now: datetime) -> ClusterAccount:
    said = form.cleaned_data
    organisation = people.by_name_or_code(said["organisation"])
    if organisation is None:
        raise NotFound(field="organisation")
    return services.enrol(
        actor=actor,
        cluster=cluster,
        organisation=organisation,
        name=said["name"],
        posix_user=said["posix_user"],
        now=now,
    )


def _line(planned: services.Planned) -> dict[str, Any]:
    differing = {each.what for each in planned.differences}
    bounds = []
    for name in rules.BOUNDS:
        wanted, found = getattr(planned.wanted, name), getattr(planned.found, name) if planned.found else None
        if wanted is not None or found is not None:
            bounds.append(Bound(_words(name), _number(wanted), _number(found), name in differing))
    return {"account": planned.account, "bounds": bounds, "users": "users" in differing, "differs": bool(differing)}


def _number(value: int | None) -> str:
    return gettext("不限") if value is None else f"{value:,}"


def _drifts(cluster: Cluster) -> list[LimitDrift]:
    found = LimitDrift.objects.filter(account__cluster=cluster).select_related("account__organisation")
    return list(found.order_by("-pk")[:DRIFTS])


def _drift(row: LimitDrift) -> Mapping[str, Any]:
    return {"row": row, "what": _words(row.what), "wanted": _number(row.wanted), "found": _number(row.found)}


def _csv(cluster: Cluster, planned: list[services.Planned]) -> HttpResponse:
    head = (
        gettext("集群账户名"),
        gettext("单位"),
        gettext("集群用户名"),
        gettext("状态"),
        *(gettext("%(what)s（应为）") % {"what": _words(name)} for name in rules.BOUNDS),
        *(gettext("%(what)s（集群）") % {"what": _words(name)} for name in rules.BOUNDS),
        gettext("读取于"),
    )
    zone = zone_of(None)
    rows = (
        (
            each.account.name,
            bilingual(each.account.organisation),
            each.account.posix_user,
            label_of("cluster_account", each.account.state)[1],
            *(getattr(each.wanted, name) for name in rules.BOUNDS),
            *(getattr(each.found, name) if each.found else None for name in rules.BOUNDS),
            f"{each.account.as_of.astimezone(zone):%Y-%m-%d %H:%M %Z}" if each.account.as_of else "",
        )
        for each in planned
    )
    return shell.csv_response(f"limits-{cluster.code}", head, rows)
