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

__all__ = [
    "Absent",
    "Accepted",
    "CannotTell",
    "Cluster",
    "ClusterState",
    "Found",
    "Health",
    "LogChunk",
    "NotSent",
    "Observation",
    "Ref",
    "RejectedBy",
    "Spec",
    "Unknown",
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
        ClusterState.CANCELLED,
        ClusterState.OUT_OF_MEMORY,
        ClusterState.INTERRUPTED,
        ClusterState.LAUNCH_FAILED,
    }
)


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


@dataclass(frozen=True, slots=True)
class Ref:
    """One job on one cluster. `data` is the adapter's own, small and JSON-able."""

    job_id: str
    submitted_at: datetime
    marker: str
    data: Mapping[str, Any] = field(default_factory=dict)


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

    def submit(self, spec: Spec, *, marker: str) -> Accepted | RejectedBy | NotSent | Unknown:
        """Place the job *held*. At most one job per `marker` may ever run, however often this is called."""

    def find(self, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
        """Look for jobs carrying `marker` submitted at or after `since`."""

    def release(self, ref: Ref, *, user: str) -> None:
        """Let a held job start. Idempotent."""

    def observe(self, refs: Sequence[Ref]) -> list[Observation]:
        """Return one observation per ref, in order. Raises Unavailable when the cluster does not answer."""

    def cancel(self, ref: Ref, *, user: str) -> None:
        """Stop the job. Idempotent: a finished job is success."""

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        """Read combined output from `offset`, at most `limit` bytes (≤ 65,536)."""

    def health(self) -> Health:
        """Say whether work can be submitted now, within 5 s."""
