"""Gateways against our rows and the ledger, day by day; what stands open; closed months."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, Q, QuerySet, Sum

from portal.kernel.period import Period
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Balance, Transfer
from vouchers.payments.arriving import rail_account
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, RefundAttempt
from vouchers.payments.rail_rules import AttemptState, RefundState
from vouchers.reconciliation import rules
from vouchers.reconciliation.models import GatewayCheck, GatewayLine
from vouchers.settlements.models import SettlementLine
from vouchers.settlements.rules import BatchState

__all__ = ["DayOfRail", "Tie", "days", "entries", "journal_key", "latest_checks", "ledger_fen", "lines_fen", "ties"]


def journal_key(rail: str, line: rules.Theirs) -> str:
    """Return the key under which a fee or payout of the gateway is booked: of the payout itself, so that a bank line agrees."""
    if line.kind is BalanceKind.PAYOUT:
        return f"payout:{rail}:{line.source}{'/returned' if line.amount_fen > 0 else ''}"
    return f"gateway:{rail}:{line.provider_id}"


def to_book(line: rules.Theirs) -> list[rules.Theirs]:
    """Return what of a gateway's line is booked from the line itself: a payout, a fee, a fee taken off."""
    if line.currency != "CNY":
        return []
    found = [line] if line.kind in {BalanceKind.FEE, BalanceKind.PAYOUT} and line.amount_fen else []
    if line.fee_fen:
        found.append(rules.Theirs(f"{line.provider_id}/fee", BalanceKind.FEE, -line.fee_fen, 0, line.source, line.at))
    return found


def as_theirs(row: GatewayLine) -> rules.Theirs:
    return rules.Theirs(
        row.provider_id,
        BalanceKind(row.kind),
        row.amount_fen,
        row.fee_fen,
        row.source,
        row.occurred_at,
        row.currency,
    )


def booked(rail: str, lines: Iterable[rules.Theirs]) -> dict[str, int]:
    """Return what the ledger has of fees and payouts, signed as the gateway says it, by the line's id. One query."""
    keys = {journal_key(rail, part): part.provider_id for line in lines for part in to_book(line)}
    kind = AccountKind.GATEWAY_CLEARING.value
    rows = (
        Transfer.objects.filter(journal__key__in=list(keys))
        .filter(Q(debit_account__kind=kind) | Q(credit_account__kind=kind))
        .values_list("journal__key", "amount", "debit_account__kind")
    )
    return {keys[key]: amount if debit == kind else -amount for key, amount, debit in rows}


def entries(rail: str, *, during: Period | None, now: datetime) -> list[rules.Entry]:
    """Return what moved in a time as the gateway and we say it, oldest first; without a time, ever. Six queries.

    An entry belongs to the time of its first line, or of our row where the gateway says nothing.
    """
    found = GatewayLine.objects.filter(rail=rail)
    lines = list(_within(found, "occurred_at", during))
    sources = {line.source for line in lines if line.source}
    ours = [*_attempts(rail, sources, during), *_refunds(rail, sources, during), *_disputes(rail, sources, during)]
    if during is not None:
        have = {line.pk for line in lines}
        named = sources | {row.provider_id for row in ours}
        matched = [kind.value for kind in rules.MATCHED_KINDS]
        lines += [row for row in found.filter(source__in=named, kind__in=matched) if row.pk not in have]
    theirs = [as_theirs(line) for line in lines]
    compared = rules.compare(theirs, ours, booked=booked(rail, theirs), now=now)
    return [entry for entry in compared if during is None or entry.at in during]


def _within(rows: QuerySet[GatewayLine], column: str, during: Period | None) -> QuerySet[GatewayLine]:
    return rows.filter(**_bounds(column, during))


def _bounds(column: str, during: Period | None) -> dict[str, datetime]:
    return {} if during is None else {f"{column}__gte": during.start, f"{column}__lt": during.end}


def _attempts(rail: str, sources: set[str], during: Period | None) -> list[rules.Ours]:
    done = AttemptState.SUCCEEDED.value
    rows = PaymentAttempt.objects.filter(rail=rail).exclude(provider_id="")
    rows = rows.filter(Q(provider_id__in=sources) | Q(state=done, **_bounds("ended_at", during)))
    return [
        rules.Ours(
            BalanceKind.PAYMENT,
            row.number,
            row.provider_id,
            row.amount_fen if row.state == done else 0,
            row.ended_at or row.created_at,
            is_open=row.state != done,
        )
        for row in rows
    ]


def _refunds(rail: str, sources: set[str], during: Period | None) -> list[rules.Ours]:
    done, failed = RefundState.SUCCEEDED.value, RefundState.FAILED.value
    rows = RefundAttempt.objects.filter(attempt__rail=rail).exclude(provider_id="")
    rows = rows.filter(Q(provider_id__in=sources) | Q(state=done, **_bounds("ended_at", during)))
    return [
        rules.Ours(
            BalanceKind.REFUND,
            row.number,
            row.provider_id,
            -row.amount_fen if row.state == done else 0,
            row.ended_at or row.created_at,
            is_open=row.state not in {done, failed},
        )
        for row in rows
    ]


def _disputes(rail: str, sources: set[str], during: Period | None) -> list[rules.Ours]:
    rows = PaymentDispute.objects.filter(rail=rail)
    rows = rows.filter(Q(provider_id__in=sources) | Q(**_bounds("opened_at", during)))
    return [
        rules.Ours(
            BalanceKind.DISPUTE,
            row.provider_id,
            row.provider_id,
            -row.taken_fen,
            row.opened_at,
            is_open=not row.is_over,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class DayOfRail:
    """One day of a gateway in sums. `difference_fen` must be 0: theirs less ours, over everything that moved that day."""

    day: date
    matched: int
    differs: int
    ours: int
    theirs: int
    theirs_fen: int
    ours_fen: int
    fees_fen: int
    payouts_fen: int

    @property
    def difference_fen(self) -> int:
        return self.theirs_fen - self.ours_fen

    @property
    def open(self) -> int:
        return self.differs + self.ours + self.theirs


def summed(day: date, found: Sequence[rules.Entry]) -> DayOfRail:
    """Return the sums of a day's entries."""
    count = {bucket: sum(entry.bucket is bucket for entry in found) for bucket in rules.Bucket}
    return DayOfRail(
        day=day,
        matched=count[rules.Bucket.MATCHED],
        differs=count[rules.Bucket.DIFFERS],
        ours=count[rules.Bucket.OURS],
        theirs=count[rules.Bucket.THEIRS],
        theirs_fen=sum(entry.theirs_fen for entry in found),
        ours_fen=sum(entry.ours_fen for entry in found),
        fees_fen=-sum(entry.theirs_fen for entry in found if entry.kind is BalanceKind.FEE),
        payouts_fen=-sum(entry.theirs_fen for entry in found if entry.kind is BalanceKind.PAYOUT),
    )


def days(rail: str, *, during: Period, now: datetime) -> list[DayOfRail]:
    """Return each day in China on which anything moved, newest first. Six queries."""
    by_day: dict[date, list[rules.Entry]] = {}
    for entry in entries(rail, during=during, now=now):
        by_day.setdefault(rules.day_of(entry.at), []).append(entry)
    return [summed(day, found) for day, found in sorted(by_day.items(), reverse=True)]


def ledger_fen(rail: str) -> int:
    """Return what the ledger says a gateway holds for us."""
    found = Balance.objects.filter(
        account__kind=AccountKind.GATEWAY_CLEARING.value, account__owner=rail_account(rail)
    ).aggregate(fen=Sum(F("posted_dr") - F("posted_cr")))
    return found["fen"] or 0


def lines_fen(rail: str) -> int:
    """Return what a gateway's own lines add up to, after fees, in fen; other currencies left out."""
    return GatewayLine.objects.filter(rail=rail, currency="CNY").aggregate(fen=Sum("net_fen"))["fen"] or 0


def latest_checks(rails: Sequence[str]) -> dict[str, GatewayCheck]:
    """Return the latest check of each rail. One query."""
    rows = GatewayCheck.objects.filter(rail__in=rails).order_by("rail", "-pk").distinct("rail")
    return {row.rail: row for row in rows}


@dataclass(frozen=True, slots=True)
class Tie:
    """A sum of the ledger that must be that of our rows."""

    name: str
    ledger_fen: int
    rows_fen: int

    @property
    def difference_fen(self) -> int:
        return self.ledger_fen - self.rows_fen


def ties() -> list[Tie]:
    """Return what must agree between the ledger and settlements: money in clearing is that of batches approved and open."""
    clearing = Balance.objects.filter(account__kind=AccountKind.SETTLEMENT_CLEARING.value).aggregate(
        fen=Sum(F("posted_cr") - F("posted_dr"))
    )
    under_way = (BatchState.APPROVED.value, BatchState.EXPORTED.value)
    lines = SettlementLine.objects.filter(active=True, batch__state__in=under_way).aggregate(fen=Sum("amount_fen"))
    return [Tie("settlement_clearing", clearing["fen"] or 0, lines["fen"] or 0)]
