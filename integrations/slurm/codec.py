"""Slurm's REST content in our words, whatever its version. Pure: no network, no clock.

`Job` is one row of the controller or of accounting; `reading` reads both families of versions into it, because fields
only differ in wrapping (a plain number, or ``{"set", "infinite", "number"}``; one word, or a list of words). What is
*sent* differs in names, so each family writes its own: `legacy` (v0.0.38) and `modern` (v0.0.40 to v0.0.45).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from scheduler.jobs import arrays
from scheduler.jobs.ports import ClusterState, RejectedBy, Spec

__all__ = [
    "VERSION",
    "Codec",
    "Job",
    "Place",
    "asked",
    "dependencies",
    "differences",
    "environment",
    "minutes",
    "moment",
    "refusal",
    "refusals",
]

VERSION = "v0.0.38"
"""The version of Slurm 22.05, which the limits are written for."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TYPE = re.compile(r"[A-Za-z0-9_.-]{0,32}")
_DIRECTORY = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_AFTER = {"ok": "afterok", "notok": "afternotok", "any": "afterany"}
_MAX_ARRAY_TEXT = 300
"""The array's text is repeated in the comment, which holds 1024 bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job starts and prints, and under which QOS ("" = the account's own)."""

    directory: str
    output: str
    qos: str = ""


class Codec(Protocol):
    """One version's way to say a submission."""

    @property
    def version(self) -> str: ...

    @property
    def keeps_exit_codes(self) -> bool:
        """Say whether accounting's exit codes are the scripts' own."""

    @property
    def makes_whole(self) -> bool:
        """Say whether accounts and users are made by ``accounts_association`` and ``users_association``."""

    @property
    def every_run(self) -> Mapping[str, str]:
        """Return what accounting must be asked with to tell of every run of a requeued job, not its last alone, and of a
        run from its start to its end, not of the part in the period asked about alone.
        """

    def since(self, moment: int) -> str:
        """Return epoch seconds as the controller's list takes ``update_time``."""

    def bound(self, count: int | None) -> Any:
        """Return a limit of an account as accounting takes it, None for no limit."""

    def submission(self, spec: Spec, *, marker: str, place: Place) -> dict[str, Any]:
        """Return the body that places `spec` held, under `marker`."""


def minutes(seconds: int) -> int:
    """Return whole minutes, rounded up, never 0: Slurm reads 0 as no limit at all."""
    return max(1, -(-seconds // 60))


def refusal(spec: Spec) -> RejectedBy | None:
    """Return the first reason why `spec` cannot be said in Slurm's words, or None."""
    return next(iter(refusals(spec)), None)


def refusals(spec: Spec) -> list[RejectedBy]:
    """Return every reason why `spec` cannot be said in Slurm's words."""
    found = []
    if not spec.script.startswith("#!"):
        found.append(RejectedBy("script", "no interpreter line"))
    # "cpu,gpu" would mean either; a name like 007 or no is read as a number or a truth value by 22.05.
    for code, value in (("partition", spec.partition), ("account", spec.account)):
        if not _PLAIN.fullmatch(value):
            found.append(RejectedBy(code, f"not a name: {value!r}"))
    if not _TYPE.fullmatch(spec.card_type):
        found.append(RejectedBy("resources", f"not a card type: {spec.card_type!r}"))
    if spec.work_dir and not _DIRECTORY.fullmatch(spec.work_dir):
        found.append(RejectedBy("access", f"not a plain absolute directory: {spec.work_dir!r}"))
    if spec.array and (len(spec.array) > _MAX_ARRAY_TEXT or not _is_array(spec.array)):
        found.append(RejectedBy("other", f"array: {spec.array[:80]!r}"))
    if any(after.kind not in _AFTER or not after.ref.job_id.isdecimal() for after in spec.after):
        found.append(RejectedBy("other", "dependency: neither ok, notok nor any"))
    return found


def _is_array(text: str) -> bool:
    try:
        return arrays.canonical(text, max_size=4_000_001) == text
    except arrays.BadArray:
        return False


def dependencies(spec: Spec) -> str:
    """Return all that must hold before the job starts, in Slurm's words.

    ``singleton`` lets no two jobs of one name and user run side by side; tasks of one array are one job to it.
    """
    return ",".join(["singleton", *(f"{_AFTER[after.kind]}:{int(after.ref.job_id)}" for after in spec.after)])


def environment(spec: Spec, *, marker: str, directory: str) -> dict[str, str]:
    """Return every variable the job gets; a task of an array also has ``SLURM_ARRAY_TASK_ID``, from Slurm."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": directory,
        "USER": spec.user,
        "LOGNAME": spec.user,
        "SHELL": "/bin/sh",
        "OMP_NUM_THREADS": str(spec.cpus),
        "JOB_MARKER": marker,
        **spec.environment,
    }


def asked(spec: Spec) -> str:
    """Return what was asked for, for the job's comment: whoever releases it compares that with what Slurm made of it."""
    value: dict[str, Any] = {
        "cpus": spec.cpus,
        "cards": spec.cards,
        "card_type": spec.card_type if spec.cards else "",
        "memory_mb": spec.memory_mb,
        "time_limit_s": minutes(spec.time_limit_s) * 60,
        "account": spec.account,
        "user": spec.user,
        "requeue": spec.requeue,
        **({"array": spec.array} if spec.array else {}),
    }
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the controller or of accounting: a job, a task of an array, or its tasks not yet apart.

    Times are epoch seconds, 0 = not yet.
    """

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
    """What `asked` wrote into the comment; None where the comment is not kept (accounting) or not ours."""
    partition: str = ""
    array_id: int = 0
    """The id the array was submitted under; 0 for a job that is none."""
    task: int | None = None
    tasks_left: str = ""
    """Tasks that are still one row: ``2-9%2``."""
    restarts: int | None = None
    """How often it was requeued; None where the row does not say (accounting)."""
    requeue: bool | None = None
    expected_at: int = 0
    """When a waiting job is expected to start."""
    waits_for: str = ""
    """Its dependencies that do not hold yet."""
    nodes: int | None = None
    was_requeued: bool = False
    """This run was ended so that the job could begin again."""

    @property
    def id(self) -> int:
        """The id it was submitted under: the array's, for a task."""
        return self.array_id or self.job_id

    @property
    def tasks(self) -> list[int | None]:
        """Return the tasks this row is about; [None] for a job that is no array."""
        if self.task is not None or not self.array_id:
            return [self.task]
        text = self.tasks_left.partition("%")[0]
        try:
            if text.startswith("0x"):  # accounting writes the numbers as bits: 0x68 is 3,5-6
                bits = int(text, 16)
                return [number for number in range(bits.bit_length()) if bits >> number & 1]
            return list(arrays.tasks(arrays.canonical(text.removesuffix("..."), max_size=4_000_001)))
        except (arrays.BadArray, ValueError):
            return []

    @property
    def has_run(self) -> bool:
        """Say whether it holds or held resources."""
        return bool(self.started_at and self.allocated)

    @property
    def never_started(self) -> bool:
        """Say whether it was cancelled while it waited: Slurm then gives it a start time, but no resources."""
        return self.state is ClusterState.CANCELLED and not self.allocated

    def elapsed_s(self, until: int) -> int:
        """Return seconds of running up to `until` (epoch)."""
        return self.ran_s + (max(0, until - self.runs_since) if self.runs_since else 0)


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
    if "requeue" in job.asked and job.requeue is not None:
        granted["requeue"] = job.requeue
    if job.array_id or "array" in job.asked:
        granted["array"] = job.tasks_left
    found = [
        f"{name}: asked {job.asked.get(name)!r}, would get {value!r}"
        for name, value in granted.items()
        if job.asked.get(name) != value and not (name == "array" and _is_cut(job))
    ]
    kind = job.asked.get("card_type")
    if kind and job.requested.get(f"gres/gpu:{kind}", 0) != job.asked.get("cards"):
        found.append(f"card_type: asked {kind!r}")
    return found


def _is_cut(job: Job) -> bool:
    """Say whether the row shows only the beginning of the array that was asked for, or a single task of it."""
    if job.task is not None:
        return True
    shown, cut, _rest = job.tasks_left.partition("...")
    return bool(cut) and str((job.asked or {}).get("array", "")).startswith(shown.rpartition(",")[0])


def moment(seconds: int) -> datetime | None:
    """Return epoch seconds as an aware time, None for 0."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def oldest_first(jobs: Sequence[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job.submitted_at, job.id, job.job_id))
