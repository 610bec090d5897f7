"""Turn a job's runs into money: the only place where a job's charges are captured, released or adjusted.

Amount = Σ over billable runs of price(allocated) × elapsed at the frozen unit price, each run rounded half up
once. The hold is captured once for the sum; what exceeds it the operator bears, never the voucher. While
accounting is late the controller's word settles provisionally, and an adjusting entry follows when accounting has it.
A run that cannot be priced stops the settlement until an operator has ruled: it is never priced 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import structlog
from django.db.models import Sum

from portal.audit import services as audit
from portal.kernel.errors import PortalError, noop
from portal.kernel.money import Money
from scheduler.jobs import guards, holds, refunds, rules
from scheduler.jobs.models import Job, JobLine, JobRun
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.usage import services as usage
from vouchers.charges import refunding
from vouchers.charges import services as charges

__all__ = ["LATE", "settle", "settled_fen"]

_ = noop

logger = structlog.get_logger("jobs")

LATE: Final = timedelta(minutes=15)
"""How long after a job's end accounting is waited for before the controller's word is charged provisionally."""
WORDS: Final = _("按集群记账更正用量")


@dataclass(frozen=True, slots=True)
class Priced:
    """What one billable run costs."""

    run: JobRun
    count: int
    price: resource_rules.Price


def settle(job: Job, *, confirmed: bool, now: datetime) -> None:
    """Settle a finished job the caller has locked, as far as what is known allows; the caller saves it.

    `confirmed`: accounting has every run with its end. Does nothing for a job that is settled for good.
    """
    settlement = rules.Settlement(job.settlement)
    if settlement in rules.SETTLED_FOR_GOOD:
        return
    found = price(job)
    if found is None:
        return
    if settlement is rules.Settlement.NONE:
        if not confirmed and job.ended_at is not None and now - job.ended_at < LATE:
            return
        _write_lines(found, job=job, confirmed=confirmed, now=now)
        _capture(job, found, now=now)
        job.settled_at = now
        job.settlement = (rules.Settlement.SETTLED if confirmed else rules.Settlement.PROVISIONAL).value
    elif confirmed:
        changed = _write_lines(found, job=job, confirmed=True, now=now)
        if changed:
            _adjust(job, total=sum(one.price.amount.fen for one in found), now=now)
        job.settlement = (rules.Settlement.ADJUSTED if changed else rules.Settlement.SETTLED).value
    if rules.Settlement(job.settlement) in rules.SETTLED_FOR_GOOD:
        _meter(job, found, now=now)


def price(job: Job) -> list[Priced] | None:
    """Return what each billable run costs, noting on every run why it is not billed or cannot be priced.

    None where a run cannot be priced: nothing of the job is settled before somebody rules.
    """
    assert job.charge is not None
    quote = job.charge.quote
    unit = resource_rules.Unit(quote["unit"])
    by_cards = unit is resource_rules.Unit.CARD_HOUR
    found, open_doubts = [], 0
    runs = list(JobRun.objects.filter(job=job).order_by("no"))
    away = _outages(job, runs)
    for run in runs:
        before = (run.not_billed, run.doubt)
        if run.not_billed != RULED:
            run.not_billed = _why_not(job, run, away)
        held = refunds.Allocation(run.cards, run.cpus, run.card_type)
        doubts = refunds.doubts(
            held, by_cards=by_cards, asked_cards=job.cards, card_type=job.partition.card_type if job.cards else ""
        )
        run.doubt = "" if run.not_billed or run.ruled_count is not None or not doubts else doubts[0]
        if (run.not_billed, run.doubt) != before:
            run.save(update_fields=["not_billed", "doubt"])
        if run.doubt:
            open_doubts += 1
            logger.error("job.run_unpriced", job=job.number, run=run.no, doubt=run.doubt)
        elif not run.not_billed:
            count = run.ruled_count if run.ruled_count is not None else held.cards if by_cards else held.cpus
            assert count is not None
            amount = resource_rules.price(
                unit=unit, unit_price=Money(quote["unit_price_fen"]), duration_s=run.elapsed_s, count=count
            )
            found.append(Priced(run, count, amount))
    return None if open_doubts else found


RULED: Final = "ruled"
"""Two operators ruled that the run is not billed."""


def _outages(job: Job, runs: Sequence[JobRun]) -> refunds.Spans:
    """Return when the controller was away while runs ended that this may have ended. At most one query."""
    ended = [run.ended_at for run in runs if run.ended_at and rules.JobState(run.state) in refunds.BY_INCIDENT]
    if not ended:
        return ()
    return guards.outages(cluster_id=job.partition.cluster_id, since=min(ended), until=max(ended))


def _why_not(job: Job, run: JobRun, away: refunds.Spans) -> str:
    lost = job.state == rules.JobState.LOST.value and not run.confirmed
    return refunds.why_not_billed(
        state=rules.JobState.LOST if lost else rules.JobState(run.state),
        raw_state=run.raw_state,
        started=run.started_at is not None,
        elapsed_s=run.elapsed_s,
        in_incident=refunds.within(run.ended_at, away)
        and not (run.state == rules.JobState.CANCELLED.value and job.cancel_asked_at is not None),
    )


def _write_lines(found: Sequence[Priced], *, job: Job, confirmed: bool, now: datetime) -> bool:
    """Write each run's line, a new revision where it differs from the last; say whether anything changed.

    A run that was billed and is not any more gets a line of nothing.
    """
    last: dict[int, JobLine] = {}
    for line in JobLine.objects.filter(run__job=job).order_by("revision"):
        last[line.run_id] = line
    rate = rates.rate_of_partition(job.partition_id, at=job.created_at)
    made = []
    for one in found:
        old = last.pop(one.run.pk, None)
        if old is not None and (old.count, old.seconds) == (one.count, one.run.elapsed_s):
            continue
        made.append(
            JobLine(
                run=one.run,
                revision=old.revision + 1 if old else 1,
                count=one.count,
                seconds=one.run.elapsed_s,
                unit=one.price.unit.value,
                unit_price_fen=one.price.unit_price.fen,
                rate_id=rate.pk if rate else None,
                amount_fen=one.price.amount.fen,
                confirmed=confirmed,
                recorded_at=now,
            )
        )
    made += [_nothing_of(old, now=now) for old in last.values() if old.amount_fen]
    JobLine.objects.bulk_create(made)
    return bool(made)


def _nothing_of(old: JobLine, *, now: datetime) -> JobLine:
    return JobLine(
        run_id=old.run_id,
        revision=old.revision + 1,
        count=0,
        seconds=0,
        unit=old.unit,
        unit_price_fen=old.unit_price_fen,
        rate_id=old.rate_id,
        amount_fen=0,
        confirmed=True,
        recorded_at=now,
    )


def _capture(job: Job, found: Sequence[Priced], *, now: datetime) -> None:
    """Take the sum from the job's holds in their order, once; what none of them covers the operator bears."""
    left = sum(one.price.amount.fen for one in found)
    held = holds.charges_of(job)
    for charge in held:
        take = left if charge is held[-1] else min(left, charge.price_fen)
        if not take:
            charges.release(charge_id=charge.pk, reason=job.state, actor=rules.SYSTEM, now=now)
            continue
        taken = charges.capture(
            charge_id=charge.pk, actual=Money(take), measured=_measured(found), actor=rules.SYSTEM, now=now
        )
        job.written_off_fen += taken.waived_fen
        left -= take


def _measured(found: Sequence[Priced]) -> Mapping[str, Any]:
    """Return what the charge keeps: the whole, and each run's own line."""
    whole = resource_rules.Price(
        amount=sum((one.price.amount for one in found), Money(0)),
        unit=found[0].price.unit,
        unit_price=found[0].price.unit_price,
        quantity=sum((one.price.quantity for one in found), Fraction(0)),
    )
    return {**whole.as_json(), "runs": [{"run": one.run.no, **one.price.as_json()} for one in found]}


def settled_fen(job: Job) -> int:
    """Return what the job has cost its payers so far: captured and not refunded, over all of its charges."""
    return sum(charge.refundable_fen for charge in holds.charges_of(job))


def _adjust(job: Job, *, total: int, now: datetime) -> None:
    """Bring what was captured provisionally to what accounting says: refund, or take more within what was agreed.

    More is held and captured anew by the same payers; what they cannot pay, or was never agreed, the operator bears.
    """
    agreed = sum(charge.price_fen for charge in holds.charges_of(job))
    payable = min(total, agreed)
    difference = payable - settled_fen(job)
    job.written_off_fen = total - payable
    if difference < 0:
        _give_back(job, -difference, now=now)
    elif difference:
        measured = {"total_fen": total, "settled_fen": payable - difference, "adjustment": True}
        try:
            charge = holds.hold_more(job, amount=Money(difference), purpose=holds.ADJUSTMENT, now=now)
            taken = charges.capture(
                charge_id=charge.pk, actual=Money(difference), measured=measured, actor=rules.SYSTEM, now=now
            )
            job.written_off_fen += taken.waived_fen
        except PortalError as error:
            job.written_off_fen += difference
            logger.warning("job.adjustment_borne", job=job.number, fen=difference, error=str(error))
    audit.record(
        action="job.adjusted",
        subject=f"job:{job.number}",
        actor=rules.SYSTEM,
        now=now,
        organisations=[job.organisation_id],
        data={"difference_fen": difference, "total_fen": total, "written_off_fen": job.written_off_fen},
    )


def _give_back(job: Job, fen: int, *, now: datetime) -> None:
    for charge in reversed(holds.charges_of(job)):
        part = min(fen, charge.refundable_fen)
        if part:
            refunding.correct(
                actor=rules.SYSTEM,
                charge_id=charge.pk,
                amount=Money(part),
                reason=WORDS,
                now=now,
                key=f"accounting:{job.number}",
            )
            fen -= part


def _meter(job: Job, found: Sequence[Priced], *, now: datetime) -> None:
    """Enter each billed run into the metering table, once accounting has confirmed it."""
    for one in found:
        run = one.run
        assert run.started_at is not None
        usage.record_run(
            job_id=job.pk,
            run_no=run.no,
            span=(run.started_at, max(run.ended_at or now, run.started_at)),
            duration_s=run.elapsed_s,
            count=one.count,
            detail={
                "raw_state": run.raw_state,
                "cluster_job_id": run.cluster_job_id,
                "task": run.task,
                "exit_code": run.exit_code,
            },
            now=now,
        )


def lines_fen(job: Job) -> int:
    """Return the sum of the job's lines in force."""
    newest = JobLine.objects.filter(run__job=job).order_by("run_id", "-revision").distinct("run_id").values("pk")
    return JobLine.objects.filter(pk__in=newest).aggregate(sum=Sum("amount_fen"))["sum"] or 0
