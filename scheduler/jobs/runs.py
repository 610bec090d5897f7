"""Write down what a cluster says of a job's runs; the only writer of `JobRun`.

A run is one time a job, or one task of its array, held resources. A confirmed run came from accounting with its end and
never changes; an older observation never overwrites a newer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from scheduler.jobs import ports, rules
from scheduler.jobs.models import Job, JobRun

__all__ = ["NO_TASK", "seen_in", "write"]

NO_TASK = -1
"""The task of a job that is no array."""


def seen_in(seen: ports.Observation, *, now: datetime) -> Sequence[ports.Run]:
    """Return the runs an observation tells of: where it lists none but the job has started, the observation is the run."""
    if seen.runs or seen.started_at is None or seen.elapsed_s is None:
        return seen.runs
    over = seen.state in ports.FINAL
    return [
        ports.Run(
            job_id=seen.ref.job_id,
            task=None,
            submitted_at=seen.ref.submitted_at,
            state=seen.state,
            raw_state=seen.raw_state,
            reason=seen.reason,
            started_at=seen.started_at,
            ended_at=(seen.ended_at or now) if over else None,
            elapsed_s=seen.elapsed_s,
            cpus=seen.cpus,
            cards=seen.cards,
            memory_mb=seen.memory_mb,
            exit_code=seen.exit_code,
            confirmed=over,
        )
    ]


def write(job: Job, *, runs: Sequence[ports.Run], as_of: datetime, is_all: bool = False) -> list[JobRun]:
    """Enter or update the runs of a job the caller has locked, and return those that changed.

    New runs are numbered in the order they are told of, from 1. `is_all`: accounting has every run; one that the
    controller told of and accounting does not know is lost.
    """
    known = {(row.cluster_job_id, row.task, row.submitted_at): row for row in JobRun.objects.filter(job=job)}
    last = max((row.no for row in known.values()), default=0)
    changed = []
    for run in runs:
        key = (run.job_id, NO_TASK if run.task is None else run.task, run.submitted_at)
        row = known.get(key)
        if row is None:
            last += 1
            row = known[key] = JobRun(
                job=job, no=last, cluster_job_id=key[0], task=key[1], submitted_at=key[2], state=job.state
            )
        elif row.confirmed or row.observed_at > as_of or (row.observed_at == as_of and not run.confirmed):
            continue
        _fill(row, run, as_of=as_of)
        row.save()
        changed.append(row)
    if is_all and runs:
        told = {(run.job_id, NO_TASK if run.task is None else run.task, run.submitted_at) for run in runs}
        for key, row in known.items():
            if key not in told and not row.confirmed:
                row.state, row.raw_state = rules.JobState.LOST.value, "ABSENT"
                row.confirmed, row.observed_at = True, as_of
                row.save()
                changed.append(row)
    return changed


def _fill(row: JobRun, run: ports.Run, *, as_of: datetime) -> None:
    if run.state is not ports.ClusterState.UNKNOWN:
        row.state = rules.JobState(run.state.value).value
    row.raw_state, row.reason = run.raw_state[:60], run.reason[:120]
    row.started_at, row.ended_at, row.elapsed_s = run.started_at, run.ended_at, run.elapsed_s
    row.cpus, row.cards, row.card_type = run.cpus, run.cards, run.card_type[:32]
    row.memory_mb, row.nodes, row.billing = run.memory_mb, run.nodes, run.billing
    row.exit_code, row.confirmed, row.observed_at = run.exit_code, run.confirmed, as_of
