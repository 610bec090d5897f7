"""What every kind of account had and moved over a time, by recorded time: the figures that closed months keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from portal.kernel.period import Period
from vouchers.ledger.chart import ACCOUNT_KINDS, AccountKind, Side

__all__ = ["Figure", "figures"]

FIGURES = """
    WITH leg AS (
        SELECT t.debit_account_id AS account_id, t.amount AS dr, 0::bigint AS cr, j.recorded_at >= %(since)s AS within
        FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id WHERE j.recorded_at < %(until)s
        UNION ALL
        SELECT t.credit_account_id, 0, t.amount, j.recorded_at >= %(since)s
        FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id WHERE j.recorded_at < %(until)s
    )
    SELECT a.programme, a.fiscal_year, a.unit, a.kind, CASE WHEN a.kind = ANY(%(named)s) THEN a.owner ELSE '' END AS who,
           coalesce(sum(dr) FILTER (WHERE NOT within), 0)::bigint, coalesce(sum(cr) FILTER (WHERE NOT within), 0)::bigint,
           coalesce(sum(dr) FILTER (WHERE within), 0)::bigint, coalesce(sum(cr) FILTER (WHERE within), 0)::bigint
    FROM leg JOIN ledger_account a ON a.id = leg.account_id
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
NAMED = (AccountKind.BANK_CLEARING, AccountKind.GATEWAY_CLEARING, AccountKind.FEES, AccountKind.WRITE_OFF)


@dataclass(frozen=True, slots=True)
class Figure:
    """What the accounts of one kind had when a time began and ended, on its normal side, and what moved in between.

    Smallest steps of `unit`. `owner` is named for the operator's own money only.
    """

    programme: str
    fiscal_year: int | None
    unit: str
    kind: AccountKind
    owner: str
    opening: int
    debit: int
    credit: int

    @property
    def closing(self) -> int:
        moved = self.credit - self.debit
        return self.opening + (moved if ACCOUNT_KINDS[self.kind].normal is Side.CREDIT else -moved)


def figures(*, during: Period) -> list[Figure]:
    """Return the figures of every kind of account over a time, half-open, by *recorded* time. One pass over the ledger.

    Nothing is ever recorded in the past, so for a time that is over, once the postings under way have ended, the answer
    never changes: this is what a closed month keeps.
    """
    values: dict[str, Any] = {"since": during.start, "until": during.end, "named": [kind.value for kind in NAMED]}
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, values)
        rows = cursor.fetchall()
    found = []
    for programme, year, unit, code, owner, dr_before, cr_before, debit, credit in rows:
        kind = AccountKind(code)
        before = cr_before - dr_before if ACCOUNT_KINDS[kind].normal is Side.CREDIT else dr_before - cr_before
        found.append(Figure(programme, year, unit, kind, owner, before, debit, credit))
    return found
