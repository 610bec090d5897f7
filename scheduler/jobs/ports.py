"""What the portal asks of a cluster; ``integrations/`` answers.

The domain never sees a scheduler's own JSON. A `Ref` is (job id, submit time, marker): job ids may be reused by a
scheduler, so an id alone identifies nothing. All times are aware UTC, all durations whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from scheduler.jobs.capabilities import AccountLimits, Capabilities, Capacity, Feature, FileEntry, Pool

__all__ = [
    "Absent",
    "Accepted",
    "AccountLimits",
    "After",
    "CannotTell",
    "Capabilities",
    "Capacity",
    "Cluster",
    "ClusterState",
    "Feature",
    "FileEntry",
    "Found",
    "Health",
    "LogChunk",
    "NotSent",
    "Observation",
    "Pool",
    "Ref",
    "RejectedBy",
    "Run",
    "Spec",
    "Unknown",
    "UsageRow",
]


class ClusterState(StrEnum):
    """A job's state in the words every scheduler shares."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    FINISHING = "finishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"
    """The scheduler's own deadline for the job passed (Slurm's DEADLINE)."""
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    LAUNCH_FAILED = "launch_failed"
    UNKNOWN = "unknown"
    """A code this adapter does not know: keep the state known before, raise an alert."""


FINAL = frozenset(
    {
        ClusterState.SUCCEEDED,
        ClusterState.FAILED,
        ClusterState.TIMED_OUT,
        ClusterState.EXPIRED,
        ClusterState.CANCELLED,
        ClusterState.OUT_OF_MEMORY,
        ClusterState.INTERRUPTED,
        ClusterState.LAUNCH_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Ref:
    """One job on one cluster. `data` is the adapter's own, small and JSON-able."""

    job_id: str
    submitted_at: datetime
    marker: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class After:
    """The job starts only after `ref` (of the same cluster and user): ``ok`` succeeded, ``notok`` failed, ``any`` ended."""

    ref: Ref
    kind: str = "ok"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run. The script travels as data; nothing of the user's is ever interpolated into it.

    `cards` is the number of accelerators of `card_type` ("" = any or none), `time_limit_s` a multiple of 60, ≥ 60.
    """

    script: str
    partition: str
    cpus: int
    memory_mb: int
    cards: int
    card_type: str
    time_limit_s: int
    account: str
    """The paying organisation's account on the cluster."""
    user: str
    """The POSIX user the job runs as."""
    work_dir: str = ""
    """An absolute directory, or "" for the adapter's own choice per job."""
    environment: Mapping[str, str] = field(default_factory=dict)
    array: str = ""
    """Task numbers in canonical form, ``0-9%2`` or ``1,3,7``; "" for one job. Each task gets the spec's resources."""
    after: Sequence[After] = ()
    """Dependencies, all of which must hold. One that can never hold any more cancels the job."""
    requeue: bool = False
    """Whether the cluster may run the job again after losing a node. Each such run is a `Run` of its own."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is on the cluster, held: it will not start before `release`."""

    ref: Ref
    granted: Mapping[str, Any] = field(default_factory=dict)
    """What the cluster says it will give, read back: cpus, cards, memory_mb, time_limit_s, account."""


@dataclass(frozen=True, slots=True)
class RejectedBy:
    """The cluster understood and refused; nothing is on it."""

    code: str
    """One of: partition, account, qos, time_limit, resources, limit, script, access, other."""
    detail: str
    """The cluster's own words, for the log and the operator."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing reached the cluster (refused connection, expired token, no matching version): retry the same attempt."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer was lost: the job may or may not exist. Only `find` may decide; never submit again before."""

    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    refs: Sequence[Ref]


@dataclass(frozen=True, slots=True)
class Absent:
    """Proof of absence: controller and accounting both answered cleanly and know no such marker."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """One time a job, or one task of an array, held resources. Key: (`job_id`, `task`, `submitted_at`).

    A requeue changes the submit time and begins another run. Counts are *allocated*, None while unknown. `elapsed_s`
    excludes suspension. `confirmed` runs come from accounting with an end; others may still change.
    """

    job_id: str
    task: int | None
    submitted_at: datetime
    state: ClusterState
    raw_state: str
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    elapsed_s: int = 0
    cpus: int | None = None
    cards: int | None = None
    card_type: str = ""
    memory_mb: int | None = None
    nodes: int | None = None
    billing: int | None = None
    """The scheduler's own billing weight of the allocation, for the nightly audit; None where it keeps none."""
    exit_code: int | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A run as accounting knows it, whoever submitted it: `name` is a marker only where the portal did."""

    name: str
    account: str
    user: str
    partition: str
    run: Run
    time_limit_s: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the cluster said about one job at `as_of`. Older observations never overwrite newer ones.

    `cards`, `cpus` and `memory_mb` are *allocated*, not requested; None while unknown. `elapsed_s` excludes
    suspension; None while the job has not started. `exit_code` is the script's own, 128 + n if signal n ended it;
    None unless the script ended by itself.
    """

    ref: Ref
    state: ClusterState
    raw_state: str
    as_of: datetime
    reason: str = ""
    """Why it waits or failed, as the scheduler's own short code."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    elapsed_s: int | None = None
    exit_code: int | None = None
    cpus: int | None = None
    cards: int | None = None
    memory_mb: int | None = None
    gone: bool = False
    """The cluster proves it knows no such job any more (reused id, lost state)."""
    held: bool = False
    """Somebody holds it (user, operator, a failed requeue): it will not start by itself."""
    confirmed: bool = False
    """Every run is in accounting with its end: nothing about it will change any more."""
    expected_start_at: datetime | None = None
    """When the scheduler expects a waiting job to start, where it says so."""
    runs: Sequence[Run] = ()
    """Every run so far, oldest first, of every task; empty before the first start."""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes of a job's output from `offset`; ask again from `next_offset`. `eof` = read to the present end."""

    data: bytes
    next_offset: int
    eof: bool


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    version: str
    detail: str
    as_of: datetime


class Cluster(Protocol):
    """One cluster. Constructed with the ``config`` mapping of its row; every call has its own deadline.

    `submit`, `find` and `health` never raise for outside failures: the failure is in the answer. The others raise
    ``Unavailable`` (retry) or ``Rejected`` (do not).
    """

    def __init__(self, config: Mapping[str, Any]) -> None: ...

    def capabilities(self) -> Capabilities:
        """Return what the cluster is and can do. Raises Unavailable."""

    def check(self, spec: Spec) -> Sequence[RejectedBy]:
        """Return every ground on which the cluster would refuse `spec`, without placing anything. Raises Unavailable."""

    def submit(self, spec: Spec, *, marker: str, first: bool = False) -> Accepted | RejectedBy | NotSent | Unknown:
        """Place the job *held*. At most one job per `marker` may ever run, however often this is called.

        `first`: nothing was ever sent under `marker` before, so an earlier job of it need not be looked for.
        """

    def find(self, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
        """Look for jobs carrying `marker` submitted at or after `since`."""

    def release(self, ref: Ref, *, user: str) -> None:
        """Let a held job start. Idempotent."""

    def observe(self, refs: Sequence[Ref]) -> list[Observation]:
        """Return one observation per ref, in order. Raises Unavailable when the cluster does not answer."""

    def cancel(self, ref: Ref, *, user: str) -> None:
        """Stop the job. Idempotent: a finished job is success."""

    def cancel_task(self, ref: Ref, *, user: str, task: int) -> bool:
        """Stop one task of an array and no other. Idempotent: a task that has ended, or is not there, is success.

        False where the cluster cannot stop this one by itself before it has begun: ask again. Raises Unavailable, Rejected.
        """

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        """Read combined output from `offset`, at most `limit` bytes (≤ 65,536)."""

    def usage(self, *, accounts: Sequence[str], since: datetime, until: datetime) -> list[UsageRow]:
        """Return the runs of `accounts` that ended or ran in [since, until), whoever submitted them. Safe to read again.

        A clean empty answer is no usage; anything else raises Unavailable.
        """

    def capacity(self) -> Capacity:
        """Return what every partition has and uses. Raises Unavailable."""

    def read_limits(self, *, accounts: Sequence[str]) -> list[AccountLimits]:
        """Return the limits the cluster holds for those of `accounts` that exist. Raises Unavailable."""

    def apply_limits(self, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
        """Create the accounts where missing, set their limits, and return what was read back. Never deletes.

        Raises Unavailable, Rejected.
        """

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:
        """Write `data` (≤ 1 MiB) into the directory of the job to be, beneath it only; return the file's size.

        Raises Unavailable, Rejected (a path with ``..``, a symlink, an offset beyond the end).
        """

    def files(self, ref: Ref) -> list[FileEntry]:
        """List what the job's directory holds, at most 1,000 files. Raises Unavailable, Rejected."""

    def read_file(self, ref: Ref, *, path: str, offset: int, limit: int) -> LogChunk:
        """Read a file of the job's directory, at most `limit` bytes (≤ 1 MiB). Raises Unavailable, Rejected."""

    def remove_file(self, ref: Ref, *, user: str, path: str) -> None:
        """Remove a file of an ended job's directory. Idempotent. Raises Unavailable, Rejected."""

    def health(self) -> Health:
        """Say whether work can be submitted now, within 5 s."""
