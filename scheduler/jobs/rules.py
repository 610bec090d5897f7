"""Job states, what a job may ask for, and what a script must look like. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, noop
from scheduler.jobs.ports import FINAL as CLUSTER_FINAL
from scheduler.jobs.ports import ClusterState

__all__ = [
    "ACTIVE",
    "FINAL",
    "MAX_SCRIPT_BYTES",
    "OCCUPYING",
    "SETTLED_FOR_GOOD",
    "SYSTEM",
    "TRANSITIONS",
    "Ask",
    "JobAction",
    "JobState",
    "PartitionLimits",
    "Settlement",
    "can_hold",
    "refusals",
]

_ = noop

SYSTEM: Final = Actor.system(_("集群对账"))
"""Who acts on what a cluster reports."""
MAX_SCRIPT_BYTES: Final = 1024 * 1024
INTERPRETERS: Final = (
    "/bin/sh",
    "/bin/bash",
    "/usr/bin/sh",
    "/usr/bin/bash",
    "/usr/bin/python3",
    "/usr/bin/env bash",
    "/usr/bin/env sh",
    "/usr/bin/env python3",
    "/usr/bin/env python",
)
"""Interpreter lines a script may start with."""


class JobState(StrEnum):
    """A job's state in the portal. The first five are ours, the rest are the cluster's."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PLACED = "placed"
    REJECTED = "rejected"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    FINISHING = "finishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    LAUNCH_FAILED = "launch_failed"
    LOST = "lost"


class Settlement(StrEnum):
    """How far a job's money is settled, apart from how far the job itself is."""

    NONE = "none"
    PROVISIONAL = "provisional"
    """Charged from what the controller said, because accounting is late; an adjustment may follow."""
    SETTLED = "settled"
    ADJUSTED = "adjusted"


SETTLED_FOR_GOOD: Final = frozenset({Settlement.SETTLED, Settlement.ADJUSTED})


class JobAction(StrEnum):
    """What happens to a job: the portal's own steps, and ``see_*`` for what the cluster reports."""

    SEND = "send"
    RETRY = "retry"
    LOSE_ANSWER = "lose_answer"
    PLACE = "place"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    VANISH = "vanish"
    SEE_QUEUED = "see_queued"
    SEE_STARTING = "see_starting"
    SEE_RUNNING = "see_running"
    SEE_SUSPENDED = "see_suspended"
    SEE_FINISHING = "see_finishing"
    SEE_SUCCEEDED = "see_succeeded"
    SEE_FAILED = "see_failed"
    SEE_TIMED_OUT = "see_timed_out"
    SEE_EXPIRED = "see_expired"
    SEE_CANCELLED = "see_cancelled"
    SEE_OUT_OF_MEMORY = "see_out_of_memory"
    SEE_INTERRUPTED = "see_interrupted"
    SEE_LAUNCH_FAILED = "see_launch_failed"


S, A = JobState, JobAction

ON_CLUSTER: Final = frozenset({S.PLACED, S.QUEUED, S.STARTING, S.RUNNING, S.SUSPENDED, S.FINISHING})
"""States in which the cluster is asked about the job."""
OCCUPYING: Final = frozenset({S.STARTING, S.RUNNING, S.SUSPENDED, S.FINISHING})
"""States in which a job holds cards; the other active ones wait."""
ACTIVE: Final = ON_CLUSTER | {S.PENDING, S.SUBMITTING, S.UNKNOWN}
"""Everything not final: money is held."""
FINAL: Final = frozenset(JobState) - ACTIVE


def _seen() -> dict[tuple[JobState, JobAction], JobState]:
    """A live job may be reported in any state: requeued jobs go back, fast ones skip steps."""
    return {
        (state, JobAction(f"see_{seen.value}")): JobState(seen.value)
        for state in JobState
        for seen in ClusterState
        if state in ON_CLUSTER and seen is not ClusterState.UNKNOWN
    }


TRANSITIONS: Final[Mapping[tuple[JobState, JobAction], JobState]] = MappingProxyType(
    {
        (S.PENDING, A.SEND): S.SUBMITTING,
        (S.PENDING, A.WITHDRAW): S.CANCELLED,
        (S.SUBMITTING, A.RETRY): S.PENDING,
        (S.SUBMITTING, A.LOSE_ANSWER): S.UNKNOWN,
        (S.SUBMITTING, A.PLACE): S.PLACED,
        (S.SUBMITTING, A.REFUSE): S.REJECTED,
        (S.PLACED, A.REFUSE): S.REJECTED,
        (S.UNKNOWN, A.PLACE): S.PLACED,
        (S.UNKNOWN, A.RETRY): S.PENDING,
        (S.UNKNOWN, A.REFUSE): S.REJECTED,
        (S.UNKNOWN, A.WITHDRAW): S.CANCELLED,
        **_seen(),
        **{(state, A.VANISH): S.LOST for state in JobState if state in ON_CLUSTER},
    }
)


def can_hold(kind: str, state: JobState) -> bool | None:
    """Say whether a dependency of `kind` on a job in `state` holds: True, never (False), or not decided yet (None)."""
    if state not in FINAL:
        return None
    return kind == "any" or (state is JobState.SUCCEEDED) == (kind == "ok")


@dataclass(frozen=True, slots=True)
class PartitionLimits:
    """What a partition offers one job."""

    card_type: str
    max_cards: int
    max_cpus: int
    max_memory_mb: int
    max_time_s: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """What a job asks for. Seconds are whole minutes."""

    cards: int
    cpus: int
    memory_mb: int
    time_limit_s: int
    script: str


def refusals(ask: Ask, limits: PartitionLimits) -> Sequence[Reason]:
    """Return every ground on which the partition refuses `ask`; empty when it would take it."""
    reasons: list[Reason] = []
    if not limits.is_open:
        reasons.append(
            Reason(
                "job.partition_closed",
                _("该分区暂不接收作业。"),
                _("请选择其他分区，或等维护结束。"),
                field="partition",
            )
        )
    for name, asked, least, most, message in (
        (
            "cards",
            ask.cards,
            0 if not limits.max_cards else 1,
            limits.max_cards,
            _("加速卡数量须在 %(least)s 到 %(most)s 之间，您申请了 %(asked)s。"),
        ),
        ("cpus", ask.cpus, 1, limits.max_cpus, _("CPU 核数须在 %(least)s 到 %(most)s 之间，您申请了 %(asked)s。")),
        (
            "memory_mb",
            ask.memory_mb,
            16,
            limits.max_memory_mb,
            _("内存须在 %(least)s 到 %(most)s MB 之间，您申请了 %(asked)s。"),
        ),
    ):
        if not least <= asked <= most:
            reasons.append(
                Reason(
                    f"job.{name}",
                    message,
                    _("请调整到范围之内，或选择其他分区。"),
                    field=name,
                    params={"least": least, "most": most, "asked": asked},
                )
            )
    # A limit of 0 means "unlimited" to Slurm, so less than a minute must never leave the portal.
    if ask.time_limit_s < 60 or ask.time_limit_s % 60 or ask.time_limit_s > limits.max_time_s:
        reasons.append(
            Reason(
                "job.time_limit",
                _("时限须为整分钟，在 1 到 %(most)s 分钟之间。"),
                _("请修改时限。"),
                field="time_limit_min",
                params={"most": limits.max_time_s // 60},
            )
        )
    return [*reasons, *script_refusals(ask.script)]


def script_refusals(script: str) -> Sequence[Reason]:
    """Return what is wrong with a script: size, NUL, line ends, interpreter line, scheduler directives.

    Slurm's REST interface accepts a script without an interpreter line and the job then fails on the node, and it
    ignores ``#SBATCH`` lines: both are refused here, where the user can still mend them.
    """
    if not script.strip():
        return [Reason("job.script_empty", _("脚本为空。"), _("请粘贴或填写要运行的脚本。"), field="script")]
    reasons: list[Reason] = []
    if len(script.encode()) > MAX_SCRIPT_BYTES:
        reasons.append(
            Reason("job.script_size", _("脚本超过 1 MB。"), _("请把数据放进文件，脚本只保留命令。"), field="script")
        )
    if "\0" in script:
        reasons.append(
            Reason("job.script_nul", _("脚本含有空字符（NUL）。"), _("请检查文件是否为文本文件。"), field="script")
        )
    first = script.split("\n", 1)[0].rstrip("\r")
    if not first.startswith("#!"):
        reasons.append(
            Reason(
                "job.script_interpreter",
                _("脚本第一行缺少解释器声明。"),
                _("请把第一行写成 #!/bin/bash 或 #!/usr/bin/env python3。"),
                field="script",
            )
        )
    elif re.sub(r"\s+", " ", first[2:].strip()) not in INTERPRETERS:
        reasons.append(
            Reason(
                "job.script_interpreter_unknown",
                _("不支持的解释器“%(interpreter)s”。"),
                _("可用：%(allowed)s。"),
                field="script",
                params={"interpreter": first[2:].strip()[:80], "allowed": list(INTERPRETERS)},
            )
        )
    directives = [line.strip() for line in script.splitlines() if re.match(r"\s*#SBATCH\b", line)]
    if directives:
        reasons.append(
            Reason(
                "job.script_directives",
                _("脚本含有 %(count)s 行 #SBATCH 指令，经接口提交时不会生效。"),
                _("请删除这些行，改在表单中填写资源与时限。"),
                field="script",
                params={"count": len(directives)},
            )
        )
    return reasons


def normalised(script: str) -> str:
    """Return the script with LF line ends and a final newline: a CR breaks the interpreter line on the node."""
    text = script.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


assert {state.value for state in CLUSTER_FINAL} <= {state.value for state in FINAL}
