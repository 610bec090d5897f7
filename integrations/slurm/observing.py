"""Look at jobs: one small request each for a few, one gated list for many.

Cost per poll: up to `FEW` jobs, one ``GET /job/ID`` each. Above that, ``GET /jobs/state`` (80 bytes a job, from v0.0.41
on) and one ``GET /job/ID`` per job whose state changed or was last read a minute ago; before v0.0.41, ``GET /diag`` says
how many jobs there are, and one list is read when it is not much longer than what is asked about, behind
``update_time``, to which the controller answers 304 and nothing else while nothing changed. Accounting is asked about a
job when it has ended, was requeued, or is gone from the controller.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from integrations.slurm import runs
from integrations.slurm.codec import Job
from integrations.slurm.link import NO_ANSWER, Link, Outage, rows
from integrations.slurm.reading import from_controller, number, words
from integrations.slurm.wire import Kind
from portal.kernel.errors import Unavailable
from scheduler.jobs import arrays
from scheduler.jobs.ports import FINAL, ClusterState, Observation, Ref

__all__ = ["FEW", "SETTLE_S", "Seen", "observe", "seen"]

FEW: Final = 24
SETTLE_S: Final = 60
"""Accounting shows a job five seconds after its submission [measured]; absence is believed a good while later."""
LIST_RATIO: Final = 4
"""A list is read when it has at most this many rows (3.2 kB each) for each job asked about (3 ms each)."""
READ_AGAIN_S: Final = 60
CLOCKS_APART_S: Final = 30
"""How far the controller's clock may be behind ours without a change being overlooked for longer than `READ_AGAIN_S`."""
_STATE_SINCE: Final = 41


@dataclass(frozen=True, slots=True)
class Seen:
    """What both witnesses say about one job. `is_absent` is proof that neither knows it."""

    live: Sequence[Job]
    told: Sequence[Job]
    is_absent: bool = False

    @property
    def rows(self) -> Sequence[Job]:
        return self.live or self.told

    @property
    def is_over(self) -> bool:
        """Say whether every row has ended; False for none."""
        return bool(self.rows) and all(job.state in FINAL for job in self.rows)


@dataclass
class _Kept:
    """What was last read of one cluster, for the life of the process."""

    listed_at: int = 0
    listed: Mapping[int, Sequence[Job]] = field(default_factory=dict)
    read: dict[int, tuple[float, tuple[str, ...], Sequence[Job]]] = field(default_factory=dict)


_KEPT: dict[str, _Kept] = {}


def seen(link: Link, ref: Ref, live: Sequence[Job] | None = None) -> Seen:
    """Look one job up, the controller first: only there is the exit code right. Raises Unavailable."""
    ours: list[Job] = []
    try:
        if live is None:
            live = _live(link, int(ref.job_id))
        ours = [job for job in live if runs.belongs(job, ref)]
        if ours and not _needs_history(ref, ours):
            return Seen(ours, ())
        first = int(ref.submitted_at.timestamp())
        told = link.accounted_under(ref.marker, first - 1)
        told = [job for job in told if runs.belongs(job, ref, told)]
        if ours or told:
            return Seen(ours, told)
        return Seen((), (), is_absent=time.time() - first > SETTLE_S and link.accounting_is_current())
    except NO_ANSWER as error:
        if ours:
            return Seen(ours, ())  # accounting is away: what the controller shows stands, unconfirmed
        raise Unavailable(detail=str(error)) from error


def observe(link: Link, refs: Sequence[Ref]) -> list[Observation]:
    """Return one observation per ref, in order. Raises Unavailable."""
    as_of = datetime.now(UTC)
    try:
        live = _many(link, [int(ref.job_id) for ref in refs]) if len(refs) > FEW else {}
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error
    found = []
    for ref in refs:
        one = seen(link, ref, live.get(int(ref.job_id)))
        found.append(
            runs.observation(ref, one.live, one.told, as_of)
            if one.rows
            else Observation(ref, ClusterState.UNKNOWN, "ABSENT", as_of, gone=one.is_absent)
        )
    return found


def _needs_history(ref: Ref, ours: Sequence[Job]) -> bool:
    """Say whether accounting may know more about the job than the controller shows: ended or earlier runs and tasks."""
    if any(job.state in FINAL or job.restarts for job in ours):
        return True
    return bool(ref.data.get("array")) and len({task for job in ours for task in job.tasks}) < _size(ref)


def _size(ref: Ref) -> int:
    return len(arrays.tasks(str(ref.data["array"])))


def _live(link: Link, job_id: int) -> list[Job]:
    """Return the controller's rows under one id: of an array every task. [] when it knows none. Raises Outage."""
    answer = link.look(f"/job/{job_id}")
    if answer.kind is Kind.FINE:
        return [from_controller(row) for row in rows(answer, "jobs")]
    if answer.kind is not Kind.NO_JOB:
        raise Outage(answer.words)
    return []


def _many(link: Link, ids: Sequence[int]) -> Mapping[int, Sequence[Job]]:
    """Return the controller's rows under each id it was worth reading at once; the caller reads the rest singly."""
    kept = _KEPT.setdefault(link.wire.url, _Kept())
    if int(link.codec().version.rpartition(".")[2]) >= _STATE_SINCE:
        return _by_state(link, kept, ids)
    statistics = link.ask("/diag").body.get("statistics") or {}
    alive = sum(number(statistics.get(name)) for name in ("jobs_pending", "jobs_running"))
    if alive > LIST_RATIO * len(ids):
        return _singly(link, ids)
    now = int(time.time())
    is_old = now - kept.listed_at > READ_AGAIN_S
    answer = link.listing(None if is_old else kept.listed_at - CLOCKS_APART_S)
    if answer.status != 304:
        kept.listed, kept.listed_at = _grouped([from_controller(row) for row in rows(answer, "jobs")]), now
    return {one: kept.listed.get(one, ()) for one in ids}


def _by_state(link: Link, kept: _Kept, ids: Sequence[int]) -> Mapping[int, Sequence[Job]]:
    answer = link.ask("/jobs/state", {"job_id": ",".join(map(str, ids))})
    states: dict[int, list[str]] = {}
    for row in rows(answer, "jobs"):
        one = number(row.get("array_job_id")) or number(row.get("job_id"))
        states.setdefault(one, []).extend(words(row.get("state")))
    now, fresh = time.monotonic(), []
    for one in ids:
        known = kept.read.get(one)
        # Tasks of an array may be listed under ids of their own: what is not listed is read.
        if not known or not states.get(one) or known[1] != tuple(states[one]) or now - known[0] > READ_AGAIN_S:
            fresh.append(one)
    for one, jobs in _singly(link, fresh).items():
        kept.read[one] = (now, tuple(states.get(one, ())), jobs)
    for stale in set(kept.read) - set(ids):
        del kept.read[stale]
    return {one: kept.read[one][2] for one in ids}


def _singly(link: Link, ids: Sequence[int]) -> dict[int, Sequence[Job]]:
    """Read each id by itself, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(ids, pool.map(lambda one: _live(link, one), ids), strict=True))


def _grouped(jobs: Sequence[Job]) -> dict[int, Sequence[Job]]:
    found: dict[int, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.id, []).append(job)
    return dict(found)
