"""The operator's view of jobs: the portal's state beside the cluster's, what is stuck, what nobody knows. No titles, no scripts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import board, shell
from portal.pages.cluster_words import ACTS, STUCK
from portal.pages.labels import label_of
from portal.pages.operate import id_of
from scheduler.clusters import access, keeping, orphans
from scheduler.jobs.models import Job
from scheduler.resources import access as resources

__all__ = ["cluster_reconcile"]

SORTS = {"number": ["pk"], "state": ["state"], "organisation": ["organisation__name"], "seen": ["observed_at"]}


@shell.needs(Permission.CLUSTER_MANAGE)
def cluster_reconcile(request: HttpRequest, code: str) -> HttpResponse:
    """Show open jobs on both sides; act on a stuck one, or end an orphan."""
    actor, now = shell.actor_of(request), timezone.now()
    found = resources.get_managed_cluster(actor, code)
    error: Explained | None = None
    if request.method == "POST":
        error = _act(request, actor, code, now)
        if error is None:
            return redirect("cluster_reconcile", code)
    rows = access.open_jobs(actor, found).prefetch_related("runs")
    if request.GET.get("state") == "stuck":
        stuck = [job.pk for job in access.open_jobs(actor, found) if keeping.stuck_since(job, now=now)]
        rows = rows.filter(pk__in=stuck)
    if shell.wants_csv(request):
        return _csv(code, [_line(job, now) for job in rows.order_by("-pk")[: shell.EXPORT_LIMIT]])
    listing = shell.listing(request, rows, sorts=SORTS, default="-number")
    context = {
        "tab": "reconcile",
        "cluster": found,
        "listing": listing,
        "lines": [_line(job, now) for job in listing.rows],
        "orphans": list(access.orphans_of(actor, found)[:50]),
        "error": error,
        "stuck_only": request.GET.get("state") == "stuck",
    }
    return shell.page(request, "operate/reconcile.html", context, status=error.status if error else 200)


def _act(request: HttpRequest, actor: Actor, code: str, now: datetime) -> Explained | None:
    act = shell.act_of(request, *keeping.Act, "take_off")
    if act == "take_off":
        orphan = access.get_orphan(actor, code, id_of(request))
        _done, error = shell.attempt(lambda: orphans.take_off(actor=actor, orphan=orphan, now=now))
        if error is None:
            messages.success(request, gettext("已请求集群终止该作业。"))
        return error
    job = access.get_open_job(actor, code, request.POST.get("number", ""))
    outcome, error = shell.attempt(lambda: keeping.act_on(actor=actor, job=job, act=keeping.Act(act), now=now))
    if error is None:
        said = {"number": job.number, "state": label_of("job", outcome.after)[1]}
        if outcome.before == outcome.after:
            messages.info(request, gettext("%(number)s 已核对，状态仍是“%(state)s”。") % said)
        else:
            messages.success(request, gettext("%(number)s 现在是“%(state)s”。") % said)
    return error


def _line(job: Job, now: datetime) -> dict[str, Any]:
    run = max(job.runs.all(), key=lambda each: each.no, default=None)
    since = keeping.stuck_since(job, now=now)
    why = keeping.why_stuck(job, now=now)
    return {
        "job": job,
        "raw": run.raw_state if run else "",
        "differs": run is not None and run.ended_at is None and run.state != job.state,
        "seen": board.age_text(job.observed_at, now=now) if job.observed_at else "",
        "stuck": gettext(STUCK[why]) if why else "",
        "stuck_for": board.age_text(since, now=now) if since else "",
        "acts": [(act.value, gettext(ACTS[act])) for act in keeping.acts_for(job)],
    }


def _csv(code: str, lines: list[dict[str, Any]]) -> HttpResponse:
    head = (
        gettext("作业号"),
        gettext("集群作业号"),
        gettext("单位"),
        gettext("平台状态"),
        gettext("集群状态"),
        gettext("原因"),
        gettext("异常"),
    )
    rows = (
        (
            line["job"].number,
            line["job"].cluster_job_id,
            line["job"].organisation.name,
            label_of("job", line["job"].state)[1],
            line["raw"],
            line["job"].reason,
            line["stuck"],
        )
        for line in lines
    )
    return shell.csv_response(f"reconcile-{code}", head, rows)
