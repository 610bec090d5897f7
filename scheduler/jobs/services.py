"""Submit jobs and follow them to settlement; the only writer of jobs.

Nothing outside is called inside a transaction: write the intent, commit, act, write the outcome. The row is the
outbox; `tasks.py` sweeps what a killed worker left behind. How jobs reach the cluster is in ``dispatching.py``.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, InvalidTransition, Refused, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.jobfiles import access as jobfiles_access
from scheduler.jobfiles import services as jobfiles
from scheduler.jobfiles.rules import Attachment
from scheduler.jobs import guards, holds, options, ports, quoting, rules, runs, settling, sightings
from scheduler.jobs.models import Job, JobDependency
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Partition
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges

_ = noop

SYSTEM = rules.SYSTEM


class TitleMissing(Invalid):
    code = "job.title"
    message = _("请填写作业名称（120 字以内），仅贵单位可见。")


class JobOver(InvalidTransition):
    code = "job.over"
    message = _("作业已经结束，不能再取消。")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; `vouchers` are ``vouchers.Voucher`` reached through their access module.

    `shorten`: take the longest time limit the vouchers buy where that is less than asked (``quoting.quote``).
    """

    partition: Partition
    title: str
    ask: rules.Ask
    vouchers: Sequence[Any] = ()
    shorten: bool = False
    files: Sequence[Attachment] = ()
    """Uploads and secrets for the job's directory (``scheduler.jobfiles``)."""
    options: options.Options = field(default_factory=options.Options)


def new_marker() -> str:
    """Return a fresh marker: lower-case, 28 characters, valid as a job name everywhere (compute.md trap 6, 8)."""
    return "zj" + base64.b32encode(uuid.uuid4().bytes).decode().rstrip("=").lower()


def quoted(*, actor: Actor, wanted: Wanted, now: datetime, lock: bool = False) -> quoting.Quote:
    """Quote what is wanted with every ground against it, those of the guards too. Raises NoRate, Forbidden.

    With `lock`, in a transaction, what the guards said stays true until that is committed.
    """
    ask = wanted.ask
    checked = options.check(wanted.options, actor=actor, cluster=wanted.partition.cluster)
    found = quoting.quote(
        wanted.partition,
        ask=ask,
        vouchers=wanted.vouchers,
        now=now,
        shorten=wanted.shorten,
        tasks=checked.tasks,
    )
    asked = guards.Asked(
        actor.acting_for, wanted.partition, ask.cards, found.limit_s, array=checked.array, vouchers=wanted.vouchers
    )
    return replace(found, reasons=(*found.reasons, *checked.reasons, *guards.refusals(asked, now=now, lock=lock)))


@transaction.atomic
def submit(*, actor: Actor, wanted: Wanted, now: datetime, key: str, dispatch: Callable[[int], object]) -> Job:
    """Accept a job: hold the price of its time limit, then hand it to `dispatch` once committed.

    Idempotent on (organisation, `key`). Raises Refused with all reasons, KeyReused, NoRate, Forbidden.
    """
    actor.require(Permission.JOB_SUBMIT)
    title, ask = wanted.title.strip(), wanted.ask
    if not title or len(title) > 120:
        raise TitleMissing(field="title")
    print_ = idempotency.fingerprint(
        {
            "partition": wanted.partition.pk,
            "title": title,
            "script": rules.normalised(ask.script),
            "ask": [ask.cards, ask.cpus, ask.memory_mb, ask.time_limit_s],
            "voucher": charge_rules.means(wanted.vouchers),
            **({"shorten": True} if wanted.shorten else {}),
            **({"files": [[one.number, one.path] for one in wanted.files]} if wanted.files else {}),
            **wanted.options.print(),
        }
    )
    if existing := Job.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    quote = quoted(actor=actor, wanted=wanted, now=now, lock=True)
    cluster = wanted.partition.cluster
    checked = options.check(wanted.options, actor=actor, cluster=cluster)
    takes = jobfiles_access.takes_files(adapter=cluster.adapter, config=cluster.config)
    if reasons := [*quote.reasons, *jobfiles.check(actor=actor, wanted=wanted.files, takes_files=takes)]:
        raise Refused(reasons)
    row = {**_row(actor=actor, wanted=wanted, quote=quote, now=now), "array": checked.array, "fingerprint": print_}
    job, created = Job.objects.get_or_create(organisation_id=actor.acting_for, key=key, defaults=row)
    if not created:
        idempotency.check_replay(stored=job.fingerprint, asked=print_)
        return job
    jobfiles.attach(actor=actor, job_id=job.pk, number=job.number, wanted=wanted.files, now=now)
    job.charge = charges.hold(
        bill=charges.Bill(
            subject=f"job:{job.number}",
            service=resource_rules.ServiceClass.COMPUTE.value,
            payer_id=actor.acting_for,
            provider_id=wanted.partition.cluster.owner_id,
            price=quote.price.amount,
            quote=quote.price.as_json(),
        ),
        vouchers=wanted.vouchers,
        actor=actor,
        now=now,
    )
    job.save(update_fields=["charge"])
    JobDependency.objects.bulk_create(JobDependency(job=job, after=after, kind=kind) for after, kind in checked.after)
    record(job, action="job.submitted", actor=actor, now=now)
    transaction.on_commit(lambda: dispatch(job.pk))
    return job


def _row(*, actor: Actor, wanted: Wanted, quote: quoting.Quote, now: datetime) -> dict[str, Any]:
    """Return what a new job's row holds beside its array and its key."""
    ask = wanted.ask
    return {
        "number": next_number(prefix="J", now=now),
        "marker": new_marker(),
        "partition": wanted.partition,
        "submitted_by_id": actor.user_id,
        "title": wanted.title.strip(),
        "script": rules.normalised(ask.script),
        "cards": ask.cards,
        "cpus": ask.cpus,
        "memory_mb": ask.memory_mb,
        "time_limit_s": quote.limit_s,
        "guard_s": quote.guard_s,
        "requeue": wanted.options.requeue,
        "environment": dict(wanted.options.environment),
        "created_at": now,
    }


def record(job: Job, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write the audit record of one step. Only the submitting organisation may read it."""
    audit.record(
        action=action,
        subject=f"job:{job.number}",
        actor=actor,
        now=now,
        organisations=[job.organisation_id],
        data={"state": job.state, **data},
    )


def charge_of(job: Job) -> int:
    """Return the id of a job's charge: every job has one from the moment it is committed."""
    assert job.charge_id is not None
    return job.charge_id


def lock(job_id: int) -> Job:
    """Return the job under lock, with its cluster and charge."""
    return (
        Job.objects.select_for_update(no_key=True, of=("self",))
        .select_related("partition__cluster", "charge")
        .order_by("pk")
        .get(pk=job_id)
    )


def move(job: Job, action: rules.JobAction) -> None:
    """Take the transition. Raises InvalidTransition."""
    job.state = next_state(rules.TRANSITIONS, rules.JobState(job.state), action).value


def withdraw(job: Job, *, actor: Actor, now: datetime) -> None:
    """End a locked job that is on no cluster, and release its money."""
    move(job, rules.JobAction.WITHDRAW)
    job.settled_at = now
    job.save()
    charges.release(charge_id=charge_of(job), reason="cancelled", actor=actor, now=now)
    record(job, action="job.cancelled", actor=actor, now=now)


@transaction.atomic
def cancel(*, actor: Actor, job: Job, now: datetime, ask_cluster: Callable[[int], object]) -> Job:
    """Cancel: at once while the job has not left the portal, else by asking the cluster. Idempotent.

    Asking twice changes nothing. Raises JobOver for a finished job, Forbidden for another organisation's.
    """
    actor.require(Permission.JOB_SUBMIT)
    locked = lock(job.pk)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if rules.JobState(locked.state) in rules.FINAL:
        raise JobOver(state=locked.state, action=rules.JobAction.WITHDRAW.value)
    if locked.state == rules.JobState.PENDING.value:
        withdraw(locked, actor=actor, now=now)
    elif locked.cancel_asked_at is None:
        locked.cancel_asked_at = now
        locked.save(update_fields=["cancel_asked_at"])
        record(locked, action="job.cancel_asked", actor=actor, now=now)
        transaction.on_commit(lambda: ask_cluster(locked.pk))
    return locked


@transaction.atomic
def apply(*, job_id: int, seen: ports.Observation, now: datetime) -> Job:
    """Write down what the cluster reported; settle when the job has ended.

    Older observations never overwrite newer ones; a code nobody knows keeps the state.
    """
    job = lock(job_id)
    settled = job.settled_at is not None and job.settlement != rules.Settlement.PROVISIONAL.value
    if settled or (job.observed_at is not None and seen.as_of <= job.observed_at):
        return job
    before = job.state
    told = runs.seen_in(seen, now=now)
    runs.write(job, runs=told, as_of=seen.as_of, is_all=seen.confirmed)
    sightings.enter(job, seen, now=now)
    if rules.JobState(job.state) in rules.FINAL:
        job.ended_at = job.ended_at or (now if told else None)
        # An observation without runs is all its adapter will ever say.
        settling.settle(job, confirmed=seen.confirmed or seen.gone or not seen.runs, now=now)
    else:
        holds.cover_requeue(job, held=seen.held, now=now)
    job.save()
    if job.state != before:
        record(job, action="job.seen", actor=SYSTEM, now=now, before=before, exit_code=job.exit_code)
    return job
