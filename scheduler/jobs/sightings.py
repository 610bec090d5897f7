"""What one observation makes of a job: the state table of a job's life, apart from its money.

An older observation never overwrites a newer one. A code nobody knows keeps the state and tells a person. A requeue goes
back to the queue. An interrupted job has ended only when it did not come back to the queue for five minutes and
accounting agrees; until then it is finishing (compute.md §3.6).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from portal.kernel.states import next_state
from scheduler.jobs import alerts, ports, rules
from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job

__all__ = ["COMES_BACK", "enter"]

COMES_BACK: Final = timedelta(minutes=5)
"""How long an interrupted job may still come back to the queue."""
ACCOUNTING_LATE: Final = timedelta(hours=1)
"""How long accounting is waited for before an interruption counts without it, with an alert."""

C, S = ports.ClusterState, rules.JobState


def enter(job: Job, seen: ports.Observation, *, now: datetime) -> None:
    """Take what was seen into a locked job of which nothing newer is known. The caller saves."""
    job.observed_at = seen.as_of
    job.reason = seen.reason[:120] or (job.reason if job.cancel_asked_at is not None else "")
    job.held = seen.held and seen.state in {C.QUEUED, C.UNKNOWN}
    job.expected_start_at = seen.expected_start_at if seen.state is C.QUEUED else None
    state = _state(job, seen, now=now)
    if state is not None:
        job.state = next_state(rules.TRANSITIONS, S(job.state), state).value
    _times(job, seen)
    _tell(job, seen, now=now)


def _state(job: Job, seen: ports.Observation, *, now: datetime) -> rules.JobAction | None:
    """Return what happens to the job; None where nothing is known, or the job is over already."""
    if S(job.state) in rules.FINAL or (seen.state is C.UNKNOWN and not seen.gone):
        return None
    if seen.gone:
        return rules.JobAction.VANISH
    if seen.state is C.INTERRUPTED and _may_come_back(job, seen, now=now):
        return rules.JobAction.SEE_FINISHING
    return rules.JobAction(f"see_{seen.state.value}")


def _may_come_back(job: Job, seen: ports.Observation, *, now: datetime) -> bool:
    since = seen.ended_at or job.ended_at
    if since is None or now - since < COMES_BACK:
        return True
    if seen.confirmed:
        return False
    if now - since < ACCOUNTING_LATE:
        return True
    alerts.sound(job, JobAlert.Kind.UNCONFIRMED, now=now, detail=seen.raw_state)
    return False


def _times(job: Job, seen: ports.Observation) -> None:
    """Take over start, end and exit code; a job back in the queue has neither yet: its earlier runs are rows of their own."""
    if seen.state is C.QUEUED and S(job.state) not in rules.FINAL:
        job.started_at = job.ended_at = job.exit_code = None
        return
    job.started_at = seen.started_at or job.started_at
    if seen.state is C.INTERRUPTED:
        job.ended_at = seen.ended_at or job.ended_at or seen.as_of
    elif seen.state in ports.FINAL or seen.state is C.FINISHING:
        job.ended_at = seen.ended_at or job.ended_at
    elif seen.state is not C.UNKNOWN:
        job.ended_at = None
    job.exit_code = seen.exit_code if seen.exit_code is not None else job.exit_code


def _tell(job: Job, seen: ports.Observation, *, now: datetime) -> None:
    """Raise or close what a person should look at."""
    kinds = JobAlert.Kind
    if seen.state is C.UNKNOWN and not seen.gone:
        if seen.raw_state != "ABSENT":
            alerts.sound(job, kinds.UNKNOWN_CODE, now=now, detail=seen.raw_state)
        return
    over = S(job.state) in rules.FINAL
    closed = [kinds.UNKNOWN_CODE] if not over else [kinds.UNKNOWN_CODE, kinds.UNRESOLVED, kinds.ATTENTION]
    if job.held and job.released_at is not None:
        alerts.sound(job, kinds.ATTENTION, now=now, detail=seen.reason or seen.raw_state)
    elif not over:
        closed.append(kinds.ATTENTION)
    alerts.clear(job, *closed, now=now)
