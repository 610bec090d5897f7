"""Cancel one task of an array: the wish is a row, passed on to the cluster until it took it; money follows the runs.

A job that has not been sent yet is sent without the task. What is held stays held until the whole array has ended: what
the other tasks did not use is released then, with the share of the task that never ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog
from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, InvalidTransition, PortalError, noop
from scheduler.jobs import access, arrays, guards, options, ports, rules, services
from scheduler.jobs.capabilities import Feature
from scheduler.jobs.models import Job, JobRun, JobTaskCancel

__all__ = [
    "NoSuchTask",
    "NotOneByOne",
    "TaskOver",
    "can_cancel_one",
    "cancel_task",
    "pass_on",
    "remaining",
    "wished",
    "with_wishes",
]

_ = noop
logger = structlog.get_logger("jobs")


class NoSuchTask(Conflict):
    code = "job.task"
    message = _("作业没有编号为 %(task)s 的任务。请填写 %(array)s 中的一个编号。")


class TaskOver(InvalidTransition):
    code = "job.task_over"
    message = _("任务 %(task)s 已经结束，不能再取消。")


class NotOneByOne(Conflict):
    code = "job.task_not_offered"
    message = _("该集群不能单独取消一个任务。请等它结束，或取消整个作业。")


@transaction.atomic
def cancel_task(
    *, actor: Actor, job: Job, task: int, now: datetime, ask_cluster: Callable[[int], object]
) -> JobTaskCancel | Job:
    """Cancel one task of an array. Idempotent; of the only task left to run, the whole job is cancelled.

    Raises NoSuchTask, TaskOver, NotOneByOne (on a cluster that cannot), JobOver for a finished job, Forbidden for another organisation's.
    """
    actor.require(Permission.JOB_SUBMIT)
    locked = services.lock(job.pk)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if rules.JobState(locked.state) in rules.FINAL:
        raise services.JobOver(state=locked.state, action=rules.JobAction.WITHDRAW.value)
    every = arrays.tasks(locked.array)
    if task not in every:
        raise NoSuchTask(field="task", task=task, array=locked.array or "—")
    ended = _ended(locked)
    if task in ended:
        raise TaskOver(field="task", task=task, state=locked.state, action="cancel_task")
    before = wished(locked)
    if task in before:
        return JobTaskCancel.objects.get(job=locked, task=task)
    if not set(every) - before - ended - {task}:
        return services.cancel(actor=actor, job=locked, now=now, ask_cluster=ask_cluster)
    if not can_cancel_one(locked):
        raise NotOneByOne(field="task")
    wish = JobTaskCancel.objects.create(job=locked, task=task, asked_by_id=actor.user_id, asked_at=now)
    services.record(locked, action="job.task_cancel_asked", actor=actor, now=now, task=task)
    transaction.on_commit(lambda: ask_cluster(locked.pk))
    return wish


def can_cancel_one(job: Job) -> bool:
    """Say whether one task may be cancelled: before the job was sent, or on a cluster that stops one by itself."""
    is_sent = rules.JobState(job.state) is not rules.JobState.PENDING
    return not is_sent or Feature.TASKS.value in options.features_of(job.partition.cluster)


def _ended(job: Job) -> set[int]:
    """Return the tasks whose last run has ended. One that its user put back may have ended before and run again."""
    last = {run.task: run for run in JobRun.objects.filter(job=job).order_by("submitted_at", "no")}
    return {task for task, run in last.items() if rules.JobState(run.state) in rules.FINAL}


def wished(job: Job) -> set[int]:
    """Return the tasks somebody wants cancelled."""
    return set(JobTaskCancel.objects.filter(job=job).values_list("task", flat=True))


def remaining(job: Job) -> str:
    """Return the array as it is to be sent: without the tasks cancelled before."""
    gone = wished(job) if job.array else set()
    if not gone:
        return job.array
    _numbers, percent, limit = job.array.partition("%")
    return arrays.canonical(arrays.written(set(arrays.tasks(job.array)) - gone) + percent + limit, max_size=2**31)


def with_wishes(jobs: Iterable[Job]) -> Sequence[int]:
    """Return the ids of those jobs with a task to cancel that their cluster has not taken yet, in one query."""
    ids = [job.pk for job in jobs if job.array and job.cancel_asked_at is None]
    return list(
        JobTaskCancel.objects.filter(job_id__in=ids, taken_at__isnull=True).values_list("job_id", flat=True).distinct()
    )


def pass_on(*, job_id: int, now: datetime) -> ports.Cluster | None:
    """Tell the cluster which tasks to stop; what it cannot stop yet, or did not answer to, is asked again later.

    Return the cluster if it took any. Not to be called in a transaction.
    """
    job = Job.objects.select_related("partition__cluster").get(pk=job_id)
    if rules.JobState(job.state) not in rules.ON_CLUSTER or job.cancel_asked_at is not None:
        return None
    wishes = list(JobTaskCancel.objects.filter(job=job, taken_at__isnull=True).order_by("task"))
    if not wishes:
        return None
    cluster, took = access.connect(job.partition.cluster), False
    for wish in wishes:
        try:
            done = cluster.cancel_task(access.ref_of(job), user=guards.user_of(job), task=wish.task)
        except PortalError as error:
            logger.warning("job.task_cancel_failed", job=job.number, task=wish.task, error=str(error))
            break
        if done:
            JobTaskCancel.objects.filter(pk=wish.pk).update(taken_at=now)
            took = True
    return cluster if took else None
