"""What a payee earned, gave back and was paid in a month, read from the ledger's own transfers.

A payee's position is what it is owed (payables), what is on its way to it (clearing of its batches), less what it owes back of
refunds. A statement is the position at the month's beginning, every transfer that changed it, and the position at its end:
opening and lines add up to the closing by construction, and `checking` compares the position with the balances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.db import connection, models
from django.utils.translation import gettext_lazy

from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period
from portal.numbers.services import PORTAL_ZONE
from vouchers.charges.models import Charge
from vouchers.ledger.chart import JournalKind

__all__ = ["BadMonth", "Month", "Movement", "MovementKind", "PayeeStatement", "month_of", "monthly", "statement"]

_ = noop


class BadMonth(Invalid):
    code = "statement.month"
    message = _("没有这个月份的对账单。请选择 2000 年以后、已经开始的月份。")


class MovementKind(StrEnum):
    CAPTURED = "captured"
    REFUNDED = "refunded"
    SET_OFF = "set_off"
    """A debt of a recovery that was taken off."""
    PAID = "paid"
    OTHER = "other"


class MovementWords(models.TextChoices):
    """How they are told."""

    CAPTURED = MovementKind.CAPTURED.value, gettext_lazy("服务收入")
    REFUNDED = MovementKind.REFUNDED.value, gettext_lazy("退款")
    SET_OFF = MovementKind.SET_OFF.value, gettext_lazy("抵扣应退款")
    PAID = MovementKind.PAID.value, gettext_lazy("已付款")
    OTHER = MovementKind.OTHER.value, gettext_lazy("其他调整")


KINDS: Final[Mapping[str, MovementKind]] = {
    JournalKind.CAPTURE.value: MovementKind.CAPTURED,
    JournalKind.CHARGE_CASH.value: MovementKind.CAPTURED,
    JournalKind.AWARD.value: MovementKind.CAPTURED,
    JournalKind.REFUND.value: MovementKind.REFUNDED,
    JournalKind.BATCH_OPEN.value: MovementKind.SET_OFF,
    JournalKind.BATCH_PAID.value: MovementKind.PAID,
}

OWN: Final = """
    own AS (
        SELECT id FROM ledger_account WHERE unit = 'CNY' AND owner = %(owner)s
           AND kind IN ('provider_payable', 'cash_provider_payable', 'claimant_payable', 'receivable_provider')
        UNION ALL
        SELECT a.id FROM ledger_account a JOIN settlement_batch b ON a.owner = 'batch:' || b.number
        WHERE a.kind = 'settlement_clearing' AND a.unit = 'CNY' AND b.payee_id = %(payee)s
    ), moved AS (
        SELECT t.id, t.journal_id, t.amount FROM ledger_transfer t
        WHERE t.credit_account_id IN (SELECT id FROM own) AND t.debit_account_id NOT IN (SELECT id FROM own)
        UNION ALL
        SELECT t.id, t.journal_id, -t.amount FROM ledger_transfer t
        WHERE t.debit_account_id IN (SELECT id FROM own) AND t.credit_account_id NOT IN (SELECT id FROM own)
    )
"""
KIND: Final = "CASE WHEN j.kind = 'reverse' AND j.source_type = 'settlement' THEN 'batch_paid' ELSE j.kind END"
"""What was paid and came back counts as less paid."""
LINES: Final = f"""
    WITH {OWN}
    SELECT j.effective_at, {KIND}, j.source_type, j.source_id, sum(moved.amount)::bigint
    FROM moved JOIN ledger_journal j ON j.id = moved.journal_id
    WHERE j.effective_at >= %(start)s AND j.effective_at < %(end)s
    GROUP BY j.id ORDER BY j.effective_at, j.id
"""  # noqa: S608 - no value is written into it
OPENING: Final = f"""
    WITH {OWN}
    SELECT coalesce(sum(moved.amount), 0)::bigint FROM moved JOIN ledger_journal j ON j.id = moved.journal_id
    WHERE j.effective_at < %(start)s
"""  # noqa: S608 - no value is written into it
MONTHLY: Final = f"""
    WITH {OWN}
    SELECT to_char(j.effective_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM'), {KIND}, sum(moved.amount)::bigint
    FROM moved JOIN ledger_journal j ON j.id = moved.journal_id
    WHERE j.effective_at >= %(start)s AND j.effective_at < %(end)s
    GROUP BY 1, 2 ORDER BY 1
"""  # noqa: S608 - no value is written into it


@dataclass(frozen=True, slots=True)
class Movement:
    """One act that changed the position: `amount_fen` is positive where more was owed. `subject` is what it was about."""

    at: datetime
    kind: MovementKind
    source: str
    subject: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PayeeStatement:
    """A payee's month: position before, what changed it, position after; all in fen. `period` is half-open, UTC."""

    payee_id: int
    period: Period
    opening_fen: int
    lines: Sequence[Movement]

    def total_fen(self, kind: MovementKind) -> int:
        return sum(line.amount_fen for line in self.lines if line.kind is kind)

    @property
    def totals(self) -> Mapping[str, int]:
        return {kind.value: self.total_fen(kind) for kind in MovementKind}

    @property
    def closing_fen(self) -> int:
        return self.opening_fen + sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class Month:
    """One month's sums, in fen: earned less given back, and paid."""

    year: int
    month: int
    earned_fen: int
    paid_fen: int


def month_of(year: int, month: int, *, now: datetime) -> Period:
    """Return a month in Beijing time. Raises BadMonth for one that is none, or has not begun."""
    if not (2000 <= year < 2200 and 1 <= month <= 12):
        raise BadMonth(field="month")
    start = datetime(year, month, 1, tzinfo=PORTAL_ZONE)
    if start > now:
        raise BadMonth(field="month")
    return Period(start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=PORTAL_ZONE))


def _rows(sql: str, payee_id: int, period: Period) -> list[tuple[Any, ...]]:
    values: dict[str, str | int | datetime] = {
        "owner": f"organisation:{payee_id}",
        "payee": payee_id,
        "start": period.start,
        "end": period.end,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def statement(payee_id: int, period: Period) -> PayeeStatement:
    """Return a payee's statement of a period, in three queries."""
    rows = _rows(LINES, payee_id, period)
    [(opening,)] = _rows(OPENING, payee_id, period)
    subjects = _subjects(source_id for _at, _kind, source, source_id, _fen in rows if source == "charge")
    lines = [
        Movement(
            at,
            KINDS.get(kind, MovementKind.OTHER),
            source_id,
            subjects.get(source_id, f"{source}:{source_id}"),
            fen,
        )
        for at, kind, source, source_id, fen in rows
        if fen
    ]
    return PayeeStatement(payee_id, period, opening, lines)


def _subjects(numbers: Iterable[str]) -> dict[str, str]:
    return dict(Charge.objects.filter(number__in=set(numbers)).values_list("number", "subject"))


def monthly(payee_id: int, *, now: datetime, months: int = 12) -> list[Month]:
    """Return the last months, this one last, in one query; months without a movement too."""
    local = now.astimezone(PORTAL_ZONE)
    places = [divmod(local.year * 12 + local.month - 1 - back, 12) for back in range(months - 1, -1, -1)]
    wanted = [(year, month + 1) for year, month in places]
    period = Period(datetime(*wanted[0], 1, tzinfo=PORTAL_ZONE), month_of(*wanted[-1], now=now).end)
    sums: dict[tuple[str, MovementKind], int] = {}
    for key, kind, fen in _rows(MONTHLY, payee_id, period):
        place = (key, KINDS.get(kind, MovementKind.OTHER))
        sums[place] = sums.get(place, 0) + fen
    return [
        Month(
            year,
            month,
            sum(sums.get((f"{year}-{month:02d}", kind), 0) for kind in (MovementKind.CAPTURED, MovementKind.REFUNDED)),
            -sums.get((f"{year}-{month:02d}", MovementKind.PAID), 0),
        )
        for year, month in wanted
    ]
