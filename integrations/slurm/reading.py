"""Read rows of slurmrestd, of any version from v0.0.38 to v0.0.45, into `codec.Job`. Pure; no row ever raises.

Seen: v0.0.38 on 22.05.8 and 23.11.11, v0.0.40 to v0.0.45 on 23.11.11, 24.11.7 and 26.05.3. From v0.0.40 on an optional
number is ``{"set", "infinite", "number"}``: infinite is not unset, and neither is 0.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.slurm.codec import Job
from integrations.slurm.states import is_held, raw, state
from scheduler.jobs import arrays
from scheduler.jobs.ports import FINAL, ClusterState

__all__ = ["Node", "exit_code", "from_accounting", "from_controller", "nodes", "number", "optional", "tres", "words"]

_UNSET = 0xFFFF_FFF0
"""NO_VAL, INFINITE and their neighbours (slurm.h): any count this large means "not set"."""
_LAUNCH_FAILED = 53


def from_controller(row: Mapping[str, Any]) -> Job:
    """Read one entry of ``/slurm/…/job(s)``. Unknown or missing fields never raise."""
    kind, reason = state(row.get("job_state")), str(row.get("state_reason") or "")
    status = row.get("exit_code")
    # The reason alone is not enough: 22.05 gives it to every script that a signal ends. Launching shows as signal 53.
    if kind is ClusterState.FAILED and reason == "JobLaunchFailure" and _signal(status) == _LAUNCH_FAILED:
        kind = ClusterState.LAUNCH_FAILED
    priority = row.get("priority")
    waits, started_at = kind is ClusterState.QUEUED, number(row.get("start_time"))
    array_id = number(row.get("array_job_id"))
    return Job(
        job_id=number(row.get("job_id")),
        name=str(row.get("name") or ""),
        submitted_at=number(row.get("submit_time")),
        state=kind,
        raw_state=raw(row.get("job_state")),
        reason="" if reason == "None" else reason,
        user=str(row.get("user_name") or ""),
        account=str(row.get("account") or ""),
        time_limit_s=number(row.get("time_limit")) * 60,
        requested=tres(row.get("tres_req_str")),
        # After a lost node a job that waits, or is cancelled then, keeps the resources of its last run in its row.
        allocated={} if waits or _nowhere(row) else tres(row.get("tres_alloc_str")),
        started_at=0 if waits else started_at,
        ended_at=number(row.get("end_time")) if kind in FINAL or kind is ClusterState.FINISHING else 0,
        # Its suspend_time is that of the last suspension *or* resumption, pre_sus_time what it had run until then.
        ran_s=number(row.get("pre_sus_time")),
        runs_since=0
        if waits or kind is ClusterState.SUSPENDED
        else number(row.get("suspend_time")) or number(row.get("start_time")),
        exit_code=exit_code(kind, status),
        held=waits and (_is_zero(priority) or reason.startswith("JobHeld") or is_held(row.get("job_state"))),
        asked=_comment(row.get("comment")),
        partition=str(row.get("partition") or ""),
        array_id=array_id,
        task=optional(row.get("array_task_id")) if array_id else None,
        tasks_left=str(row.get("array_task_string") or "") if array_id else "",
        restarts=number(row.get("restart_cnt")),
        requeue=row["requeue"] if isinstance(row.get("requeue"), bool) else None,
        expected_at=started_at if waits else 0,
        waits_for=str(row.get("dependency") or ""),
        nodes=optional(row.get("node_count")),
    )


def from_accounting(row: Mapping[str, Any], *, keeps_exit_codes: bool = False) -> Job:
    """Read one entry of ``/slurmdb/…/jobs``.

    Without `keeps_exit_codes` its exit code is not used: 22.05 writes 0 whenever the process ended by itself (parse.c of
    dbv0.0.38). From 26.05 on user and account are only at the top of the row, which is where they are read.
    """
    time, current, array = _dict(row.get("time")), _dict(row.get("state")), _dict(row.get("array"))
    kind, word = state(current.get("current")), raw(current.get("current"))
    array_id = number(array.get("job_id"))
    requeued = "REQUEUED" in word.split("+")
    # Of a run that goes on, 24.11 tells the present as its end.
    ended_at = number(time.get("end")) if kind in FINAL or requeued else 0
    own = exit_code(kind, row.get("exit_code")) if keeps_exit_codes else None
    return Job(
        job_id=number(row.get("job_id")),
        name=str(row.get("name") or ""),
        submitted_at=number(time.get("submission")),
        state=kind,
        raw_state=word,
        reason="" if current.get("reason") in (None, "None") else str(current["reason"]),
        user=str(row.get("user") or ""),
        account=str(row.get("account") or ""),
        time_limit_s=number(time.get("limit")) * 60,
        requested=_tres_list(_dict(row.get("tres")).get("requested")),
        allocated={} if _nowhere(row) else _tres_list(_dict(row.get("tres")).get("allocated")),
        started_at=number(time.get("start")),
        ended_at=ended_at,
        ran_s=number(time.get("elapsed")),
        runs_since=0,
        exit_code=0 if kind is ClusterState.SUCCEEDED else own,
        held=False,
        asked=None,
        partition=str(row.get("partition") or ""),
        array_id=array_id,
        task=optional(array.get("task_id")) if array_id else None,
        tasks_left=_tasks_left(array) if array_id else "",
        nodes=optional(row.get("allocation_nodes")),
        was_requeued=requeued and bool(ended_at),
    )


def _tasks_left(array: Mapping[str, Any]) -> str:
    """Return the tasks not yet apart as they were asked for: accounting since 23.11 tells them as a mask, ``0x6A%1``."""
    told = str(array.get("task") or "")
    mask = re.fullmatch(r"0x([0-9A-Fa-f]+)(%\d+)?", told)
    if mask is None:
        return told
    bits = int(mask[1], 16)
    tasks = arrays.written(at for at in range(bits.bit_length()) if bits >> at & 1)
    at_once = number(_dict(_dict(_dict(array.get("limits")).get("max")).get("running")).get("tasks"))
    return tasks + (mask[2] or (f"%{at_once}" if at_once else ""))


# --- numbers


def number(value: object) -> int:
    """Return a count, wrapped or plain; 0 where it is not set, infinite, negative or no number."""
    return optional(value) or 0


def optional(value: object) -> int | None:
    """Return a count, wrapped or plain; None where it is not set, infinite, negative or no number."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _UNSET else None


def _is_zero(value: object) -> bool:
    return optional(value) == 0


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _nowhere(row: Mapping[str, Any]) -> bool:
    """Say whether the row names no node it is or was on."""
    return row.get("nodes") in ("", "None assigned")


def words(value: object) -> list[str]:
    """Return one word or a list of them as a list, in capitals."""
    return [str(word).upper() for word in (value if isinstance(value, list) else [value]) if word]


# --- exit codes


def exit_code(kind: ClusterState, status: object) -> int | None:
    """Return the script's exit code, 128 + n for signal n, as a shell says it.

    `status` is a raw wait status (wait(2)), or ``{"return_code", "signal": {"id"}}``. None unless the script ended by
    itself: the status of a job that was stopped is the stopper's, not the script's.
    """
    if kind not in (ClusterState.SUCCEEDED, ClusterState.FAILED):
        return None
    if isinstance(status, dict):
        signal, code = _signal(status), optional(status.get("return_code"))
        return 128 + signal if signal else code
    if not isinstance(status, int) or isinstance(status, bool) or not 0 <= status < _UNSET:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _signal(status: object) -> int:
    if isinstance(status, dict):
        return number(_dict(status.get("signal")).get("id"))
    return number(status) & 0x7F


# --- resources


def tres(text: object) -> dict[str, int]:
    """Read ``cpu=1,mem=1.5G,node=1,gres/gpu=2,gres/gpu:a100=2``; memory in MB. Parts it cannot read are left out."""
    found = {}
    for part in str(text or "").split(","):
        name, _, value = part.partition("=")
        scale = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}.get(value[-1:], 1)
        try:
            found[name] = round(float(value.rstrip("KMGT")) * scale)
        except (ValueError, OverflowError):
            continue
    return found


def _tres_list(entries: object) -> dict[str, int]:
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        name = f"{entry.get('type')}/{entry.get('name')}" if entry.get("name") else str(entry.get("type"))
        if (count := number(entry.get("count"))) > 0:
            found[name] = count
    return found


def _comment(text: object) -> dict[str, Any] | None:
    try:
        value = json.loads(str(text))
    except ValueError:
        return None
    return value if isinstance(value, dict) and "time_limit_s" in value else None


# --- nodes

_DOWN = frozenset(
    [
        "DOWN",
        "ERROR",
        "UNKNOWN",
        "FUTURE",
        "DRAIN",
        "DRAINED",
        "DRAINING",
        "FAIL",
        "FAILING",
        "NOT_RESPONDING",
        "NO_RESPOND",
        "POWERED_DOWN",
        "MAINTENANCE",
    ]
)


@dataclass(frozen=True, slots=True)
class Node:
    """One node: what it has and what of it is in use, as `tres` reads them."""

    name: str
    partitions: frozenset[str]
    has: Mapping[str, int]
    used: Mapping[str, int]
    is_down: bool

    @property
    def card_type(self) -> str:
        """The type of its cards, "" when it has none; of several, the first by name."""
        types = sorted(name for name in self.has if name.startswith("gres/gpu:"))
        return types[0].removeprefix("gres/gpu:") if types else ""


def nodes(rows: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Read ``/slurm/…/nodes``. A node in use and drained is down, but what is used on it stays used."""
    found = []
    for row in rows:
        used = tres(row.get("tres_used"))
        used.setdefault("cpu", number(row.get("alloc_cpus")))
        found.append(
            Node(
                name=str(row.get("name") or ""),
                partitions=frozenset(map(str, row.get("partitions") or ())),
                has=tres(row.get("tres")),
                used=used,
                is_down=not _DOWN.isdisjoint(words(row.get("state")) + words(row.get("state_flags"))),
            )
        )
    return found
