"""Endpoint of receipts of runs."""

from __future__ import annotations

from typing import Any

from ninja import Router, Schema

from portal.wire import ActorRequest, Number, problems
from scheduler.jobs import access, receipts
from scheduler.jobs.rules import JobState, Settlement

router = Router(tags=["jobs"])


class ReceiptPartyOut(Schema):
    """Who pays, or who provides."""

    name: str
    credit_code: str


class ReceiptResourcesOut(Schema):
    """What a run held, as the cluster says; null while unknown."""

    cards: int | None
    card_type: str
    cpus: int | None
    memory_mb: int | None
    nodes: int | None
    billing: int | None


class ReceiptPriceOut(Schema):
    """How the amount comes about, for anybody to recompute."""

    formula: str
    rounding: str
    unit: str
    unit_price_fen: int
    price_id: int | None
    count: int
    seconds: int
    revision: int


class RunReceiptOut(Schema):
    """The receipt of a run. `sha256` is of its JSON without `sha256` and `signature`, keys sorted, no spaces, UTF-8."""

    version: str
    number: str
    job: str
    run: int
    task: int | None
    payer: ReceiptPartyOut
    provider: ReceiptPartyOut
    cluster: str
    partition: str
    cluster_job_id: str
    submitted_at: str
    started_at: str | None
    ended_at: str | None
    state: JobState
    raw_state: str
    tres: ReceiptResourcesOut
    elapsed_s: int
    accounting: bool
    settlement: Settlement
    not_billed: str | None
    charge: str | None
    price: ReceiptPriceOut | None
    amount_fen: int
    sha256: str
    signature: str


@router.get("/{number}/receipts", response={200: list[RunReceiptOut], **problems(404)})
def list_receipts(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """Return the receipts of a job's runs, one for each, in order."""
    job = access.get_job(request.actor, number)
    return [receipts.receipt(job, run, line) for run, line in receipts.runs_of(job)]
