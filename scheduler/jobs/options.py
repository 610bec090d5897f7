"""What a job may ask for beside its resources: tasks of an array, other jobs to wait for, running again, environment.

Everything wrong with them is said at once. What the cluster has not said it can do is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, noop
from scheduler.jobs import access, arrays, environments
from scheduler.jobs.capabilities import Feature
from scheduler.jobs.models import Job, JobDependency
from scheduler.jobs.rules import JobState, can_hold
from scheduler.resources.models import Cluster

__all__ = ["Checked", "Options", "WaitFor", "check", "features_of", "most_tasks"]

_ = noop

MOST_AFTER: Final = 20


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A job to wait for, by its number; `kind` is one of `JobDependency.Kind`."""

    number: str
    kind: str = "ok"


@dataclass(frozen=True, slots=True)
class Options:
    """As the user said it: `array` in any form a scheduler reads, jobs by number."""

    array: str = ""
    after: Sequence[WaitFor] = ()
    requeue: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def print(self) -> Mapping[str, Any]:
        """Return what tells two submissions apart; empty for the ordinary job."""
        said = {
            "array": "".join(self.array.split()),
            "after": sorted((one.number, one.kind) for one in self.after),
            "requeue": self.requeue,
            "environment": dict(self.environment),
        }
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Checked:
    """As it will be sent, or why not. `tasks` is how many times the resources are wanted."""

    array: str
    tasks: int
    after: Sequence[tuple[Job, str]]
    reasons: Sequence[Reason]


def features_of(cluster: Cluster) -> frozenset[str]:
    """Return what the cluster last said it can do, as `Feature` values."""
    known: Mapping[str, Any] = getattr(cluster, "capabilities", None) or {}
    return frozenset(known.get("features", ()))


def most_tasks(cluster: Cluster) -> int:
    """Return the bound of task numbers, exclusive, as the cluster last said it."""
    known: Mapping[str, Any] = getattr(cluster, "capabilities", None) or {}
    return int(known.get("max_array_size") or arrays.MAX_SIZE)


def check(options: Options, *, actor: Actor, cluster: Cluster) -> Checked:
    """Return the options as they will be sent, with every ground against them."""
    features = features_of(cluster)
    reasons: list[Reason] = []
    for wanted, feature, where in (
        (options.array.strip(), Feature.ARRAYS, "array"),
        (options.after, Feature.DEPENDENCIES, "after"),
        (options.requeue, Feature.REQUEUE, "requeue"),
    ):
        if wanted and feature.value not in features:
            reasons.append(
                Reason(
                    f"job.{where}_not_offered",
                    _("该集群不支持这个选项。"),
                    _("请去掉这个选项，或选择其他集群。"),
                    field=where,
                )
            )
    array, wrong = _array(options.array, most=most_tasks(cluster))
    after, barred = _after(options.after, actor=actor, cluster=cluster)
    reasons += [*wrong, *barred, *environments.refusals(options.environment)]
    return Checked(array, max(1, len(arrays.tasks(array))), after, tuple(reasons))


def _array(text: str, *, most: int) -> tuple[str, list[Reason]]:
    def no(code: str, message: str, remedy: str) -> tuple[str, list[Reason]]:
        return "", [Reason(code, message, remedy, field="array", params={"text": text[:80], "most": most - 1})]

    if re.search(r"(?:^|[,%:-])\s*-\s*\d", text):
        return no("job.array_negative", _("任务编号“%(text)s”含有负数。"), _("编号从 0 开始，例如 0-9。"))
    if any(int(number[:18]) >= most for number in re.findall(r"\d+", text, re.ASCII)):
        return no(
            "job.array_huge", _("任务编号“%(text)s”超过该集群的上限 %(most)s。"), _("请缩小范围，或分成几个作业。")
        )
    try:
        return arrays.canonical(text, max_size=most), []
    except arrays.BadArray:
        return no(
            "job.array", _("任务编号“%(text)s”无法识别。"), _("请写成 0-9、1,3,7 或 0-99%%5（%% 后是同时运行的个数）。")
        )


def _after(wanted: Sequence[WaitFor], *, actor: Actor, cluster: Cluster) -> tuple[list[tuple[Job, str]], list[Reason]]:
    """Find the jobs to wait for: only the own organisation's, only on the same cluster."""
    numbers = [one.number for one in wanted]
    known = {job.number: job for job in access.visible_to(actor).filter(number__in=numbers[: MOST_AFTER + 1])}
    found: list[tuple[Job, str]] = []
    reasons: list[Reason] = []
    if len(wanted) > MOST_AFTER:
        reasons.append(
            Reason(
                "job.after_count",
                _("一个作业最多依赖 %(most)s 个作业。"),
                _("请减少依赖。"),
                field="after",
                params={"most": MOST_AFTER},
            )
        )
        return [], reasons
    for place, one in enumerate(wanted):
        job = known.get(one.number)
        if reason := _against(one, job, cluster=cluster, is_twice=one.number in numbers[:place]):
            code, message, remedy = reason
            reasons.append(Reason(code, message, remedy, field="after", params={"number": one.number[:24]}))
        elif job is not None:
            found.append((job, one.kind))
    return found, reasons


def _against(one: WaitFor, job: Job | None, *, cluster: Cluster, is_twice: bool) -> tuple[str, str, str] | None:
    if job is None:
        return "job.after_unknown", _("没有找到作业 %(number)s，或您无权查看。"), _("只能依赖贵单位自己的作业。")
    if one.kind not in JobDependency.Kind.values:
        return "job.after_kind", _("对作业 %(number)s 的依赖方式无法识别。"), _("可用：ok、notok、any。")
    if is_twice:
        return "job.after_twice", _("对作业 %(number)s 的依赖重复。"), _("每个作业只写一次。")
    if job.partition.cluster_id != cluster.pk:
        return "job.after_elsewhere", _("作业 %(number)s 在另一个集群上。"), _("只能依赖同一集群上的作业。")
    if can_hold(one.kind, JobState(job.state)) is False:
        return (
            "job.after_never",
            _("作业 %(number)s 已经结束，这个依赖不可能成立。"),
            _("请去掉这个依赖，或换一个作业。"),
        )
    return None
