"""The bank's balance against the ledger's, day by day: what the one has and the other has not is named line by line.

A booking that a line of a statement proves counts on the bank's day, whenever it was recorded; what no line proves yet on
the day it was recorded. So the two differ by what the bank had before its first statement, by lines nobody has booked, and
by bookings no line proves; whatever else they differ by is a line that is missing from the statements.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, When

from portal.kernel.period import Period
from vouchers.banking.models import BankAccount, MatchPart, StatementLine
from vouchers.banking.rules import ACTIVE, LineState, PartKind
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Account, Balance, Transfer
from vouchers.reconciliation import rules

__all__ = ["BankBooks", "BankDay", "Unproved", "books", "unbooked"]

NOT_BOOKED: Final = Q(state__in=[LineState.OPEN.value, LineState.PROPOSED.value], parked_at__isnull=True)
"""Lines whose money the ledger does not have."""


@dataclass(frozen=True, slots=True)
class Unproved:
    """A booking of the bank account that no line of a statement proves yet; `fen` is positive for money that came in."""

    key: str
    source_type: str
    source_id: str
    day: date
    fen: int


@dataclass(frozen=True, slots=True)
class BankDay:
    """A bank account at the end of a day. `closing_fen` is the statement's, `ledger_fen` ours; of their difference
    `opening_fen` was there before the first statement, `lines_fen` nobody has booked, `unproved_fen` no line proves.
    """

    day: date
    closing_fen: int
    ledger_fen: int
    opening_fen: int
    lines: int
    lines_fen: int
    unproved: int
    unproved_fen: int

    @property
    def difference_fen(self) -> int:
        return self.closing_fen - self.ledger_fen

    @property
    def unexplained_fen(self) -> int:
        """What nothing explains: a line that the statements lack."""
        return self.difference_fen - self.opening_fen - self.lines_fen + self.unproved_fen


@dataclass(frozen=True, slots=True)
class BankBooks:
    """The days of an account on which anything moved, newest first, and what no line proves, oldest first.

    `unexplained_fen` is what the ledger's balance now is beyond what lines and bookings make of it; it must be 0.
    """

    days: Sequence[BankDay]
    unproved: Sequence[Unproved]
    unexplained_fen: int


def unbooked(account: BankAccount, *, until: date) -> QuerySet[StatementLine]:
    """Return the lines up to a day, included, whose money the ledger does not have, oldest first."""
    return StatementLine.objects.filter(NOT_BOOKED, account=account, booked_on__lte=until).order_by("booked_on", "pk")


def books(account: BankAccount, *, during: Period) -> BankBooks:
    """Return an account's days in China of a time. Seven queries, whatever has moved."""
    first, last = rules.day_of(during.start), rules.day_of(during.end - timedelta(microseconds=1))
    moved = list(
        StatementLine.objects.filter(account=account)
        .order_by("booked_on")
        .values("booked_on")
        .annotate(
            fen=Sum("amount_fen"),
            open=Count("pk", filter=NOT_BOOKED),
            open_fen=Sum("amount_fen", filter=NOT_BOOKED),
        )
    )
    unproved = _unproved(account)
    closings = _Closings(account, moved)
    known = {row["booked_on"] for row in moved} | {one.day for one in unproved}
    found = [_day(day, moved, unproved, closings) for day in sorted(known) if first <= day <= last]
    booked = sum(row["fen"] - (row["open_fen"] or 0) for row in moved)
    explained = booked + sum(one.fen for one in unproved)
    return BankBooks(found[::-1], unproved, _ledger_fen(account) - explained)


def _day(day: date, moved: Sequence[Mapping[str, Any]], unproved: Sequence[Unproved], closings: _Closings) -> BankDay:
    rows = [row for row in moved if row["booked_on"] <= day]
    ours = [one for one in unproved if one.day <= day]
    lines_fen, unproved_fen = sum(row["open_fen"] or 0 for row in rows), sum(one.fen for one in ours)
    return BankDay(
        day=day,
        closing_fen=closings.at(day),
        ledger_fen=sum(row["fen"] for row in rows) - lines_fen + unproved_fen,
        opening_fen=closings.opening_fen,
        lines=sum(row["open"] for row in rows),
        lines_fen=lines_fen,
        unproved=len(ours),
        unproved_fen=unproved_fen,
    )


class _Closings:
    """What the statements say the balance was, by day: from the nearest one that ends then or later, else the last."""

    def __init__(self, account: BankAccount, moved: Sequence[Mapping[str, Any]]) -> None:
        self.moved = moved
        rows = account.imports.filter(closing_fen__isnull=False, ends_on__isnull=False).order_by("ends_on", "pk")
        said: dict[date, int] = {
            ends_on: fen for ends_on, fen in rows.values_list("ends_on", "closing_fen") if ends_on and fen is not None
        }
        self.days, self.fen = list(said), list(said.values())
        self.opening_fen = self.fen[0] - self._until(self.days[0]) if said else 0

    def _until(self, day: date) -> int:
        return sum(row["fen"] for row in self.moved if row["booked_on"] <= day)

    def at(self, day: date) -> int:
        if not self.days:
            return self._until(day)
        nth = min(bisect_left(self.days, day), len(self.days) - 1)
        return self.fen[nth] - self._until(self.days[nth]) + self._until(day)


def _ledger_fen(account: BankAccount) -> int:
    mine = Balance.objects.filter(account__kind=AccountKind.BANK_CLEARING.value, account__owner=account.owner)
    return mine.aggregate(fen=Sum(F("posted_dr") - F("posted_cr")))["fen"] or 0


def _unproved(account: BankAccount) -> list[Unproved]:
    """Return what was booked on an account and no active match of a line proves, oldest first. Three queries.

    A line's own bookings are proved by it; a booking and its reversal prove each other. Of the others a line proves what
    is for the same thing and of the same amount, the oldest first.
    """
    mine = list(
        Account.objects.filter(kind=AccountKind.BANK_CLEARING.value, owner=account.owner).values_list("pk", flat=True)
    )
    signed = Case(When(debit_account__in=mine, then=F("amount")), default=-F("amount"), output_field=IntegerField())
    rows = (
        Transfer.objects.filter(Q(debit_account__in=mine) | Q(credit_account__in=mine))
        .exclude(journal__key__startswith="line:")
        .exclude(journal__key__startswith="arrival:line:")
        .filter(journal__reverses__isnull=True, journal__reversals__isnull=True)
        .order_by("journal__recorded_at", "journal")
        .values_list("journal__key", "journal__source_type", "journal__source_id", "journal__recorded_at")
        .annotate(fen=Sum(signed))
    )
    proofs = _proofs(account)
    found = []
    for key, source_type, source_id, recorded_at, fen in rows:
        same = proofs.get((*_thing(key, source_type, source_id), fen), 0)
        if same:
            proofs[(*_thing(key, source_type, source_id), fen)] = same - 1
        elif fen:
            found.append(Unproved(key, source_type, source_id, rules.day_of(recorded_at), fen))
    return found


def _thing(key: str, source_type: str, source_id: str) -> tuple[str, str]:
    """Return what a booking is for, as `_proofs` names it."""
    kind, _colon, rest = key.partition(":")
    if kind == "payout":
        return "payout", rest.partition(":")[0]
    if kind == "arrival":
        return "arrival", rest
    return source_type, source_id


def _proofs(account: BankAccount) -> dict[tuple[str, str, int], int]:
    """Return what lines prove that was booked before them: how many of each amount, signed, by what they are for."""
    parts = MatchPart.objects.filter(
        match__line__account=account,
        match__state__in=[state.value for state in ACTIVE if state.value != "proposed"],
        kind__in=[each.value for each in BOOKED_BEFORE],
    ).select_related("payment", "batch", "arrival", "recovery", "match__line")
    found: dict[tuple[str, str, int], int] = {}
    for part in parts:
        fen = part.amount_fen if part.match.line.amount_fen > 0 else -part.amount_fen
        if part.kind == PartKind.PAYOUT.value:
            thing = ("payout", part.rail)
        elif part.kind == PartKind.MANUAL.value:
            thing = ("arrival", part.arrival.source if part.arrival else "")
        elif part.kind == PartKind.SETTLEMENT.value:
            thing = ("settlement", part.batch.number if part.batch else "")
        elif part.kind == PartKind.RECOVERED.value:
            thing = ("recovery", part.recovery.number if part.recovery else "")
        else:
            thing = ("payment", part.payment.number if part.payment else "")
        found[(*thing, fen)] = found.get((*thing, fen), 0) + 1
    return found


BOOKED_BEFORE: Final = (
    PartKind.MANUAL,
    PartKind.PAYOUT,
    PartKind.SETTLEMENT,
    PartKind.PAID_BACK,
    PartKind.REFUND,
    PartKind.RECOVERED,
)
"""Parts of lines whose booking bears another name than the line's."""
