"""Endpoints of dry runs: ask for one, read what it found, divide a pool among what it would grant."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field, model_validator

from portal.kernel.money import Money
from portal.wire import (
    ActorRequest,
    Cursor,
    Day,
    Document,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    YuanText,
    money,
    paged,
    problems,
)
from vouchers.dryruns import access, queries, rules, services
from vouchers.dryruns.models import DryRun, DryRunCase
from vouchers.dryruns.tasks import wake
from vouchers.programmes import access as programmes
from vouchers.programmes.allocation import AwardOutcome, Why
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder

router = Router(tags=["dry runs"])


class PastIn(StrictIn):
    """Applications under this programme, submitted on these Beijing days, both included."""

    programme: Number
    starts: Day
    ends: Day


class DryRunIn(StrictIn):
    """The rules to try, a draft or a version, and the cases: past applications, or requests as for `evaluate`."""

    draft: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | None = None
    programme: Number | None = None
    version: Annotated[int, Field(strict=True, ge=1, le=10**6)] | None = None
    past: PastIn | None = None
    requests: Annotated[list[Document], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def one_of_each(self) -> DryRunIn:
        if (self.draft is None) is (self.programme is None):
            raise ValueError("either draft or programme")
        if (self.past is None) is (self.requests is None):
            raise ValueError("either past or requests")
        return self


class DryRunOut(Schema):
    """A dry run. `totals` is filled once it is done: sums in fen, cases by shift and decision, sums by line."""

    id: int
    name: str
    name_en: str
    version: int | None
    programme: str | None
    starts: date | None
    ends: date | None
    state: rules.DryRunState
    state_label: str
    done: int
    total: int
    totals: dict[str, Any]
    problem: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None


class CaseOut(Schema):
    """What the rules say of one case, beside what was computed for it before."""

    number: str
    name: str
    region: str
    before: MoneyOut
    after: MoneyOut
    shift: rules.Shift
    decision: DecisionKind
    rule: str
    lines: list[str]
    missing: list[str]


class CaseFilter(Cursor):
    """``?shift=lost`` lists who would get nothing any more."""

    shift: rules.Shift | None = None
    decision: DecisionKind | None = None


class PoolQuery(Schema):
    """The pool in yuan, and how it is divided."""

    pool: YuanText
    order: AwardOrder
    short: PoolShort = PoolShort.PARTIAL
    seed: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] = ""


class DryRunAwardOut(Schema):
    """What one case gets of the pool."""

    number: str
    place: int
    asked: MoneyOut
    amount: MoneyOut
    outcome: AwardOutcome
    why: Why


class AllocationOut(Schema):
    """The whole pool: what is left, the coefficient k as an exact fraction, and every award in order of service."""

    left: MoneyOut
    total: MoneyOut
    coefficient: str
    awards: list[DryRunAwardOut]


def _shown(run: DryRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "name": run.name,
        "name_en": run.name_en,
        "version": run.version_number,
        "programme": run.programme.code if run.programme else None,
        "starts": run.starts,
        "ends": run.ends,
        "state": run.state,
        "state_label": run.get_state_display(),
        "done": run.done,
        "total": run.total,
        "totals": run.totals,
        "problem": run.problem,
        "requested_by": str(run.requested_by),
        "requested_at": run.requested_at,
        "finished_at": run.finished_at,
    }


def _case(row: DryRunCase) -> dict[str, Any]:
    kept = ("number", "name", "region", "shift", "decision", "rule", "lines", "missing")
    return {
        **{key: getattr(row, key) for key in kept},
        "before": money(row.before_fen),
        "after": money(row.after_fen),
    }


@router.get("", response={200: PageOut[DryRunOut], **problems()})
def list_dry_runs(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the dry runs of the caller's department."""
    return paged(access.runs_of(request.actor), wanted, _shown)


@router.post("", response={201: DryRunOut, **problems(404, 409)})
def request_dry_run(request: ActorRequest, payload: DryRunIn) -> Status[dict[str, Any]]:
    """Ask for a dry run; a worker does it. Nothing is granted by it."""
    if payload.draft is not None:
        tried = services.Rules(programmes.get_draft(request.actor, payload.draft).document)
    else:
        version = programmes.get_version(request.actor, payload.programme or "", payload.version)
        tried = services.Rules(version.document, version)
    source: services.Past | services.Upload
    if payload.past is not None:
        source = services.Past(payload.past.programme, payload.past.starts, payload.past.ends)
    else:
        source = services.Upload("requests.json", json.dumps(payload.requests, ensure_ascii=False).encode())
    run = services.request(actor=request.actor, tried=tried, source=source, now=timezone.now(), wake=wake)
    return Status(201, _shown(access.get_run(request.actor, run.pk)))


@router.get("/{run_id}", response={200: DryRunOut, **problems(404)})
def get_dry_run(request: ActorRequest, run_id: int) -> dict[str, Any]:
    """Return a dry run: how far it is, and once done its totals."""
    return _shown(access.get_run(request.actor, run_id))


@router.get("/{run_id}/cases", response={200: PageOut[CaseOut], **problems(404)})
def list_cases(request: ActorRequest, run_id: int, wanted: Query[CaseFilter]) -> dict[str, Any]:
    """List what the rules say of every case."""
    rows = access.get_run(request.actor, run_id).cases.all()
    for name in ("shift", "decision"):
        if (value := getattr(wanted, name)) is not None:
            rows = rows.filter(**{name: value.value})
    return paged(rows, wanted, _case)


@router.get("/{run_id}/pool", response={200: AllocationOut, **problems(404, 409)})
def divide_pool(request: ActorRequest, run_id: int, wanted: Query[PoolQuery]) -> dict[str, Any]:
    """Divide a pool among what the run would grant, as a round of these rules would."""
    amount = Money.from_yuan(wanted.pool)
    if amount.fen < 0:
        raise rules.BadPool(field="pool")
    divided = queries.simulation(
        access.get_run(request.actor, run_id), pool=amount, order=wanted.order, short=wanted.short, seed=wanted.seed
    )
    return {
        "left": money(divided.left),
        "total": money(divided.total),
        "coefficient": str(divided.coefficient),
        "awards": [
            {
                "number": award.id,
                "place": award.place,
                "asked": money(award.asked),
                "amount": money(award.amount),
                "outcome": award.outcome,
                "why": award.why,
            }
            for award in divided.awards
        ],
    }
