"""Jobs of the own organisation: the list, one job with its log, state and money, cancelling, the script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import actions, acts, jobstream, jobwords, shell
from portal.pages.booking_requests import arrived
from portal.pages.exports import FORMATS, exported
from portal.pages.slots import put_back
from portal.pages.templatetags.show import bilingual, label
from scheduler.jobs import access, arraytasks, queries, rules, services, settling, tasks
from scheduler.jobs.models import Job
from scheduler.resources.models import Partition
from scheduler.usage.models import UsageRecord

__all__ = ["JobFilter", "facts_of", "job", "job_cancel", "job_script", "job_status", "job_task_cancel", "jobs"]

SORTS = {
    "number": ["pk"],
    "title": ["title"],
    "partition": ["partition__cluster__name", "partition__label"],
    "cards": ["cards", "cpus"],
    "cost": ["charge__price_fen"],
    "state": ["state"],
}
SETTLING = timedelta(seconds=15)
"""How long after the end a log may still grow."""
SHOWN_RUNS = 50
"""The newest runs a job's page lists."""


class JobFilter(forms.Form):
    """What a list of jobs may be narrowed to: by state or group of states, partition, number and (own jobs) title."""

    q = forms.CharField(label=_("关键词"), max_length=80)
    state = forms.ChoiceField(label=_("状态"))
    partition = forms.ChoiceField(label=_("分区"))

    def __init__(self, data: Any, *, partitions: QuerySet[Partition], columns: tuple[str, ...]) -> None:
        super().__init__(data)
        self.columns = columns
        for field in self.fields.values():
            field.required = False
        placeholder = gettext("作业号或名称") if "title" in columns else gettext("作业号或单位")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": placeholder})
        groups = [("", gettext("全部")), ("open", gettext("进行中")), ("ended", gettext("已结束"))]
        self._offer("state", [*groups, (gettext("具体状态"), list(Job.State.choices))])
        self._offer("partition", [("", gettext("全部")), *((str(p.pk), _partition_name(p)) for p in partitions)])
        self.full_clean()

    def _offer(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def narrow(self, found: QuerySet[Job]) -> QuerySet[Job]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        chosen = self.cleaned_data
        if state := chosen.get("state"):
            groups = {"open": rules.ACTIVE, "ended": rules.FINAL}
            found = found.filter(state__in=[s.value for s in groups[state]] if state in groups else [state])
        if partition := chosen.get("partition"):
            found = found.filter(partition_id=partition)
        for word in (chosen.get("q") or "").split():
            matches = Q(number__icontains=word)
            for column in self.columns:
                matches |= Q(**{f"{column}__icontains": word})
            found = found.filter(matches)
        return found


def _partition_name(partition: Partition) -> str:
    return f"{bilingual(partition.cluster)} · {bilingual(partition, 'label')}"


@shell.needs(Permission.JOB_SUBMIT)
def jobs(request: HttpRequest) -> HttpResponse:
    """List the own organisation's jobs."""
    own = access.visible_to(shell.actor_of(request)).defer("script").annotate(ran=F("ended_at") - F("started_at"))
    used = Partition.objects.filter(pk__in=own.order_by().values("partition_id")).select_related("cluster")
    filters = JobFilter(request.GET, partitions=used, columns=("title",))
    found = filters.narrow(own)
    if (wanted := request.GET.get("format")) in FORMATS:
        return _table(found, str(wanted))
    listing = shell.listing(request, found, sorts=SORTS, default="-number")
    return shell.page(request, "jobs/jobs.html", {"filters": filters, "listing": listing})


def _table(found: QuerySet[Job], wanted: str) -> HttpResponse:
    """Return jobs as a file: times in Beijing time, durations in minutes, money in yuan."""
    head = (
        gettext("作业号"),
        gettext("作业名称"),
        gettext("集群"),
        gettext("分区"),
        gettext("加速卡"),
        gettext("CPU 核数"),
        gettext("内存（MB）"),
        gettext("时限（分钟）"),
        gettext("状态"),
        gettext("提交"),
        gettext("开始"),
        gettext("结束"),
        gettext("退出码"),
        gettext("冻结（元）"),
        gettext("实际（元）"),
        gettext("其中券抵扣（元）"),
        gettext("自付（元）"),
    )
    rows = found.order_by("-pk")[: shell.EXPORT_LIMIT]
    return exported("jobs", wanted, head, map(_table_row, rows))


def _table_row(row: Job) -> tuple[object, ...]:
    charge = row.charge
    assert charge is not None
    captured = charge.actual_fen is not None
    return (
        row.number,
        row.title,
        bilingual(row.partition.cluster),
        bilingual(row.partition, "label"),
        row.cards,
        row.cpus,
        row.memory_mb,
        row.time_limit_s // 60,
        label(row.state, "job"),
        stamp(row.created_at),
        stamp(row.started_at),
        stamp(row.ended_at),
        row.exit_code,
        Money(charge.price_fen),
        Money(charge.actual_fen) if charge.actual_fen is not None else "",
        Money(charge.voucher_captured_fen) if captured else "",
        Money(charge.own_captured_fen) if captured else "",
    )


def stamp(at: datetime | None) -> str:
    """Return a moment for a spreadsheet, in the portal's zone."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else ""


# ---- one job


def facts_of(found: Job, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return what a job's page says about its state, time, money and story at `now`."""
    state = rules.JobState(found.state)
    charge = found.charge
    assert charge is not None
    ran = None
    if found.started_at is not None:
        ran = max(timedelta(), (found.ended_at or found.settled_at or now) - found.started_at)
    usage = UsageRecord.objects.filter(job=found).first() if found.settled_at else None
    told = list(found.runs.order_by("-no")[:SHOWN_RUNS])
    return {
        "job": found,
        "told": told,
        "shown_runs": SHOWN_RUNS,
        "links": list(found.dependencies.select_related("after").order_by("pk")),
        "words": jobwords.reason_words(found),
        "steps": jobwords.steps_of(found),
        "over": state in rules.FINAL,
        "waits": state in rules.ACTIVE - rules.OCCUPYING,
        "can_cancel": state in rules.ACTIVE and found.cancel_asked_at is None,
        "ran": ran,
        "ran_share": min(100, round(100 * ran.total_seconds() / found.time_limit_s)) if ran is not None else 0,
        "waited": (found.started_at or found.ended_at or found.settled_at or now) - found.created_at,
        "ahead": queries.ahead_of(found) if state in rules.ACTIVE - rules.OCCUPYING else 0,
        "cost_fen": queries.cost_so_far_fen(found, now=now),
        "charge": charge,
        "taken_fen": settling.settled_fen(found) if found.settled_at else 0,
        "split": _split(found),
        "usage": usage,
        "pays": actor.may(Permission.PAYMENT_DECLARE),
        "trail": actions.events(audit.trail(f"job:{found.number}", actor=actor)),
    }


def _split(found: Job) -> list[dict[str, Any]]:
    """Return the rows of the money table: held, captured, given back; each for voucher, own and both."""
    charge = found.charge
    assert charge is not None
    held = (charge.voucher_held_fen, charge.own_held_fen)
    taken = (charge.voucher_captured_fen, charge.own_captured_fen)
    rows = [(gettext("按时限冻结"), held)]
    if charge.state != charge.State.HELD.value:
        rows.append((gettext("实际结算"), taken))
        rows.append((gettext("已退回"), (held[0] - taken[0], held[1] - taken[1])))
    if charge.refunded_fen:
        rows.append((gettext("服务退款"), (charge.voucher_refunded_fen, charge.own_refunded_fen)))
    return [{"name": name, "voucher": part[0], "own": part[1], "total": sum(part)} for name, part in rows]


@shell.needs(Permission.JOB_SUBMIT)
def job(request: HttpRequest, number: str) -> HttpResponse:
    """Show one job: what it does, what it costs, its log as it grows."""
    actor = shell.actor_of(request)
    return _job_page(request, actor, access.get_job(actor, number))


def _job_page(
    request: HttpRequest,
    actor: Actor,
    found: Job,
    *,
    error: Explained | None = None,
    tasks_form: TaskForm | None = None,
) -> HttpResponse:
    now = timezone.now()
    done = found.settled_at is not None and now - found.settled_at > SETTLING
    context = {
        **facts_of(found, actor=actor, now=now),
        "log": jobstream.opening(found, actor=actor),
        "log_ended": done,
        "error": error,
        **_tasks(found, tasks_form),
    }
    status = error.status if error else 422 if tasks_form else 200
    return shell.page(request, "jobs/job.html", context, status=status)


def _tasks(found: Job, form: TaskForm | None) -> dict[str, Any]:
    """Return what the page offers for the tasks of an array that has not ended."""
    if not found.array or rules.JobState(found.state) in rules.FINAL or found.cancel_asked_at is not None:
        return {"tasks_form": form}
    if form is None and not arraytasks.can_cancel_one(found):
        return {}
    return {"tasks_form": form or TaskForm(), "tasks_cancelled": list(found.task_cancels.all())}


@shell.needs(Permission.JOB_SUBMIT)
def job_status(request: HttpRequest, number: str) -> HttpResponse:
    """Return the parts of a job's page that change while it runs, for the page's script to put in place."""
    actor = shell.actor_of(request)
    found = access.get_job(actor, number)
    response = shell.page(request, "jobs/status.html", facts_of(found, actor=actor, now=timezone.now()))
    response["Cache-Control"] = "no-store"
    return response


@shell.needs(Permission.JOB_SUBMIT)
def job_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Ask, saying what follows for the money; then cancel, at once or through the cluster."""
    actor = shell.actor_of(request)
    found = access.get_job(actor, number)
    now = timezone.now()
    if request.method != "POST":
        context: Mapping[str, Any] = {**facts_of(found, actor=actor, now=now), "path": request.path}
        return shell.page(request, "jobs/cancel.html", context)
    done, error = acts.attempt_on(
        "job", lambda: services.cancel(actor=actor, job=found, now=now, ask_cluster=tasks.hint(tasks.ask_cancel))
    )
    if error is not None:
        return _job_page(request, actor, access.get_job(actor, number), error=error)
    ended = done.state == rules.JobState.CANCELLED.value
    text = gettext("作业已取消，冻结的费用已全部退回。") if ended else gettext("已请求取消，集群停止作业后结算。")
    messages.success(request, text)
    return arrived(request, reverse("job", args=[number]))


class TaskForm(forms.Form):
    """Which task of an array is to be cancelled."""

    task = forms.IntegerField(label=_("任务编号"), min_value=0, max_value=10**7)


@require_POST
@shell.needs(Permission.JOB_SUBMIT)
def job_task_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Cancel one task of an array; what is wrong is said at the number."""
    actor = shell.actor_of(request)
    found = access.get_job(actor, number)
    form = TaskForm(request.POST)
    if not form.is_valid():
        return _job_page(request, actor, found, tasks_form=form)
    task = form.cleaned_data["task"]
    done, error = acts.attempt_on(
        "job",
        lambda: arraytasks.cancel_task(
            actor=actor, job=found, task=task, now=timezone.now(), ask_cluster=tasks.hint(tasks.ask_cancel)
        ),
    )
    if error is not None:
        return _job_page(request, actor, found, error=put_back(form, error), tasks_form=form)
    if isinstance(done, Job):
        messages.success(request, gettext("这是最后一个任务，已请求取消整个作业。"))
    else:
        messages.success(request, gettext("已请求取消任务 %(task)s，其余任务照常运行。") % {"task": task})
    return redirect("job", number=number)


@shell.needs(Permission.JOB_SUBMIT)
def job_script(request: HttpRequest, number: str) -> HttpResponse:
    """Hand over the script as it was submitted."""
    found = access.get_job(shell.actor_of(request), number)
    response = HttpResponse(found.script, content_type="text/plain; charset=utf-8")
    python = "python" in found.script.split("\n", 1)[0]
    response["Content-Disposition"] = f'attachment; filename="{found.number}.{"py" if python else "sh"}"'
    return response
