"""Gateways against our rows and the ledger, day by day; what stands open; closed months."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from django.db.models import F, Q, Sum

from portal.kernel.period import Period
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Balance, Transfer
from vouchers.payments.arriving import rail_account
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, RefundAttempt
from vouchers.payments.rail_rules import AttemptState, RefundState
from vouchers.reconciliation import rules
from vouchers.reconciliation.models import EntryExplanation, GatewayCheck, GatewayLine
from vouchers.settlements.models import SettlementLine
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.payout_rules import RailPayoutState
from vouchers.settlements.rules import BatchState

__all__ = [
    "DayOfRail",
    "Tie",
    "accounted",
    "days",
    "entries",
    "explanations",
    "journal_key",
    "latest_checks",
    "ledger_fen",
    "lines_fen",
    "summed",
    "ties",
    "touched_days",
]


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


def entries(rail: str, *, during: Period | Sequence[Period] | None, now: datetime) -> list[rules.Entry]:
    """Return what moved in a time, or in several, as the gateway and we say it, oldest first; None: ever. Seven queries.

    An entry belongs to the time of its first line, or of our row where the gateway says nothing.
    """
    times = None if during is None else [during] if isinstance(during, Period) else list(during)
    found = GatewayLine.objects.filter(rail=rail)
    lines = list(found.filter(_within("occurred_at", times)))
    sources = {line.source for line in lines if line.source}
    ours = [
        *(*_attempts(rail, sources, times), *_refunds(rail, sources, times)),
        *(*_disputes(rail, sources, times), *_payouts(rail, sources, times)),
    ]
    if times is not None:
        have = {line.pk for line in lines}
        named = sources | {row.provider_id for row in ours}
        matched = [kind.value for kind in rules.MATCHED_KINDS]
        lines += [row for row in found.filter(source__in=named, kind__in=matched) if row.pk not in have]
    theirs = [as_theirs(line) for line in lines]
    compared = rules.compare(theirs, ours, booked=booked(rail, theirs), now=now)
    return [entry for entry in compared if times is None or any(entry.at in each for each in times)]


def _within(column: str, times: Sequence[Period] | None) -> Q:
    """Return the condition that a moment lies in one of some times; None: whenever."""
    if times is None:
        return Q()
    found = Q(pk__in=[])
    for each in times:
        found |= Q(**{f"{column}__gte": each.start, f"{column}__lt": each.end})
    return found


def _attempts(rail: str, sources: set[str], times: Sequence[Period] | None) -> list[rules.Ours]:
    done = AttemptState.SUCCEEDED.value
    rows = PaymentAttempt.objects.filter(rail=rail).exclude(provider_id="")
    rows = rows.filter(Q(provider_id__in=sources) | (Q(state=done) & _within("ended_at", times)))
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


def _refunds(rail: str, sources: set[str], times: Sequence[Period] | None) -> list[rules.Ours]:
    done, failed = RefundState.SUCCEEDED.value, RefundState.FAILED.value
    rows = RefundAttempt.objects.filter(attempt__rail=rail).exclude(provider_id="")
    rows = rows.filter(Q(provider_id__in=sources) | (Q(state=done) & _within("ended_at", times)))
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


def _disputes(rail: str, sources: set[str], times: Sequence[Period] | None) -> list[rules.Ours]:
    rows = PaymentDispute.objects.filter(rail=rail)
    rows = rows.filter(Q(provider_id__in=sources) | _within("opened_at", times))
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


def _payouts(rail: str, sources: set[str], times: Sequence[Period] | None) -> list[rules.Ours]:
    done = RailPayoutState.PAID.value
    rows = RailPayout.objects.filter(rail=rail).exclude(provider_id="")
    rows = rows.filter(Q(provider_id__in=sources) | (Q(state=done) & _within("ended_at", times)))
    return [
        rules.Ours(
            BalanceKind.TRANSFER,
            row.number,
            row.provider_id,
            -row.amount_fen if row.state == done else 0,
            row.ended_at or row.created_at,
            is_open=row.state == RailPayoutState.OPEN.value,
        )
        for row in rows
    ]


def explanations(rail: str, found: Iterable[rules.Entry]) -> dict[str, EntryExplanation]:
    """Return what persons say, or propose to say, of entries that are open, by the entry's key. One query.

    A word on another difference than the entry has now is left out: it is not what was explained.
    """
    wanted = {entry.key: entry.difference_fen for entry in found if entry.is_open}
    rows = EntryExplanation.objects.filter(rail=rail, entry__in=wanted, state__in=SAID)
    rows = rows.select_related("proposed_by", "decided_by")
    return {row.entry: row for row in rows if row.difference_fen == wanted[row.entry]}


SAID: Final = (rules.ExplanationState.PROPOSED.value, rules.ExplanationState.ACCEPTED.value)


def accounted(said: Mapping[str, EntryExplanation]) -> dict[str, int]:
    """Return what of the explanations counts, as the difference in fen by the entry's key: those accepted."""
    done = rules.ExplanationState.ACCEPTED.value
    return {key: row.difference_fen for key, row in said.items() if row.state == done}


@dataclass(frozen=True, slots=True)
class DayOfRail:
    """One day of a gateway in sums. `difference_fen` must be 0: theirs less ours, over everything that moved that day.

    `accounted_fen` of it persons have explained, in `accounted` of the `open` entries; `unaccounted_fen` nobody has.
    """

    day: date
    matched: int
    differs: int
    ours: int
    theirs: int
    theirs_fen: int
    ours_fen: int
    fees_fen: int
    payouts_fen: int
    accounted: int = 0
    accounted_fen: int = 0

    @property
    def difference_fen(self) -> int:
        return self.theirs_fen - self.ours_fen

    @property
    def unaccounted_fen(self) -> int:
        return self.difference_fen - self.accounted_fen

    @property
    def open(self) -> int:
        return self.differs + self.ours + self.theirs

    @property
    def unaccounted(self) -> int:
        return self.open - self.accounted


def summed(day: date, found: Sequence[rules.Entry], counted: Mapping[str, int] | None = None) -> DayOfRail:
    """Return the sums of a day's entries; `counted` is what `accounted` says of them."""
    count = {bucket: sum(entry.bucket is bucket for entry in found) for bucket in rules.Bucket}
    told = [entry for entry in found if entry.is_open and entry.key in (counted or {})]
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
        accounted=len(told),
        accounted_fen=sum(entry.difference_fen for entry in told),
    )


def days(rail: str, *, during: Period, now: datetime) -> list[DayOfRail]:
    """Return each day in China on which anything moved, newest first. Seven queries."""
    everything = entries(rail, during=during, now=now)
    counted = accounted(explanations(rail, everything))
    by_day: dict[date, list[rules.Entry]] = {}
    for entry in everything:
        by_day.setdefault(rules.day_of(entry.at), []).append(entry)
    return [summed(day, found, counted) for day, found in sorted(by_day.items(), reverse=True)]


def touched_days(rail: str, *, since: datetime) -> set[date]:
    """Return the days in China whose entries may differ from what they were at `since`. Six queries.

    Those on which a line seen since moved or its object first did, and those of our rows that changed since and of the
    lines that answer them.
    """
    lines = GatewayLine.objects.filter(rail=rail)
    new = list(lines.filter(seen_at__gte=since).values_list("source", "occurred_at"))
    attempts = PaymentAttempt.objects.filter(rail=rail, ended_at__gte=since).values_list("provider_id", "ended_at")
    refunds = RefundAttempt.objects.filter(attempt__rail=rail, ended_at__gte=since)
    disputes = PaymentDispute.objects.filter(rail=rail, updated_at__gte=since).values_list("provider_id", "opened_at")
    payouts = RailPayout.objects.filter(rail=rail, ended_at__gte=since).values_list("provider_id", "ended_at")
    moved = [*new, *attempts, *refunds.values_list("provider_id", "ended_at"), *disputes, *payouts]
    named = {name for name, _at in moved if name}
    first = lines.filter(source__in=named).values_list("occurred_at", flat=True) if named else ()
    return {rules.day_of(at) for _name, at in moved if at is not None} | {rules.day_of(at) for at in first}


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
    under_way = (BatchState.APPROVED.value, BatchState.EXPORTED.value, BatchState.RETURNED.value)
    lines = SettlementLine.objects.filter(active=True, batch__state__in=under_way).aggregate(fen=Sum("amount_fen"))
    return [Tie("settlement_clearing", clearing["fen"] or 0, lines["fen"] or 0)]
