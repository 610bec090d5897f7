"""Slurm's REST content version v0.0.38 in our words, both ways. Pure: no network, no clock.

Only the fields named here are ever sent; nothing a user typed becomes a key. ``argv``, ``batch_features`` and a null
script crash slurmrestd 22.05.8, ``test_only`` submits for real, ``time_limit: 0`` means for ever, ``requeue: false``
means true: none of them can leave this module (tag slurm-22-05-8-1, plugins/openapi/v0.0.38).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scheduler.jobs.ports import ClusterState, RejectedBy, Spec

__all__ = [
    "VERSION",
    "Job",
    "differences",
    "exit_code",
    "from_accounting",
    "from_controller",
    "minutes",
    "node_sizes",
    "refusal",
    "state",
    "submission",
    "tres",
]

VERSION = "v0.0.38"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TYPE = re.compile(r"[A-Za-z0-9_.-]{0,32}")
_DIRECTORY = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_UNSET = 0xFFFF_FFF0
"""NO_VAL, INFINITE and their neighbours (slurm.h): any count this large means "not set"."""


def minutes(seconds: int) -> int:
    """Return whole minutes, rounded up, never 0: Slurm reads 0 as no limit at all."""
    return max(1, -(-seconds // 60))


def refusal(spec: Spec) -> RejectedBy | None:
    """Return why `spec` cannot be put into this version's words, or None."""
    if not spec.script.startswith("#!"):
        return RejectedBy("script", "no interpreter line")
    # "cpu,gpu" would mean either; a name like 007 or no is read as a number or a truth value by 22.05.
    for code, value in (("partition", spec.partition), ("account", spec.account)):
        if not _PLAIN.fullmatch(value):
            return RejectedBy(code, f"not a name: {value!r}")
    if not _TYPE.fullmatch(spec.card_type):
        return RejectedBy("resources", f"not a card type: {spec.card_type!r}")
    if spec.work_dir and not _DIRECTORY.fullmatch(spec.work_dir):
        return RejectedBy("access", f"not a plain absolute directory: {spec.work_dir!r}")
    return None


def submission(spec: Spec, *, marker: str, directory: str, output: str, qos: str = "") -> dict[str, Any]:
    """Return the body that places `spec` held, under `marker`.

    The marker is the job's *name*, because accounting keeps the name and not always the comment. ``singleton`` lets
    no two jobs of one name run side by side. The comment repeats what was asked for, so that whoever releases the job
    can compare it with what Slurm made of it.
    """
    job: dict[str, Any] = {
        "name": marker,
        "comment": json.dumps(_asked(spec), separators=(",", ":")),
        "account": spec.account,
        "partition": spec.partition,
        "nodes": "1",
        "tasks": 1,
        "cpus_per_task": spec.cpus,
        "memory_per_node": spec.memory_mb,
        "time_limit": minutes(spec.time_limit_s),
        "hold": True,
        "no_requeue": True,
        "dependency": "singleton",
        "current_working_directory": directory,
        "standard_output": output,
        "standard_error": output,
        "open_mode": "append",
        "environment": {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": directory,
            "USER": spec.user,
            "LOGNAME": spec.user,
            "SHELL": "/bin/sh",
            "OMP_NUM_THREADS": str(spec.cpus),
            "JOB_MARKER": marker,
            **spec.environment,
        },
    }
    if spec.cards:
        job["gres"] = f"gpu:{spec.card_type}:{spec.cards}" if spec.card_type else f"gpu:{spec.cards}"
    if qos:
        job["qos"] = qos
    return {"job": job, "script": spec.script}


def _asked(spec: Spec) -> dict[str, Any]:
    return {
        "cpus": spec.cpus,
        "cards": spec.cards,
        "card_type": spec.card_type if spec.cards else "",
        "memory_mb": spec.memory_mb,
        "time_limit_s": minutes(spec.time_limit_s) * 60,
        "account": spec.account,
        "user": spec.user,
    }


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the controller or accounting shows it. Times are epoch seconds, 0 = not yet."""

    job_id: int
    name: str
    submitted_at: int
    state: ClusterState
    raw_state: str
    reason: str
    user: str
    account: str
    time_limit_s: int
    requested: Mapping[str, int]
    allocated: Mapping[str, int]
    started_at: int
    ended_at: int
    ran_s: int
    """Seconds it ran up to `runs_since`, suspension left out."""
    runs_since: int
    """Since when it runs on; 0 while it does not."""
    exit_code: int | None
    held: bool
    asked: Mapping[str, Any] | None
    """What `submission` wrote into the comment; None where the comment is not kept (accounting) or not ours."""

    @property
    def never_started(self) -> bool:
        """Say whether it was cancelled while it waited: Slurm then gives it a start time, but no resources."""
        return self.state is ClusterState.CANCELLED and not self.allocated

    def elapsed_s(self, until: int) -> int:
        """Return seconds of running up to `until` (epoch)."""
        return self.ran_s + (max(0, until - self.runs_since) if self.runs_since else 0)


def from_controller(row: Mapping[str, Any]) -> Job:
    """Read one entry of ``/slurm/v0.0.38/job(s)``. Unknown or missing fields never raise."""
    kind, reason = state(row.get("job_state")), str(row.get("state_reason") or "")
    # The reason alone is not enough: 22.05 gives it to every script that a signal ends. Launching shows as signal 53.
    if kind is ClusterState.FAILED and reason == "JobLaunchFailure" and _count(row.get("exit_code")) & 0x7F == 53:
        kind = ClusterState.LAUNCH_FAILED
    return Job(
        job_id=_count(row.get("job_id")),
        name=str(row.get("name") or ""),
        submitted_at=_count(row.get("submit_time")),
        state=kind,
        raw_state=_raw(row.get("job_state")),
        reason="" if reason == "None" else reason,
        user=str(row.get("user_name") or ""),
        account=str(row.get("account") or ""),
        time_limit_s=_count(row.get("time_limit")) * 60,
        requested=tres(row.get("tres_req_str")),
        allocated={} if kind is ClusterState.QUEUED else tres(row.get("tres_alloc_str")),
        started_at=_count(row.get("start_time")),
        ended_at=_count(row.get("end_time")),
        # Its suspend_time is that of the last suspension *or* resumption, pre_sus_time what it had run until then.
        ran_s=_count(row.get("pre_sus_time")),
        runs_since=0
        if kind is ClusterState.SUSPENDED
        else _count(row.get("suspend_time")) or _count(row.get("start_time")),
        exit_code=exit_code(kind, row.get("exit_code")),
        held=kind is ClusterState.QUEUED and row.get("priority") == 0,
        asked=_comment(row.get("comment")),
    )


def from_accounting(row: Mapping[str, Any]) -> Job:
    """Read one entry of ``/slurmdb/v0.0.38/jobs``.

    Its exit code is not used: 22.05 writes 0 whenever the process ended by itself (parse.c of dbv0.0.38).
    """
    time, current = row.get("time") or {}, row.get("state") or {}
    kind = state(current.get("current"))
    return Job(
        job_id=_count(row.get("job_id")),
        name=str(row.get("name") or ""),
        submitted_at=_count(time.get("submission")),
        state=kind,
        raw_state=_raw(current.get("current")),
        reason=str(current.get("reason") or ""),
        user=str(row.get("user") or ""),
        account=str(row.get("account") or ""),
        time_limit_s=_count(time.get("limit")) * 60,
        requested=_tres_list((row.get("tres") or {}).get("requested")),
        allocated=_tres_list((row.get("tres") or {}).get("allocated")),
        started_at=_count(time.get("start")),
        ended_at=_count(time.get("end")),
        ran_s=_count(time.get("elapsed")),
        runs_since=0,
        exit_code=0 if kind is ClusterState.SUCCEEDED else None,
        held=False,
        asked=None,
    )


def differences(job: Job) -> list[str]:
    """Return in words where Slurm's reading of the request differs from the request; [] when it is what was paid for.

    A job without our comment cannot be vouched for, so that counts as a difference.
    """
    if job.asked is None:
        return ["no record of what was asked"]
    granted: dict[str, Any] = {
        "cpus": job.requested.get("cpu", 0),
        "cards": job.requested.get("gres/gpu", 0),
        "memory_mb": job.requested.get("mem", 0),
        "time_limit_s": job.time_limit_s,
        "account": job.account,
        "user": job.user,
    }
    found = [
        f"{name}: asked {job.asked.get(name)!r}, would get {value!r}"
        for name, value in granted.items()
        if job.asked.get(name) != value
    ]
    kind = job.asked.get("card_type")
    if kind and job.requested.get(f"gres/gpu:{kind}", 0) != job.asked.get("cards"):
        found.append(f"card_type: asked {kind!r}")
    return found


# --- states

_BASE = {
    "PENDING": ClusterState.QUEUED,
    "RUNNING": ClusterState.RUNNING,
    "SUSPENDED": ClusterState.SUSPENDED,
    "COMPLETED": ClusterState.SUCCEEDED,
    "CANCELLED": ClusterState.CANCELLED,
    "FAILED": ClusterState.FAILED,
    "TIMEOUT": ClusterState.TIMED_OUT,
    "NODE_FAIL": ClusterState.INTERRUPTED,
    "PREEMPTED": ClusterState.INTERRUPTED,
    "BOOT_FAIL": ClusterState.LAUNCH_FAILED,
    "DEADLINE": ClusterState.EXPIRED,
    "OUT_OF_MEMORY": ClusterState.OUT_OF_MEMORY,
}
"""enum job_states (slurm.h), all twelve."""

_FLAGS = {
    "COMPLETING": ClusterState.FINISHING,
    "STAGE_OUT": ClusterState.FINISHING,
    "CONFIGURING": ClusterState.STARTING,
    "POWER_UP_NODE": ClusterState.STARTING,
    "RESIZING": ClusterState.RUNNING,
    "SIGNALING": ClusterState.RUNNING,
    "STOPPED": ClusterState.RUNNING,
    "UPDATE_DB": ClusterState.RUNNING,
    "EXPEDITING": ClusterState.RUNNING,
    "REQUEUED": ClusterState.QUEUED,
    "REQUEUE_FED": ClusterState.QUEUED,
    "REQUEUE_HOLD": ClusterState.QUEUED,
    "SPECIAL_EXIT": ClusterState.QUEUED,
    "RESV_DEL_HOLD": ClusterState.QUEUED,
}
"""Flags that speak for the job while they are set: v0.0.38 shows them *instead of* the base state, so none may end it."""

_ENDINGS = {
    "REVOKED": ClusterState.CANCELLED,
    "LAUNCH_FAILED": ClusterState.LAUNCH_FAILED,
    "RECONFIG_FAIL": ClusterState.LAUNCH_FAILED,
}
"""Flags that say how a job ended: believed only beside a final base state (REVOKED alone may run on a sibling)."""

_ENDED = frozenset(_BASE.values()) - {ClusterState.QUEUED, ClusterState.RUNNING, ClusterState.SUSPENDED}


def state(raw: object) -> ClusterState:
    """Return the state for Slurm's word, or list of words. Total: anything not known is UNKNOWN, nothing raises."""
    words = raw if isinstance(raw, list) else [raw]
    if not words or not all(
        isinstance(word, str) and (word in _BASE or word in _FLAGS or word in _ENDINGS) for word in words
    ):
        return ClusterState.UNKNOWN
    bases = [_BASE[word] for word in words if word in _BASE]
    for word in words:
        if word in _FLAGS:
            return _FLAGS[word]
    if len(bases) != 1:
        return ClusterState.UNKNOWN
    endings = [_ENDINGS[word] for word in words if word in _ENDINGS]
    if endings:
        return endings[0] if bases[0] in _ENDED else ClusterState.UNKNOWN
    return bases[0]


def exit_code(kind: ClusterState, status: object) -> int | None:
    """Return the script's exit code from a raw wait status (wait(2)), 128 + n for signal n, as a shell says it.

    None unless the script ended by itself: the status of a job that was stopped is the stopper's, not the script's.
    """
    if kind not in (ClusterState.SUCCEEDED, ClusterState.FAILED) or not isinstance(status, int) or status < 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


# --- resources


def tres(text: object) -> dict[str, int]:
    """Read ``cpu=1,mem=1.5G,node=1,gres/gpu=2,gres/gpu:a100=2``; memory in MB. Parts it cannot read are left out."""
    found = {}
    for part in str(text or "").split(","):
        name, _, value = part.partition("=")
        scale = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}.get(value[-1:], 1)
        try:
            found[name] = round(float(value.rstrip("KMGT")) * scale)
        except ValueError:
            continue
    return found


def node_sizes(rows: Sequence[Mapping[str, Any]], partition: str) -> list[dict[str, int]]:
    """Return what each node of `partition` has, as `tres` reads it; [] when the partition has none."""
    return [tres(row.get("tres")) for row in rows if partition in (row.get("partitions") or [])]


def _tres_list(entries: object) -> dict[str, int]:
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        name = f"{entry.get('type')}/{entry.get('name')}" if entry.get("name") else str(entry.get("type"))
        if (count := _count(entry.get("count"))) > 0:
            found[name] = count
    return found


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _UNSET else 0


def _raw(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _comment(text: object) -> dict[str, Any] | None:
    try:
        value = json.loads(str(text))
    except ValueError:
        return None
    return value if isinstance(value, dict) and "time_limit_s" in value else None


def moment(seconds: int) -> datetime | None:
    """Return epoch seconds as an aware time, None for 0."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
