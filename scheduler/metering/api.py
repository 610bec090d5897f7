"""Endpoints of use: what was used and by whom, runs past the portal, runs without a price, the nightly audits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Cursor,
    Moment,
    MoneyOut,
    PageOut,
    StrictIn,
    Text,
    Whole,
    money,
    paged,
    problems,
)
from scheduler.jobs.rules import JobState
from scheduler.metering import access, quarantining, queries, rules
from scheduler.metering.models import JobAudit, QuarantinedRun, UnmanagedRun

router = Router(tags=["compute"])

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


class UseSpan(Schema):
    """Runs that ended in [`since`, `until`), either left out for no bound."""

    since: Moment | None = None
    until: Moment | None = None


class CardUseOut(Schema):
    """What one enterprise used of one kind of card ("" = none): card- or core-seconds by `unit`, and what it costs."""

    organisation: str
    card_type: str
    unit: str
    runs: int
    units_s: int
    amount: MoneyOut


class UnmanagedRunOut(Schema):
    """A run past the portal. `amount` is null until it has ended and is priced; `doubt` says why it cannot be."""

    number: str
    cluster: str
    partition: str
    organisation: str | None
    account: str
    cluster_job_id: str
    state: JobState
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: int
    cards: int | None
    cpus: int | None
    card_type: str
    amount: MoneyOut | None
    not_billed: str
    doubt: str
    first_seen_at: datetime


class QuarantineFilter(Cursor):
    """Only those in `state`."""

    state: rules.QuarantineState | None = None


class QuarantinedRunOut(Schema):
    """A run that cannot be priced. `run` is a job's number and the run's, or the number of a run past the portal.

    `count` and `reason` are what was proposed: cards or cores to bill, null for not billed.
    """

    id: int
    cluster: str
    run: str
    doubt: str
    state: rules.QuarantineState
    opened_at: datetime
    count: int | None
    reason: str
    proposed_by: str | None
    proposed_at: datetime | None
    resolved_by: str | None
    resolved_at: datetime | None


class RunRulingIn(StrictIn):
    """What the run counts as: cards or cores to bill, or null: it is not billed; and why, for the audit."""

    count: Annotated[Whole, Field(ge=1, le=1_000_000)] | None
    reason: Annotated[Text, Field(min_length=5, max_length=300)]


class AuditDifferenceOut(Schema):
    """What does not agree: ``seconds``, ``money`` (fen), ``missing`` in accounting, ``unsettled`` for a day."""

    subject: str
    kind: str
    portal: int
    other: int


class ComputeAuditOut(Schema):
    """One comparison of the portal's lines, the schedulers' accounting and the ledger; tolerance 0.

    `away` are clusters that did not answer.
    """

    id: int
    since: datetime
    until: datetime
    made_at: datetime
    is_clean: bool
    jobs: int
    portal_units_s: int
    scheduler_units_s: int
    lines: MoneyOut
    ledger: MoneyOut
    written_off: MoneyOut
    unmanaged: int
    unmanaged_amount: MoneyOut
    quarantined: int
    away: list[str]
    differences: list[AuditDifferenceOut]


def _unmanaged(row: UnmanagedRun) -> dict[str, Any]:
    names = ("number", "account", "cluster_job_id", "state", "started_at", "ended_at", "elapsed_s", "cards", "cpus")
    more = ("card_type", "not_billed", "doubt", "first_seen_at")
    return {
        "cluster": row.cluster.code,
        "partition": row.partition_name,
        "organisation": row.organisation.name if row.organisation else None,
        "amount": None if row.amount_fen is None else money(row.amount_fen),
        **{name: getattr(row, name) for name in (*names, *more)},
    }


def _quarantined(row: QuarantinedRun) -> dict[str, Any]:
    names = ("doubt", "state", "opened_at", "count", "reason", "proposed_at", "resolved_at")
    number = f"{row.run.job.number}/{row.run.no}" if row.run else row.unmanaged.number if row.unmanaged else ""
    return {
        "id": row.pk,
        "cluster": row.cluster.code,
        "run": number,
        "proposed_by": str(row.proposed_by) if row.proposed_by else None,
        "resolved_by": str(row.resolved_by) if row.resolved_by else None,
        **{name: getattr(row, name) for name in names},
    }


def _audit(row: JobAudit) -> dict[str, Any]:
    names = ("since", "until", "made_at", "is_clean", "jobs", "portal_units_s", "scheduler_units_s", "unmanaged")
    return {
        "id": row.pk,
        "lines": money(row.lines_fen),
        "ledger": money(row.ledger_fen),
        "written_off": money(row.written_off_fen),
        "unmanaged_amount": money(row.unmanaged_fen),
        **{name: getattr(row, name) for name in (*names, "quarantined", "away", "differences")},
    }


@router.get("/use", response={200: list[CardUseOut], **problems()})
def use_by_card(request: ActorRequest, span: Query[UseSpan]) -> list[dict[str, Any]]:
    """Sum priced runs by enterprise and kind of card, the dearest first: one's own, one's clusters', or all."""
    found = queries.by_card(queries.billed_runs(request.actor, since=span.since, until=span.until))
    names = ("organisation", "card_type", "unit", "runs", "units_s")
    return [{**{name: getattr(one, name) for name in names}, "amount": money(one.amount_fen)} for one in found]


@router.get("/unmanaged", response={200: PageOut[UnmanagedRunOut], **problems()})
def list_unmanaged(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List runs that went past the portal: metered, owed, charged to no voucher."""
    return paged(access.unmanaged_of(request.actor), wanted, _unmanaged)


@router.get("/quarantine", response={200: PageOut[QuarantinedRunOut], **problems()})
def list_quarantined(request: ActorRequest, wanted: Query[QuarantineFilter]) -> dict[str, Any]:
    """List runs that cannot be priced: those of one's clusters, or all for who oversees."""
    rows = access.quarantined(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _quarantined)


@router.post("/quarantine/{run_id}/propose", response={200: QuarantinedRunOut, **problems(404, 409)})
def propose_ruling(request: ActorRequest, run_id: Id, payload: RunRulingIn) -> dict[str, Any]:
    """Say what a run counts as, for another operator to approve. The same again changes nothing."""
    found = access.get_quarantined(request.actor, run_id)
    ruling = rules.Ruling(payload.count, payload.reason)
    quarantining.propose(actor=request.actor, quarantined=found, ruling=ruling, now=timezone.now())
    return _quarantined(access.get_quarantined(request.actor, run_id))


@router.post("/quarantine/{run_id}/approve", response={200: QuarantinedRunOut, **problems(404, 409)})
def approve_ruling(request: ActorRequest, run_id: Id) -> dict[str, Any]:
    """Let a proposal stand, as another person than who made it: the run is priced and its job settled."""
    found = access.get_quarantined(request.actor, run_id)
    quarantining.approve(actor=request.actor, quarantined=found, now=timezone.now())
    return _quarantined(access.get_quarantined(request.actor, run_id))


@router.post("/quarantine/{run_id}/reject", response={200: QuarantinedRunOut, **problems(404, 409)})
def reject_ruling(request: ActorRequest, run_id: Id) -> dict[str, Any]:
    """Send a proposal back: another one is needed."""
    found = access.get_quarantined(request.actor, run_id)
    quarantining.reject(actor=request.actor, quarantined=found, now=timezone.now())
    return _quarantined(access.get_quarantined(request.actor, run_id))


@router.get("/audits", response={200: PageOut[ComputeAuditOut], **problems()})
def list_audits(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the nightly audits with every difference by name, the latest first."""
    return paged(access.audits(request.actor), wanted, _audit)
