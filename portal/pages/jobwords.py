"""What a job's state, reason and exit code mean, in one plain sentence each. No page shows a scheduler's code.

Reasons come in three vocabularies: the portal's own, the refusal codes of ``scheduler.jobs.ports.RejectedBy``, and the
scheduler's short codes. A code nobody knows is said by the state alone.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext

from portal.kernel.errors import noop
from portal.pages.templatetags.show import duration
from scheduler.jobs.models import Job
from scheduler.jobs.rules import FINAL, OCCUPYING, JobState

__all__ = ["EXITS", "REFUSALS", "WAITS", "Step", "exit_words", "reason_words", "steps_of"]

_ = noop
S = JobState

STATES: Final[Mapping[JobState, str]] = MappingProxyType(
    {
        S.PENDING: _("正在等待发送到集群。"),
        S.SUBMITTING: _("正在发送到集群。"),
        S.UNKNOWN: _("没有收到集群的回执，正在向集群核实；核实清楚之前不会重复发送，作业最多只会运行一次。"),
        S.PLACED: _("集群已收到作业，正在放行。"),
        S.REJECTED: _("集群没有接受这个作业。"),
        S.QUEUED: _("正在集群排队，等待调度。"),
        S.STARTING: _("集群正在分配节点并启动作业。"),
        S.RUNNING: _("作业正在运行。"),
        S.SUSPENDED: _("集群暂停了作业，暂停期间不计费，恢复后继续运行。"),
        S.FINISHING: _("作业已运行完毕，集群正在收尾。"),
        S.SUCCEEDED: _("脚本正常结束（退出码 0）。"),
        S.FAILED: _("脚本没有正常结束，请查看日志末尾。"),
        S.TIMED_OUT: _("运行到时限 %(limit)s 仍未结束，被集群停止。需要更长时间时，请加大时限后重新提交。"),
        S.EXPIRED: _("过了集群规定的截止时间仍未运行完，被集群撤下。请重新提交。"),
        S.CANCELLED: _("作业已取消。"),
        S.OUT_OF_MEMORY: _("使用的内存超过申请的 %(memory)s MB，被集群停止。请加大内存后重新提交。"),
        S.INTERRUPTED: _("节点故障或集群维护使作业中断，不收取费用。请重新提交。"),
        S.LAUNCH_FAILED: _("作业未能在节点上启动，不收取费用。请重新提交；再次发生请联系集群管理员。"),
        S.LOST: _("集群上已查不到这个作业，不收取费用。请重新提交；如有疑问请联系集群管理员。"),
    }
)

REFUSALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "partition": _("集群上没有这个分区，或分区已停用。请换一个分区重新提交。"),
        "account": _("贵单位在这个集群上还没有账户。请联系集群管理员开通。"),
        "qos": _("集群不允许贵单位使用这一服务等级。请联系集群管理员。"),
        "time_limit": _("时限超过集群允许的最长时间。请缩短时限后重新提交。"),
        "resources": _("集群没有一个节点能满足所申请的卡、核或内存。请减少资源或换一个分区。"),
        "limit": _("贵单位在集群上的作业数或资源已达上限。请等已有作业结束后再提交。"),
        "script": _("集群不接受这个脚本。请检查第一行的解释器和脚本内容。"),
        "access": _("集群不允许在指定位置运行。请联系集群管理员。"),
        "attempts": _("平台五次发送都没有送达集群，每次都已核实集群上没有这个作业，不收取费用。请稍后重新提交。"),
        "other": _("集群没有接受这个作业，也没有给出原因。请联系集群管理员。"),
    }
)
"""Why a cluster refused, by ``RejectedBy.code``."""

WAITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Resources": _("正在排队：前面的作业用着所需的卡或节点，空出来就轮到它。"),
        "Priority": _("正在排队：还有优先级更高的作业在前面。"),
        "Held": _("已在集群登记，正在放行。"),
        "JobHeldUser": _("已在集群登记，正在放行。"),
        "JobHeldAdmin": _("集群管理员暂停了这个作业的排队。请联系集群管理员。"),
        "Dependency": _("正在排队：等待另一个作业先结束。"),
        "DependencyNeverSatisfied": _("所依赖的作业没有按要求结束，平台正在取消这个作业。"),
        "BeginTime": _("正在排队：集群定好了稍后的开始时间。"),
        "Reservation": _("正在排队：等待为它预留的时间。"),
        "ReqNodeNotAvail": _("正在排队：所需节点正在维护或已被预留。"),
        "Nodes_required_for_job_are_DOWN": _("正在排队：所需节点故障或正在维护，恢复后继续。"),
        "PartitionDown": _("正在排队：分区暂停运行，恢复后继续。"),
        "PartitionInactive": _("正在排队：分区暂停运行，恢复后继续。"),
        "PartitionNodeLimit": _("正在排队，但申请的节点数超过分区上限，可能一直轮不到。建议取消后减少资源。"),
        "PartitionTimeLimit": _("正在排队，但时限超过分区上限，可能一直轮不到。建议取消后缩短时限。"),
        "BadConstraints": _("正在排队，但没有节点符合所申请的条件。建议取消后减少资源。"),
        "Licenses": _("正在排队：等待软件许可空出。"),
        "Cleaning": _("集群正在清理上一次运行，随后重新排队。"),
        "Prolog": _("节点正在做运行前的准备。"),
        "InvalidAccount": _("正在排队，但贵单位在集群上的账户无效。请联系集群管理员。"),
        "InvalidQOS": _("正在排队，但服务等级无效。请联系集群管理员。"),
    }
)
"""Why a job waits, by the scheduler's reason (Slurm's ``job_reason_string``; the local runner uses the same words)."""

FAMILIES: Final[tuple[tuple[str, str], ...]] = (
    ("Assoc", _("正在排队：贵单位在集群上的用量已达上限，等已有作业结束后继续。")),
    ("QOS", _("正在排队：该服务等级的用量已达上限，等已有作业结束后继续。")),
    ("MaxJobs", _("正在排队：同时运行的作业数已达上限，等已有作业结束后继续。")),
)
"""Reasons that come in dozens of variants, by how they begin."""

EXITS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: _("正常结束"),
        1: _("脚本报告了错误"),
        2: _("命令用法有误"),
        126: _("有命令不可执行，请检查权限"),
        127: _("有命令找不到，请检查名称和路径"),
        128 + signal.SIGINT: _("被中断"),
        128 + signal.SIGILL: _("执行了处理器不支持的指令，程序可能是为另一种处理器编译的"),
        128 + signal.SIGABRT: _("程序自行中止，通常是内部检查未通过"),
        128 + signal.SIGBUS: _("内存访问错误，常见于磁盘或共享内存已满"),
        128 + signal.SIGFPE: _("算术错误，如整数除以零"),
        128 + signal.SIGKILL: _("被强制终止，常见原因是内存不足"),
        128 + signal.SIGSEGV: _("程序访问了无效内存"),
        128 + signal.SIGPIPE: _("管道的另一端已关闭"),
        128 + signal.SIGTERM: _("被要求终止"),
        128 + signal.SIGXCPU: _("超出了处理器时间限制"),
        128 + signal.SIGXFSZ: _("写出的文件超出了大小限制"),
    }
)
"""What an exit code means (POSIX.1-2017 XCU §2.8.2: 126, 127, 128 + signal)."""


def exit_words(code: int) -> str:
    """Say an exit code in words, the number kept for those who look it up."""
    if code in EXITS:
        return gettext("%(words)s（退出码 %(code)s）") % {"words": gettext(EXITS[code]), "code": code}
    return gettext("脚本以退出码 %(code)s 结束") % {"code": code}


def reason_words(job: Job) -> str:
    """Say in one sentence what the job is doing or what became of it."""
    state = S(job.state)
    if state in OCCUPYING | {S.QUEUED, S.PLACED} and job.cancel_asked_at is not None:
        return gettext("已请求取消，正在等集群停止作业。")
    if state is S.PENDING and job.reason == "cluster_away":
        return gettext("集群暂时连不上，平台会自动重新发送；费用仍为您保留，也可以取消。")
    if state is S.REJECTED:
        return gettext(REFUSALS.get(job.reason, STATES[state]))
    if state is S.QUEUED and job.held and job.released_at is not None:
        return gettext("作业在集群上被暂停排队，不会自己开始。请联系集群管理员放行，或取消后重新提交。")
    if state is S.QUEUED:
        return _waiting(job.reason)
    if state is S.FAILED and job.exit_code:
        return gettext("%(exit)s。请查看日志末尾。") % {"exit": exit_words(job.exit_code)}
    if state is S.CANCELLED:
        return _cancelled(job)
    return gettext(STATES[state]) % {"limit": duration(job.time_limit_s), "memory": f"{job.memory_mb:,}"}


def _waiting(reason: str) -> str:
    code = re.split(r"[\s,:(]", reason, maxsplit=1)[0]
    if code in WAITS:
        return gettext(WAITS[code])
    return gettext(next((text for start, text in FAMILIES if code.startswith(start)), STATES[S.QUEUED]))


def _cancelled(job: Job) -> str:
    if job.reason == "dependency_never":
        return gettext("所依赖的作业没有按要求结束，这个作业不会再运行，冻结的费用已全部退回。")
    if not job.cluster_job_id:
        return gettext("作业在发送到集群之前取消，没有产生费用。")
    if job.cancel_asked_at is None:
        return gettext("作业在集群一侧被取消。如有疑问请联系集群管理员。")
    if job.started_at is None:
        return gettext("作业在开始运行之前按贵单位的要求取消，没有产生费用。")
    return gettext("作业按贵单位的要求取消，只收取已运行部分的费用。")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job's way; `css` is ``done``, ``now``, ``bad``, or empty while it is still to come."""

    css: str
    name: str


PLACES: Final[Mapping[JobState, int]] = MappingProxyType(
    {S.PENDING: 1, S.SUBMITTING: 1, S.UNKNOWN: 1, S.PLACED: 2, S.QUEUED: 2, **dict.fromkeys(OCCUPYING, 3)}
)
"""Which step an active job stands on."""


def steps_of(job: Job) -> list[Step]:
    """Return the five steps of a job: submitted, sent, queued, run, settled."""
    state = S(job.state)
    names = (gettext("提交"), gettext("送达集群"), gettext("排队"), gettext("运行"), gettext("结算"))
    if state not in FINAL:
        at = PLACES[state]
        return [Step("done" if place < at else "now" if place == at else "", name) for place, name in enumerate(names)]
    if state is S.SUCCEEDED:
        return [Step("done", name) for name in names]
    at = 3 if job.started_at else 2 if job.cluster_job_id else 1
    shown = [Step("done" if place < at else "bad", names[place]) for place in range(at + 1)]
    return [*shown, Step("done", names[4])]
