"""Runs that cannot be priced: opened with an alarm, closed by two operators or when what was missing has come."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from scheduler.jobs import closing, settling
from scheduler.jobs import rules as job_rules
from scheduler.jobs.models import JobRun
from scheduler.jobs.services import lock as lock_job
from scheduler.messages import alarms
from scheduler.messages.rules import MessageKind
from scheduler.metering import pricing, rules
from scheduler.metering.models import QuarantinedRun, UnmanagedRun

__all__ = ["approve", "keep", "propose", "reject"]

logger = structlog.get_logger("metering")


def keep(*, cluster_id: int, now: datetime) -> None:
    """Open a quarantine for every run of a cluster without a price, and close those whose doubt has gone by itself."""
    for run in (
        JobRun.objects.filter(job__partition__cluster=cluster_id).exclude(doubt="").select_related("job").order_by("pk")
    ):
        _open(cluster_id, doubt=run.doubt, now=now, run=run)
    for row in UnmanagedRun.objects.filter(cluster=cluster_id).exclude(doubt="").order_by("pk"):
        _open(cluster_id, doubt=row.doubt, now=now, unmanaged=row)
    open_ = QuarantinedRun.objects.filter(cluster=cluster_id).exclude(state=rules.QuarantineState.RESOLVED.value)
    for found in open_.select_related("run", "unmanaged").order_by("pk"):
        thing = found.run or found.unmanaged
        if thing is not None and not thing.doubt:
            _clear(found.pk, now=now)


@transaction.atomic
def _open(
    cluster_id: int, *, doubt: str, now: datetime, run: JobRun | None = None, unmanaged: UnmanagedRun | None = None
) -> None:
    found, created = QuarantinedRun.objects.get_or_create(
        run=run, unmanaged=unmanaged, defaults={"cluster_id": cluster_id, "doubt": doubt, "opened_at": now}
    )
    if not created:
        return
    logger.error("metering.quarantined", quarantine=found.pk, doubt=doubt)
    audit.record(
        action="run.quarantined",
        subject=f"quarantine:{found.pk}",
        actor=job_rules.SYSTEM,
        now=now,
        organisations=[found.cluster.owner_id],
        data={"doubt": doubt},
    )
    alarms.tell_operators(
        cluster=found.cluster,
        kind=MessageKind.RUN_QUARANTINED,
        key=f"{cluster_id}:{alarms.day_of(now)}",
        params={"run": f"{run.job.number}/{run.no}" if run else unmanaged.number if unmanaged else ""},
        now=now,
    )


def _lock(pk: int) -> QuarantinedRun:
    return (
        QuarantinedRun.objects.select_for_update(no_key=True, of=("self",))
        .select_related("cluster", "run", "unmanaged")
        .order_by("pk")
        .get(pk=pk)
    )


def _move(found: QuarantinedRun, action: rules.QuarantineAction) -> None:
    if found.state == rules.QuarantineState.RESOLVED.value:
        raise rules.AlreadyRuled
    found.state = next_state(rules.TRANSITIONS, rules.QuarantineState(found.state), action).value


@transaction.atomic
def _clear(pk: int, *, now: datetime) -> None:
    found = _lock(pk)
    if found.state == rules.QuarantineState.RESOLVED.value:
        return
    _move(found, rules.QuarantineAction.CLEAR)
    found.resolved_at = now
    found.save()
    _record(found, action="run.quarantine_cleared", actor=job_rules.SYSTEM, now=now)


def _record(found: QuarantinedRun, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"quarantine:{found.pk}",
        actor=actor,
        now=now,
        organisations=[found.cluster.owner_id],
        data={"count": found.count, "reason": found.reason},
    )


def _operates(actor: Actor, found: QuarantinedRun) -> None:
    actor.require(Permission.CLUSTER_READ)
    if found.cluster.owner_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def propose(*, actor: Actor, quarantined: QuarantinedRun, ruling: rules.Ruling, now: datetime) -> QuarantinedRun:
    """Say what a run without a price counts as, for a second operator to look at. The same again changes nothing.

    Raises NoReason, BadRuling, AlreadyRuled, InvalidTransition, Forbidden.
    """
    found = _lock(quarantined.pk)
    _operates(actor, found)
    ruling.check()
    said = (ruling.count, ruling.reason.strip()[:300])
    repeats = found.state == rules.QuarantineState.PROPOSED.value and found.proposed_by_id == actor.user_id
    if repeats and (found.count, found.reason) == said:
        return found
    _move(found, rules.QuarantineAction.PROPOSE)
    found.count, found.reason = said
    found.proposed_by_id, found.proposed_at = actor.user_id, now
    found.save()
    _record(found, action="run.ruling_proposed", actor=actor, now=now)
    return found


@transaction.atomic
def reject(*, actor: Actor, quarantined: QuarantinedRun, now: datetime) -> QuarantinedRun:
    """Send a proposal back: another ruling is needed. Raises AlreadyRuled, InvalidTransition, Forbidden."""
    found = _lock(quarantined.pk)
    _operates(actor, found)
    _move(found, rules.QuarantineAction.REJECT)
    _record(found, action="run.ruling_rejected", actor=actor, now=now)
    found.count, found.reason, found.proposed_by_id, found.proposed_at = None, "", None, None
    found.save()
    return found


@transaction.atomic
def approve(*, actor: Actor, quarantined: QuarantinedRun, now: datetime) -> QuarantinedRun:
    """Let a proposal stand, as another person than who made it; the run is priced by it and its job settled.

    Locks the job, then the quarantine. Raises SamePerson, AlreadyRuled, InvalidTransition, Forbidden.
    """
    job_id = quarantined.run.job_id if quarantined.run else None
    if job_id is not None:
        lock_job(job_id)
    found = _lock(quarantined.pk)
    _operates(actor, found)
    if found.proposed_by_id == actor.user_id:
        raise rules.SamePerson
    _move(found, rules.QuarantineAction.APPROVE)
    found.resolved_by_id, found.resolved_at = actor.user_id, now
    found.save()
    for thing in (found.run, found.unmanaged):
        if thing is not None:
            thing.ruled_count, thing.doubt = found.count, ""
            thing.not_billed = "" if found.count else settling.RULED
            thing.save()
    if found.unmanaged is not None:
        pricing.price_unmanaged(found.unmanaged, now=now)
        found.unmanaged.save()
    if job_id is not None:
        closing.settle_again(job_id=job_id, now=now)
    _record(found, action="run.ruling_approved", actor=actor, now=now)
    return found
