"""What clusters were asked about a job and what they answered: for its owner, and for the cluster's operator.

The operator sees neither title nor script, only the job's number, its organisation and the exchange itself.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.pages import shell
from scheduler.jobs import access, alerts, breaker, resolving, rules
from scheduler.jobs.doubt_models import JobEvidence
from scheduler.jobs.models import Job
from scheduler.resources import access as resources

__all__ = ["cluster_doubts", "cluster_evidence", "job_evidence"]

_ = noop

MOST = 200
CIRCUITS = {
    breaker.Circuit.CLOSED: _("正常"),
    breaker.Circuit.OPEN: _("暂停调用"),
    breaker.Circuit.HALF_OPEN: _("正在试探"),
}


def _rows(job: Job) -> list[dict[str, Any]]:
    """Return the exchange about a job, oldest first, in words."""
    rows = JobEvidence.objects.filter(job=job).order_by("pk")[:MOST]
    return [
        {
            "row": row,
            "op": row.get_op_display(),
            "verdict": JobEvidence.Verdict(row.verdict).label,
            "asked": " · ".join(f"{name}={value}" for name, value in row.question.items()),
        }
        for row in rows
    ]


def _evidence(request: HttpRequest, job: Job, *, back: str, code: str = "") -> HttpResponse:
    context = {
        "job": job,
        "rows": _rows(job),
        "most": MOST,
        "is_unclear": job.state == rules.JobState.UNKNOWN.value,
        "back": back,
        "code": code,
        "apart_s": 30,
        "attempts": resolving.MOST_ATTEMPTS,
    }
    return shell.page(request, "jobs/evidence.html", context)


@shell.needs(Permission.JOB_SUBMIT)
def job_evidence(request: HttpRequest, number: str) -> HttpResponse:
    """Show the owner what was asked about a job, of whom, when, and what was answered."""
    return _evidence(request, access.get_job(shell.actor_of(request), number), back="job")


@shell.needs(Permission.CLUSTER_READ)
def cluster_evidence(request: HttpRequest, code: str, number: str) -> HttpResponse:
    """Show the cluster's operator the same, without title and script."""
    actor = shell.actor_of(request)
    job = access.get_on_cluster(actor, resources.get_own_cluster(actor, code), number)
    return _evidence(request, job, back="cluster_doubts", code=code)


@shell.needs(Permission.CLUSTER_READ)
def cluster_doubts(request: HttpRequest, code: str) -> HttpResponse:
    """List a cluster's unclear jobs and open alerts, and say whether it is being called."""
    actor, now = shell.actor_of(request), timezone.now()
    cluster = resources.get_own_cluster(actor, code)
    unclear = access.on_cluster(actor, cluster).filter(state=rules.JobState.UNKNOWN.value).order_by("pk")[:MOST]
    standing = [
        {
            "one": one,
            "channel": gettext("调度") if one.channel == breaker.CONTROL.value else gettext("记账"),
            "circuit": gettext(CIRCUITS[one.circuit]),
        }
        for one in breaker.standings([cluster.pk]).get(cluster.pk, [])
    ]
    context = {
        "cluster": cluster,
        "unclear": unclear,
        "alerts": alerts.open_of(cluster.pk)[:MOST],
        "standing": standing,
        "now": now,
    }
    return shell.page(request, "jobs/doubts.html", context)
