"""Endpoints of the bank's balance against the ledger's, day by day."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils import timezone
from ninja import Query, Router, Schema

from portal.wire import ActorRequest, MoneyOut, Number, money, problems
from vouchers.reconciliation import access, bank_days
from vouchers.reconciliation.api import DaysFilter, span

__all__ = ["router"]

router = Router(tags=["reconciliation"])


class BankDayOut(Schema):
    """A bank account at the end of a day in China: the statement's balance, the ledger's, and what they differ by.

    `opening` was there before the first statement; `not_booked` are lines nobody has booked, `not_proved` bookings no line
    proves; `unexplained` is the rest and must be 0.
    """

    day: date
    statement: MoneyOut
    ledger: MoneyOut
    difference: MoneyOut
    opening: MoneyOut
    lines: int
    not_booked: MoneyOut
    bookings: int
    not_proved: MoneyOut
    unexplained: MoneyOut


class NotProvedOut(Schema):
    """A booking no line of a statement proves yet; positive for money that came in."""

    day: date
    key: str
    amount: MoneyOut


class BankBooksOut(Schema):
    """An account's days, newest first, and what no line proves; `unexplained` is beyond all of it and must be 0."""

    account: str
    days: list[BankDayOut]
    bookings: list[NotProvedOut]
    unexplained: MoneyOut


def _day(found: bank_days.BankDay) -> dict[str, Any]:
    return {
        "day": found.day,
        "statement": money(found.closing_fen),
        "ledger": money(found.ledger_fen),
        "difference": money(found.difference_fen),
        "opening": money(found.opening_fen),
        "lines": found.lines,
        "not_booked": money(found.lines_fen),
        "bookings": found.unproved,
        "not_proved": money(found.unproved_fen),
        "unexplained": money(found.unexplained_fen),
    }


@router.get("/{code}/days", response={200: BankBooksOut, **problems(404)})
def list_bank_days(request: ActorRequest, code: Number, wanted: Query[DaysFilter]) -> dict[str, Any]:
    """Return an account's days against the ledger."""
    account = access.get_bank_account(request.actor, code)
    found = bank_days.books(account, during=span(wanted.since, wanted.until, days=31, now=timezone.now()))
    return {
        "account": account.code,
        "days": [_day(day) for day in found.days],
        "bookings": [{"day": one.day, "key": one.key, "amount": money(one.fen)} for one in found.unproved],
        "unexplained": money(found.unexplained_fen),
    }
