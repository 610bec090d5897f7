"""From rows of the controller and of accounting to one observation of a job with all its runs. Pure.

Accounting has every run, seconds late, and on 22.05 without exit codes; the controller has the present one at once, and
forgets it `MinJobAge` after its end. A row is never believed to be the end while it hides its base state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from integrations.slurm.codec import Job, moment
from scheduler.jobs import arrays
from scheduler.jobs.ports import FINAL, ClusterState, Observation, Ref, Run

__all__ = ["BACK_IN_S", "belongs", "observation", "run_of", "settled"]

BACK_IN_S: Final = 300
"""How long an interrupted job that may be requeued is waited for before its interruption is its end."""


def belongs(job: Job, ref: Ref, others: Iterable[Job] = ()) -> bool:
    """Say whether `job` is the one of `ref`, or a later run of it.

    Ids are given again after a crash, so the marker and the submit time must agree too. A requeue moves the submit time
    on: such a row counts when the controller counts restarts, or when the first run stands beside it (`others`).
    """
    if job.name != ref.marker or int(ref.job_id) not in (job.job_id, job.array_id):
        return False
    first = int(ref.submitted_at.timestamp())
    if job.submitted_at == first:
        return True
    return job.submitted_at > first and (bool(job.restarts) or any(belongs(one, ref) for one in others))


def run_of(job: Job, *, until: int, confirmed: bool) -> Run:
    """Return the run a row with resources tells of; `until` (epoch) is now, for one that goes on."""
    ended_at = job.ended_at
    state = ClusterState.CANCELLED if job.was_requeued and job.state not in FINAL else job.state
    types = sorted(name for name in job.allocated if name.startswith("gres/gpu:"))
    submitted_at = moment(job.submitted_at)
    assert submitted_at is not None
    return Run(
        job_id=str(job.id),
        task=job.task,
        submitted_at=submitted_at,
        state=state,
        raw_state=job.raw_state,
        reason=job.reason,
        started_at=moment(job.started_at),
        ended_at=moment(ended_at),
        elapsed_s=job.elapsed_s(ended_at or until),
        cpus=job.allocated.get("cpu"),
        cards=job.allocated.get("gres/gpu", 0),
        card_type=types[0].removeprefix("gres/gpu:") if types else "",
        memory_mb=job.allocated.get("mem"),
        nodes=job.allocated.get("node", job.nodes),
        billing=job.allocated.get("billing"),
        exit_code=job.exit_code,
        confirmed=confirmed and bool(ended_at) and (job.state in FINAL or job.was_requeued),
    )


def observation(ref: Ref, live: Sequence[Job], told: Sequence[Job], as_of: datetime) -> Observation:
    """Return what the controller's rows (`live`) and accounting's (`told`), not both empty, say about `ref`."""
    until = int(as_of.timestamp())
    present = _present(live, told)
    tasks = _tasks(ref, present)
    absent = ClusterState.CANCELLED if _taken_out(tasks, present, told) else ClusterState.UNKNOWN
    states = [_now(ref, present[task], until) if task in present else absent for task in tasks]
    state = states[0] if len(states) == 1 else arrays.aggregate(states)
    runs = _runs(live, told, until)
    newest = {task: job.submitted_at for task, job in present.items()}
    latest = [run for run in runs if int(run.submitted_at.timestamp()) == newest.get(run.task)]
    over = state in FINAL or state is ClusterState.FINISHING
    ended = [run.ended_at for run in latest if run.ended_at]
    waiting = [job for job in live if job.state is ClusterState.QUEUED]
    rows = list({id(job): job for job in present.values()}.values())
    return Observation(
        ref,
        state,
        "+".join(sorted({job.raw_state for job in rows})),
        as_of,
        reason=next((job.reason for job in (*waiting, *rows) if job.reason), ""),
        started_at=min((run.started_at for run in latest if run.started_at), default=None),
        ended_at=(max(ended) if ended else _ended_unstarted(rows)) if over else None,
        elapsed_s=sum(run.elapsed_s for run in latest) if latest else None,
        exit_code=_exit_code(rows),
        cpus=max((run.cpus for run in latest if run.cpus is not None), default=None),
        cards=max((run.cards for run in latest if run.cards is not None), default=None),
        memory_mb=max((run.memory_mb for run in latest if run.memory_mb is not None), default=None),
        held=any(job.held for job in waiting),
        confirmed=state in FINAL and settled(ref, live, told),
        expected_start_at=moment(min((job.expected_at for job in waiting if job.expected_at > until), default=0)),
        runs=runs,
    )


def settled(ref: Ref, live: Sequence[Job], told: Sequence[Job]) -> bool:
    """Say whether accounting has every run of every task, each with its end."""
    present = _present(live, told)
    tasks = _tasks(ref, present)
    if _taken_out(tasks, present, told):
        return True
    return all(_is_told(task, present, told) for task in tasks)


def _is_told(task: int | None, present: Mapping[int | None, Job], told: Sequence[Job]) -> bool:
    """Say whether accounting has every run of one task, each with its end."""
    rows = [job for job in told if task in job.tasks]
    if not rows or not all(job.ended_at and (job.state in FINAL or job.was_requeued) for job in rows):
        return False
    newest = max(rows, key=lambda job: job.submitted_at)
    if newest.state not in FINAL:
        return False
    known = present.get(task)
    return not (known and (known.submitted_at > newest.submitted_at or len(rows) <= (known.restarts or 0)))


def _taken_out(tasks: Sequence[int | None], present: Mapping[int | None, Job], told: Sequence[Job]) -> bool:
    """Say whether the tasks without any row were cancelled while they waited: 22.05 keeps no trace of those [seen].

    Only once all others are over in accounting too: a task that waits is in the array's own row until then.
    """
    there = [task for task in tasks if task in present]
    return 0 < len(there) < len(tasks) and all(_is_told(task, present, told) for task in there)


def _tasks(ref: Ref, present: dict[int | None, Job]) -> list[int | None]:
    array = str(ref.data.get("array") or "")
    wanted: list[int | None] = list(arrays.tasks(array)) if array else []
    return wanted or list(present)


def _present(live: Sequence[Job], told: Sequence[Job]) -> dict[int | None, Job]:
    """Return the row that says how each task is now: the controller's, else accounting's newest."""
    found: dict[int | None, Job] = {}
    for job in [*sorted(told, key=lambda one: one.submitted_at), *sorted(live, key=lambda one: one.submitted_at)]:
        for task in job.tasks:
            found[task] = job
    return found


def _now(ref: Ref, job: Job, until: int) -> ClusterState:
    """Return the state of one task; an interruption that may yet be followed by another run is not its end."""
    may_return = job.requeue if job.requeue is not None else bool(ref.data.get("requeue"))
    if job.state is ClusterState.INTERRUPTED and may_return and until - job.ended_at < BACK_IN_S:
        return ClusterState.FINISHING
    return job.state


def _runs(live: Sequence[Job], told: Sequence[Job], until: int) -> list[Run]:
    """Merge by (task, submit time): accounting's row once it has its end, with the exit code the controller knew."""
    seen = {(job.task, job.submitted_at): job for job in live if job.has_run}
    runs = []
    for job in told:
        same = seen.get((job.task, job.submitted_at))
        if not job.has_run or (same and not job.ended_at):
            continue
        seen.pop((job.task, job.submitted_at), None)
        run = run_of(job, until=until, confirmed=True)
        if same and run.exit_code != same.exit_code and same.exit_code is not None:
            run = run_of(replace(job, exit_code=same.exit_code), until=until, confirmed=True)
        runs.append(run)
    runs += [run_of(job, until=until, confirmed=False) for job in seen.values()]
    return sorted(runs, key=lambda run: (run.submitted_at, run.task or 0))


def _exit_code(rows: Sequence[Job]) -> int | None:
    """Return the code of the one script, of an array the highest; None unless every task ended by itself."""
    codes = [job.exit_code for job in rows]
    known = [code for code in codes if code is not None]
    return max(known) if known and len(known) == len(codes) else None


def _ended_unstarted(rows: Sequence[Job]) -> datetime | None:
    return moment(max((job.ended_at for job in rows), default=0))
