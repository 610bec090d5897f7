"""Turn a job's runs into money: the only place where a job's charge is captured or released at its end.

Amount = Σ over billable runs of price(allocated) × elapsed at the frozen unit price, each run rounded half up once
(compute.md §3.7). The charge is captured once for the sum; what exceeds the hold the operator bears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.kernel.money import Money
from scheduler.jobs import rules
from scheduler.jobs.models import Job, JobRun
from scheduler.resources import rules as resource_rules
from scheduler.usage import services as usage
from vouchers.charges import services as charges

__all__ = ["settle"]

NOT_BILLED = frozenset({rules.JobState.LOST, rules.JobState.INTERRUPTED, rules.JobState.LAUNCH_FAILED})
"""The cluster's own failures are not the user's to pay (infrastructure refund rule, compute.md §3.7)."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one run costs."""

    run: JobRun
    price: resource_rules.Price
    count: int


def settle(job: Job, *, now: datetime) -> None:
    """Meter a finished job's runs and capture their price, or release everything where nothing billable ran."""
    assert job.charge is not None
    lines = _lines(job)
    job.settled_at = now
    job.settlement = rules.Settlement.SETTLED.value
    if not lines or rules.JobState(job.state) is rules.JobState.LOST:
        charges.release(charge_id=job.charge.pk, reason=job.state, actor=rules.SYSTEM, now=now)
        return
    for line in lines:
        run = line.run
        assert run.started_at is not None
        usage.record_run(
            job_id=job.pk,
            run_no=run.no,
            span=(run.started_at, max(run.ended_at or now, run.started_at)),
            duration_s=run.elapsed_s,
            count=line.count,
            detail={"raw_state": run.raw_state, "cluster_job_id": run.cluster_job_id, "exit_code": run.exit_code},
            now=now,
        )
    charges.capture(
        charge_id=job.charge.pk,
        actual=sum((line.price.amount for line in lines), Money(0)),
        measured=_measured(lines),
        actor=rules.SYSTEM,
        now=now,
    )


def _lines(job: Job) -> list[Line]:
    assert job.charge is not None
    unit = resource_rules.Unit(job.charge.quote["unit"])
    unit_price = Money(job.charge.quote["unit_price_fen"])
    found = []
    for run in JobRun.objects.filter(job=job, started_at__isnull=False, elapsed_s__gt=0).order_by("no"):
        if rules.JobState(run.state) in NOT_BILLED:
            continue
        cards = run.cards if run.cards is not None else job.cards
        cpus = run.cpus if run.cpus is not None else job.cpus
        count = cards if unit is resource_rules.Unit.CARD_HOUR else cpus
        price = resource_rules.price(unit=unit, unit_price=unit_price, duration_s=run.elapsed_s, count=count)
        found.append(Line(run, price, count))
    return found


def _measured(lines: Sequence[Line]) -> dict[str, object]:
    """Return what the charge keeps: the whole, and each run's own line."""
    quantity = sum((line.price.quantity for line in lines), 0 * lines[0].price.quantity)
    whole = resource_rules.Price(
        amount=sum((line.price.amount for line in lines), Money(0)),
        unit=lines[0].price.unit,
        unit_price=lines[0].price.unit_price,
        quantity=quantity,
    )
    return {**whole.as_json(), "runs": [{"run": line.run.no, **line.price.as_json()} for line in lines]}
