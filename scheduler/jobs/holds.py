"""The holds of a job beside its first: a fresh one before a run that its user put back, one for an adjustment.

A job's charge holds the price of its limit once. A requeue by the user makes a run that is to be paid for and another one:
a further hold covers the first, or the job does not go on. What the cluster itself failed at costs nothing, so the first
hold covers the run after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from portal.audit import services as audit
from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from scheduler.jobs import refunds, rules
from scheduler.jobs.models import Job, JobCharge, JobRun
from scheduler.resources import rules as resource_rules
from vouchers.charges import services as charges

__all__ = ["ADJUSTMENT", "REQUEUE", "charges_of", "cover_requeue", "hold_more", "uncovered_fen"]

logger = structlog.get_logger("jobs")

UNFUNDED: Final = "requeue_unfunded"
"""Why a job was cancelled: nobody could pay for the run its user put back and another one."""
ADJUSTMENT: Final = JobCharge.Purpose.ADJUSTMENT.value
REQUEUE: Final = JobCharge.Purpose.REQUEUE.value


def charges_of(job: Job) -> Sequence[Any]:
    """Return the job's charges as they are now, the first hold first. Two queries."""
    first = Job.objects.select_related("charge").only("charge").get(pk=job.pk).charge
    more = JobCharge.objects.filter(job=job).select_related("charge").order_by("no")
    return [first, *(one.charge for one in more)]


def hold_more(job: Job, *, amount: Money, purpose: str, now: datetime) -> Any:
    """Hold `amount` more for a job, by the payers of its first hold. Raises Refused, InsufficientFunds."""
    assert job.charge is not None
    no = JobCharge.objects.filter(job=job).count() + 2
    bill = charges.Bill(
        subject=f"job:{job.number}/{no}",
        service=resource_rules.ServiceClass.COMPUTE.value,
        payer_id=job.organisation_id,
        provider_id=job.partition.cluster.owner_id,
        price=amount,
        quote={**job.charge.quote, "amount_fen": amount.fen, "purpose": purpose},
    )
    payers = charges.payers(charge_id=job.charge.pk)
    charge = charges.hold(bill=bill, vouchers=payers, actor=rules.SYSTEM, now=now)
    JobCharge.objects.create(job=job, no=no, charge=charge, purpose=purpose, created_at=now)
    return charge


def uncovered_fen(job: Job) -> int:
    """Return what the runs that a user put back cost and no further hold covers yet.

    A run was put back when another of the same task follows it, or, of a job that is no array, when the job is live again.
    """
    assert job.charge is not None
    unit = resource_rules.Unit(job.charge.quote["unit"])
    latest: dict[int, JobRun] = {}
    behind: list[JobRun] = []
    for run in JobRun.objects.filter(job=job).order_by("submitted_at", "no"):
        if run.task in latest:
            behind.append(latest[run.task])
        latest[run.task] = run
    if not job.array and rules.JobState(job.state) not in rules.FINAL:
        behind += [run for run in latest.values() if rules.JobState(run.state) in rules.FINAL]
    cost = 0
    for run in behind:
        started = run.started_at is not None
        state = rules.JobState(run.state)
        if refunds.why_not_billed(state=state, raw_state=run.raw_state, started=started, elapsed_s=run.elapsed_s):
            continue
        held = run.cards if unit is resource_rules.Unit.CARD_HOUR else run.cpus
        asked = job.cards if unit is resource_rules.Unit.CARD_HOUR else job.cpus
        cost += resource_rules.price(
            unit=unit,
            unit_price=Money(job.charge.quote["unit_price_fen"]),
            duration_s=run.elapsed_s,
            count=held if held is not None else asked,
        ).amount.fen
    further = JobCharge.objects.filter(job=job, purpose=REQUEUE).select_related("charge")
    return cost - sum(one.charge.price_fen for one in further) if cost else 0


def cover_requeue(job: Job, *, held: bool, now: datetime) -> None:
    """Hold anew for a live job the caller has locked and saves, where its user put it back; cancel it where that fails.

    A job the cluster `held` back is released again once the hold stands.
    """
    missing = uncovered_fen(job)
    if missing <= 0 or job.cancel_asked_at is not None:
        return
    try:
        charge = hold_more(job, amount=Money(missing), purpose=REQUEUE, now=now)
    except PortalError as error:
        job.cancel_asked_at, job.reason = now, UNFUNDED
        logger.warning("job.requeue_refused", job=job.number, fen=missing, error=str(error))
        _record(job, action="job.requeue_refused", fen=missing, now=now)
        return
    if held:
        job.released_at = None
    _record(job, action="job.requeue_held", fen=charge.price_fen, now=now)


def _record(job: Job, *, action: str, fen: int, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"job:{job.number}",
        actor=rules.SYSTEM,
        now=now,
        organisations=[job.organisation_id],
        data={"state": job.state, "price_fen": fen},
    )
