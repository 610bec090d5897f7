"""The operator's desk: which clusters need a person, how each is, and its announced maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.period import Period
from portal.pages import board, shell, slots
from portal.pages.cluster_words import ALERTS, CHANNELS, CIRCUITS, EVERYWHERE, MILD, OF_JOBS, PLACES
from scheduler.clusters import access, incidents, polling, queries, rules
from scheduler.clusters.models import ClusterStatus, HealthReading, Incident
from scheduler.jobs import breaker
from scheduler.maintenance import access as windows
from scheduler.maintenance import queries as maintenance
from scheduler.maintenance import services
from scheduler.messages import access as told
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster

__all__ = ["cluster_desk", "cluster_health", "cluster_maintenance", "id_of"]

ZONE = "Asia/Shanghai"
NAMES = {"starts_at": "start", "ends_at": "end"}
READINGS, INCIDENTS = 20, 20


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One thing that needs a person, in words."""

    text: str
    since: datetime | None
    number: int
    subjects: Sequence[tuple[str, str]]
    """What is concerned, and where it is shown; "" for what has no page of its own."""
    url: str
    place: str
    """Where it is solved, and what that page is called."""
    is_mild: bool


def alert_lines(alerts: Sequence[rules.Alert], *, code: str) -> list[AlertLine]:
    """Return the alerts of one cluster in words, each with where it is solved.

    Announced maintenance is left out: pages show its windows whole.
    """
    return [_alert_line(one, code) for one in alerts if one.kind is not rules.AlertKind.MAINTENANCE]


def _alert_line(alert: rules.Alert, code: str) -> AlertLine:
    page, place = PLACES[alert.kind]
    names = [gettext(CHANNELS[name]) if alert.kind is rules.AlertKind.BREAKER else name for name in alert.subjects]
    of_jobs = alert.kind in OF_JOBS
    return AlertLine(
        text=gettext(ALERTS[alert.kind]),
        since=alert.since,
        number=alert.number,
        subjects=[(name, reverse("cluster_evidence", args=[code, name]) if of_jobs else "") for name in names if name],
        url=reverse(page, args=[] if page in EVERYWHERE else [code]),
        place=gettext(place),
        is_mild=alert.kind in MILD,
    )


def id_of(request: HttpRequest, name: str = "id") -> int:
    """Return the number a form names a row by. Raises NotFound for what is none."""
    said = request.POST.get(name, "")
    if not said.isdecimal() or len(said) > 18:
        raise NotFound
    return int(said)


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_desk(request: HttpRequest) -> HttpResponse:
    """List the clusters one runs with what needs a person: a constant number of queries."""
    actor, now = shell.actor_of(request), timezone.now()
    found = list(resources.managed_clusters(actor))
    alerts, statuses = queries.alerts_of(found, now=now), queries.statuses_of([each.pk for each in found])
    ahead = maintenance.ahead_of([each.pk for each in found], now=now)
    lines = [
        {
            "cluster": each,
            "health": queries.health_of(each, in_maintenance=_is_on(ahead.get(each.pk, []), now), now=now),
            "status": statuses.get(each.pk),
            "seen": board.age_text(each.health_at, now=now),
            "alerts": alert_lines(alerts[each.pk], code=each.code),
            "windows": ahead.get(each.pk, []),
        }
        for each in found
    ]
    unseen = told.unseen(actor) if actor.user_id is not None else 0
    return shell.page(request, "operate/desk.html", {"lines": lines, "unseen": unseen})


def _is_on(found: Sequence[Any], now: datetime) -> bool:
    return any(now in window.period for window in found)


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_health(request: HttpRequest, code: str) -> HttpResponse:
    """Show how a cluster is and was; ask it now, or write what is known of an incident."""
    actor, now = shell.actor_of(request), timezone.now()
    found = resources.get_managed_cluster(actor, code)
    error: Explained | None = None
    if request.method == "POST":
        if shell.act_of(request, "poll", "note") == "poll":
            polling.poll(cluster_id=found.pk, now=now, force=True)
            messages.success(request, gettext("已向集群核对，下面是最新状态。"))
        else:
            incident = access.get_incident(actor, code, id_of(request))
            text = request.POST.get("note", "")
            _done, error = shell.attempt(lambda: incidents.note(actor=actor, incident=incident, text=text, now=now))
            if error is None:
                messages.success(request, gettext("说明已保存。"))
        if error is None:
            return redirect("cluster_health", code)
    status = 200 if error is None else error.status
    return shell.page(request, "operate/health.html", {**_health(found, now), "error": error}, status=status)


def _health(found: Cluster, now: datetime) -> dict[str, Any]:
    readings = list(HealthReading.objects.filter(cluster=found)[:READINGS])
    known = ClusterStatus.objects.filter(cluster=found).first()
    return {
        "tab": "health",
        "cluster": found,
        "health": queries.health_of(found, in_maintenance=maintenance.is_closed(found.pk, now=now), now=now),
        "status": known,
        "seen": board.age_text(known.good_at if known else None, now=now),
        "capacity_seen": board.age_text(known.capacity_at if known else None, now=now),
        "swept": board.age_text(known.swept_at if known else None, now=now),
        "synced": board.age_text(queries.last_sync_of(found), now=now),
        "alerts": alert_lines(queries.alerts_of([found], now=now)[found.pk], code=found.code),
        "windows": maintenance.ahead_of([found.pk], now=now).get(found.pk, []),
        "incidents": list(Incident.objects.filter(cluster=found).select_related("noted_by")[:INCIDENTS]),
        "readings": readings,
        "circuits": [
            {
                "channel": gettext(CHANNELS[one.channel]),
                "words": gettext(CIRCUITS[one.circuit.value]),
                "retry_at": one.retry_at if one.opened_at else None,
            }
            for one in breaker.standings([found.pk]).get(found.pk, [])
        ],
        "now": now,
    }


class MaintenanceForm(forms.Form):
    """When a cluster takes no jobs, in Beijing time, and why."""

    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    reason = forms.CharField(label=_("维护内容"), max_length=120, help_text=_("所有人都会看到。"))
    reason_en = forms.CharField(label=_("英文说明"), max_length=160, required=False)

    def period(self) -> Period:
        """Return the span. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        return slots.local_period(
            (said["day"], said["start"]), (said["end_day"], said["end"]), ZONE, fields=("start", "end")
        )


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_maintenance(request: HttpRequest, code: str) -> HttpResponse:
    """List a cluster's windows; announce one, end one early, call one off."""
    actor, now = shell.actor_of(request), timezone.now()
    found = resources.get_managed_cluster(actor, code)
    adding = request.POST.get("act") == "announce"
    form = MaintenanceForm(request.POST if adding else None)
    error: Explained | None = None
    if request.method == "POST" and shell.act_of(request, "announce", "finish", "call_off") != "announce":
        window = windows.get_managed_window(actor, code, id_of(request))
        change = services.finish if request.POST["act"] == "finish" else services.call_off
        _done, error = shell.attempt(lambda: change(actor=actor, window=window, now=now))
    elif adding and form.is_valid():
        said = form.cleaned_data
        _done, error = shell.attempt(
            lambda: services.announce(
                actor=actor,
                cluster=found,
                period=form.period(),
                reason=said["reason"],
                reason_en=said["reason_en"],
                now=now,
            )
        )
        error = slots.put_back(form, error, NAMES) if error else None
    if request.method == "POST" and error is None and not form.errors:
        messages.success(request, gettext("已公告。") if adding else gettext("已更新。"))
        return redirect("cluster_maintenance", code)
    context = {
        "tab": "maintenance",
        "cluster": found,
        "form": form,
        "error": error,
        "windows": list(windows.windows_of(found).select_related("announced_by")[:50]),
        "waiting": access.open_jobs(actor, found).count(),
        "now": now,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "operate/maintenance.html", context, status=status)
