"""What an operator does about a job that is stuck: ask again, send again, find again. The protocol decides, not the operator.

Each act calls what the reconciler would call, at once, and says in the record who asked. Nothing runs in a transaction
while it talks; doing it twice does it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, noop
from scheduler.clusters import rules
from scheduler.jobs import access as jobs
from scheduler.jobs import dispatching, reconciling, resolving
from scheduler.jobs import rules as job_rules
from scheduler.jobs.models import Job

__all__ = ["Act", "ActNotPossible", "act_on", "acts_for", "stuck_since", "why_stuck"]

_ = noop
S = job_rules.JobState


class Act(StrEnum):
    """What an operator may ask for."""

    ASK = "ask"
    """Ask the cluster now what became of the job."""
    RETRY = "retry"
    """Send it now, or let it start now, without waiting for the next turn."""
    ADOPT = "adopt"
    """Look for its marker on the cluster now; what is found is taken over, proven absence lets it be sent again."""


class ActNotPossible(Conflict):
    code = "job.act_not_possible"
    message = _("作业已不在这个状态，请刷新后再看。")


ACTS: Final = {
    S.PENDING: (Act.RETRY,),
    S.SUBMITTING: (),
    S.UNKNOWN: (Act.ADOPT,),
    S.PLACED: (Act.RETRY, Act.ASK),
}
PATIENCE: Final = dict.fromkeys((S.PENDING, S.SUBMITTING, S.UNKNOWN, S.PLACED), rules.STUCK_AFTER)
"""How long a job may stay in a state that should pass by itself."""


def acts_for(job: Job) -> Sequence[Act]:
    """Return what may be asked for the job in its present state."""
    if job.settled_at is not None:
        return ()
    state = S(job.state)
    return ACTS.get(state, (Act.ASK,) if state in job_rules.ON_CLUSTER else ())


def stuck_since(job: Job, *, now: datetime) -> datetime | None:
    """Return since when the job has been stuck, or None while it is in order."""
    state = S(job.state)
    if state in PATIENCE:
        since = job.attempted_at or job.created_at
        return since if now - since > PATIENCE[state] else None
    if job.held:
        return job.observed_at
    if state in job_rules.ON_CLUSTER and job.observed_at and now - job.observed_at > rules.STALE_AFTER:
        return job.observed_at
    return None


def why_stuck(job: Job, *, now: datetime) -> str:
    """Return why, as a code with words: waiting, unresolved, not_released, held, unseen; "" while in order."""
    if stuck_since(job, now=now) is None:
        return ""
    state = S(job.state)
    if state is S.PENDING:
        return "waiting"
    if state in {S.SUBMITTING, S.UNKNOWN}:
        return "unresolved"
    if state is S.PLACED:
        return "not_released"
    return "held" if job.held else "unseen"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act came to: the job's state before and after."""

    before: str
    after: str
    observed_at: datetime | None


def act_on(*, actor: Actor, job: Job, act: Act, now: datetime) -> Outcome:
    """Do what an operator asks for and record that it was asked. Raises ActNotPossible, Forbidden.

    A cluster that does not answer changes nothing: the state afterwards is the one before.
    """
    actor.require(Permission.CLUSTER_MANAGE)
    if job.partition.cluster.owner_id != actor.organisation_id:
        raise Forbidden
    if act not in acts_for(job):
        raise ActNotPossible
    before = S(job.state)
    adapter = jobs.connect(job.partition.cluster)
    if act is Act.ASK:
        reconciling.observe([job], adapter, now=now)
    elif act is Act.ADOPT:
        resolving.resolve(job_id=job.pk, cluster=adapter, now=now)
    elif before is S.PENDING:
        dispatching.dispatch(job_id=job.pk, now=now)
    else:
        dispatching.release(job, adapter, now)
    after = Job.objects.only("state", "observed_at").get(pk=job.pk)
    audit.record(
        action="job.operator_acted",
        subject=f"job:{job.number}",
        actor=actor,
        now=now,
        organisations=[job.partition.cluster.owner_id],
        data={"act": act.value, "before": before.value, "state": after.state},
    )
    return Outcome(before.value, after.state, after.observed_at)
