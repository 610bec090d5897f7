"""Endpoints of reconciliation: gateways day by day, and closing months."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from django.conf import settings
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period
from portal.wire import ActorRequest, Block, Day, Line, MoneyOut, Number, StrictIn, money, problems
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rails import rail, rails
from vouchers.reconciliation import access, closing, queries, rules, services
from vouchers.reconciliation.explaining_api import ExplanationOut, explanation
from vouchers.reconciliation.models import EntryExplanation, GatewayCheck, MonthClose
from vouchers.reconciliation.rules import Bucket, Cause

__all__ = ["DaysFilter", "router", "span"]

router = Router(tags=["reconciliation"])
_ = noop


class DaysReversed(Invalid):
    code = "reconciliation.days"
    message = _("结束日期不能早于起始日期。")


class GatewayCheckOut(Schema):
    """How the latest pull of a gateway ended. `difference` is its lines less the ledger; `unexplained` of it must be 0.

    `missing` is what the gateway holds beyond the lines that were ever pulled; `accounted` what of the open entries
    persons have explained.
    """

    checked_at: datetime
    since: datetime
    until: datetime
    new_lines: int
    booked: int
    held: MoneyOut
    lines: MoneyOut
    ledger: MoneyOut
    difference: MoneyOut
    unexplained: MoneyOut
    missing: MoneyOut
    open_entries: int
    accounted_entries: int
    accounted: MoneyOut
    changed: list[str]
    in_order: bool


class GatewayOut(Schema):
    """A payment gateway and its latest check; null before the first."""

    rail: str
    check: GatewayCheckOut | None


class GatewayDayOut(Schema):
    """One day in China of a gateway; `difference` must be 0. `accounted` of it persons have explained."""

    day: date
    matched: int
    differs: int
    ours: int
    theirs: int
    theirs_amount: MoneyOut
    ours_amount: MoneyOut
    fees: MoneyOut
    payouts: MoneyOut
    difference: MoneyOut
    accounted: MoneyOut
    unaccounted: MoneyOut


class GatewayEntryOut(Schema):
    """One thing that moved, as both say it. `cause` is what an entry that does not match probably is.

    `entry` names it in ``/reconciliation/explanations``; `said` is what a person says of it, if anything.
    """

    entry: str
    said: ExplanationOut | None
    kind: BalanceKind
    bucket: Bucket
    cause: Cause
    source: str
    number: str
    lines: list[str]
    theirs: MoneyOut
    ours: MoneyOut
    difference: MoneyOut
    at: datetime
    age_days: int


class GatewayDayDetailOut(GatewayDayOut):
    """A day with its entries, oldest first."""

    entries: list[GatewayEntryOut]


class PullIn(StrictIn):
    """Which days in China, both included; none: the last four. `rail` names one gateway, empty all of them."""

    rail: Annotated[Line, Field(max_length=24)] = ""
    since: Day | None = None
    until: Day | None = None


class DaysFilter(Schema):
    """Which days in China, both included; none: the last 31."""

    since: Day | None = None
    until: Day | None = None


class OpenItemOut(Schema):
    """What stands open at a month's end: ``gateway``, ``attempts``, ``refunds``, ``disputes``, ``notices`` …"""

    item: str
    count: int
    amount: MoneyOut


class MonthFigureOut(Schema):
    """What one kind of account had and moved, in smallest steps of `unit`; `owner` of the operator's own money only."""

    programme: str
    fiscal_year: int | None
    unit: str
    account: str
    owner: str
    opening: int
    debit: int
    credit: int
    closing: int


class MonthOut(Schema):
    """A calendar month in China. `hash` covers the figures and the month before; final once `closed_at` is set."""

    month: str
    ends_at: datetime
    proposed_by: str | None
    note: str
    closed_at: datetime | None
    approved_by: str | None
    hash: str
    open_items: list[OpenItemOut]
    figures: list[MonthFigureOut]


class ClosedMonthOut(Schema):
    """A closed month and what it is known by."""

    month: str
    closed_at: datetime
    proposed_by: str
    approved_by: str
    hash: str


class MonthIn(StrictIn):
    """Why the month may be closed although something stands open; may be empty where nothing does."""

    note: Annotated[Block, Field(max_length=600)] = ""


class MonthReturnIn(StrictIn):
    """Why it goes back."""

    reason: Annotated[Block, Field(max_length=300)]


def _check(check: GatewayCheck) -> dict[str, Any]:
    return {
        "checked_at": check.checked_at,
        "since": check.since,
        "until": check.until,
        "new_lines": check.new_lines,
        "booked": check.booked,
        "held": money(check.held_fen),
        "lines": money(check.lines_fen),
        "ledger": money(check.ledger_fen),
        "difference": money(check.difference_fen),
        "unexplained": money(check.unexplained_fen),
        "missing": money(check.missing_fen),
        "open_entries": check.open_entries,
        "accounted_entries": check.accounted_entries,
        "accounted": money(check.accounted_fen),
        "changed": check.changed,
        "in_order": check.in_order,
    }


def _day(found: queries.DayOfRail) -> dict[str, Any]:
    return {
        "day": found.day,
        "matched": found.matched,
        "differs": found.differs,
        "ours": found.ours,
        "theirs": found.theirs,
        "theirs_amount": money(found.theirs_fen),
        "ours_amount": money(found.ours_fen),
        "fees": money(found.fees_fen),
        "payouts": money(found.payouts_fen),
        "difference": money(found.difference_fen),
        "accounted": money(found.accounted_fen),
        "unaccounted": money(found.unaccounted_fen),
    }


def _entry(entry: rules.Entry, said: EntryExplanation | None, now: datetime) -> dict[str, Any]:
    return {
        "entry": entry.key,
        "said": explanation(said) if said else None,
        "kind": entry.kind,
        "bucket": entry.bucket,
        "cause": entry.cause,
        "source": entry.source,
        "number": entry.number,
        "lines": list(entry.lines),
        "theirs": money(entry.theirs_fen),
        "ours": money(entry.ours_fen),
        "difference": money(entry.difference_fen),
        "at": entry.at,
        "age_days": entry.age_days(now),
    }


def span(since: date | None, until: date | None, *, days: int, now: datetime) -> Period:
    """Return the days from `since` to `until`, both included; what is not said ends today. Raises DaysReversed."""
    last = until or rules.day_of(now)
    first = since or last - timedelta(days=days - 1)
    if first > last:
        raise DaysReversed(field="until")
    return Period(rules.day_period(first).start, rules.day_period(last).end)


@router.get("/rails", response={200: list[GatewayOut], **problems()})
def list_gateways(request: ActorRequest) -> list[dict[str, Any]]:
    """List the payment gateways, each with how its latest check ended."""
    known = access.rails_visible_to(request.actor, configured=settings.PAYMENT_RAILS)
    checks = queries.latest_checks(known)
    return [{"rail": code, "check": _check(checks[code]) if code in checks else None} for code in known]


@router.post("/pull", response={200: list[GatewayOut], **problems(503)})
def pull(request: ActorRequest, payload: PullIn) -> list[dict[str, Any]]:
    """Pull what gateways report now, book fees and payouts, and compare; doing it again changes nothing."""
    request.actor.require(Permission.PAYMENT_CONFIRM)
    now = timezone.now()
    during = span(payload.since, payload.until, days=services.OVERLAP.days, now=now)
    wanted = [rail(payload.rail)] if payload.rail else rails()
    checks = [services.pull(rail=each, during=during, actor=request.actor, now=now) for each in wanted]
    return [{"rail": check.rail, "check": _check(check)} for check in checks]


@router.get("/rails/{number}/days", response={200: list[GatewayDayOut], **problems(404)})
def list_days(request: ActorRequest, number: Number, wanted: Query[DaysFilter]) -> list[dict[str, Any]]:
    """List a gateway's days on which anything moved, newest first."""
    code, now = access.get_rail(request.actor, number, configured=settings.PAYMENT_RAILS), timezone.now()
    during = span(wanted.since, wanted.until, days=31, now=now)
    return [_day(found) for found in queries.days(code, during=during, now=now)]


@router.get("/rails/{number}/days/{day}", response={200: GatewayDayDetailOut, **problems(404)})
def get_day(request: ActorRequest, number: Number, day: Day) -> dict[str, Any]:
    """Return a day with everything that moved, matched or not."""
    code, now = access.get_rail(request.actor, number, configured=settings.PAYMENT_RAILS), timezone.now()
    found = queries.entries(code, during=rules.day_period(day), now=now)
    said = queries.explanations(code, found)
    sums = queries.summed(day, found, queries.accounted(said))
    return {**_day(sums), "entries": [_entry(entry, said.get(entry.key), now) for entry in found]}


Year = Annotated[int, Path(ge=2000, le=2099)]
MonthOfYear = Annotated[int, Path(ge=1, le=12)]


@router.get("/months", response={200: list[ClosedMonthOut], **problems()})
def list_months(request: ActorRequest) -> list[dict[str, Any]]:
    """List the closed months, newest first."""
    request.actor.require(Permission.LEDGER_READ)
    return [
        {
            "month": f"{closed.month:%Y-%m}",
            "closed_at": closed.closed_at,
            "proposed_by": closed.proposed_by,
            "approved_by": closed.approved_by,
            "hash": closed.hash,
        }
        for closed in MonthClose.objects.all()
    ]


@router.get("/months/{year}/{month}", response={200: MonthOut, **problems(404)})
def get_month(request: ActorRequest, year: Year, month: MonthOfYear) -> dict[str, Any]:
    """Return a month's figures: frozen once it is closed, else as recorded by now with what stands open."""
    request.actor.require(Permission.LEDGER_READ)
    return _month(request, closing.check_month(year, month))


@router.post("/months/{year}/{month}/propose", response={200: MonthOut, **problems(404, 409)})
def propose_month(request: ActorRequest, year: Year, month: MonthOfYear, payload: MonthIn) -> dict[str, Any]:
    """Ask for a month to be closed; another person approves."""
    request.actor.require(Permission.SETTLEMENT_DRAFT)
    first = closing.check_month(year, month)
    known = access.rails_visible_to(request.actor, configured=settings.PAYMENT_RAILS)
    closing.propose(actor=request.actor, month=first, note=payload.note, rails=known, now=timezone.now())
    return _month(request, first)


@router.post("/months/{year}/{month}/approve", response={200: MonthOut, **problems(404, 409)})
def approve_month(request: ActorRequest, year: Year, month: MonthOfYear) -> dict[str, Any]:
    """Close a month that another person asked to be closed, for ever."""
    first = closing.check_month(year, month)
    closing.approve(actor=request.actor, month=first, now=timezone.now())
    return _month(request, first)


@router.post("/months/{year}/{month}/return", response={200: MonthOut, **problems(404, 409)})
def return_month(request: ActorRequest, year: Year, month: MonthOfYear, payload: MonthReturnIn) -> dict[str, Any]:
    """Send such a request back with a reason, or take back one's own."""
    first = closing.check_month(year, month)
    closing.send_back(actor=request.actor, month=first, reason=payload.reason, now=timezone.now())
    return _month(request, first)


def _month(request: ActorRequest, first: date) -> dict[str, Any]:
    shown = closing.shown(
        first, rails=access.rails_visible_to(request.actor, configured=settings.PAYMENT_RAILS), now=timezone.now()
    )
    proposal, closed = shown.proposal, shown.closed
    return {
        "month": f"{first:%Y-%m}",
        "ends_at": rules.month_period(first).end,
        "proposed_by": proposal.signature if proposal else None,
        "note": proposal.note if proposal else "",
        "closed_at": closed.closed_at if closed else None,
        "approved_by": closed.approved_by if closed else None,
        "hash": shown.hash,
        "open_items": [
            {"item": name, "count": count, "amount": money(fen)} for name, (count, fen) in shown.items.items()
        ],
        "figures": [
            {
                "programme": row.programme,
                "fiscal_year": row.fiscal_year,
                "unit": row.unit,
                "account": row.kind,
                "owner": row.owner,
                "opening": row.opening,
                "debit": row.debit,
                "credit": row.credit,
                "closing": row.closing,
            }
            for row in shown.figures
        ],
    }
