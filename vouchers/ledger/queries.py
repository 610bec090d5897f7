"""Read the ledger: balances, statements, the trial balance, and the check that nothing is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Sum

from vouchers.ledger.chart import ACCOUNT_KINDS, CNY, AccountKind, JournalKind, Side
from vouchers.ledger.models import AuditRun, Balance, Journal
from vouchers.ledger.verification import Violation, verify

__all__ = [
    "AccountBalance",
    "BudgetBalance",
    "HistoryLine",
    "HistoryPage",
    "StatementLine",
    "StatementPage",
    "TrialBalanceLine",
    "Violation",
    "balances",
    "budgets",
    "history",
    "last_audit",
    "statement",
    "taken",
    "trial_balance",
    "unaccounted_fen",
    "verify",
]


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account's amounts on its normal side, in fen.

    `held_fen` is set aside to leave, `incoming_fen` is held elsewhere to arrive; `available_fen` is posted less held.
    """

    account_id: int
    kind: AccountKind
    posted_fen: int
    held_fen: int
    incoming_fen: int

    @property
    def available_fen(self) -> int:
        return self.posted_fen - self.held_fen


def balances(*, account_ids: Iterable[int]) -> dict[int, AccountBalance]:
    """Return the balance of each account that exists, in one query."""
    found = Balance.objects.filter(pk__in=list(account_ids)).values_list(
        "pk", "account__kind", "posted_dr", "posted_cr", "held_dr", "held_cr"
    )
    return {pk: _balance(pk, AccountKind(kind), sums) for pk, kind, *sums in found}


def _balance(pk: int, kind: AccountKind, sums: list[int]) -> AccountBalance:
    posted_dr, posted_cr, held_dr, held_cr = sums
    if ACCOUNT_KINDS[kind].normal is Side.CREDIT:
        return AccountBalance(pk, kind, posted_cr - posted_dr, held_fen=held_dr, incoming_fen=held_cr)
    return AccountBalance(pk, kind, posted_dr - posted_cr, held_fen=held_cr, incoming_fen=held_dr)


@dataclass(frozen=True, slots=True)
class BudgetBalance:
    """A programme's budget of one fiscal year: what was appropriated to it, is reserved there, and is free."""

    put_in: int
    reserved: int
    free: int


def budgets(*, programmes: Iterable[str], unit: str = CNY) -> dict[str, dict[int, BudgetBalance]]:
    """Return the budgets of programmes by code and fiscal year, in smallest steps of `unit`. One query."""
    kinds = (AccountKind.APPROPRIATION.value, AccountKind.BUDGET.value)
    rows = Balance.objects.filter(account__programme__in=list(programmes), account__kind__in=kinds, account__unit=unit)
    sums: dict[tuple[str, int], dict[AccountKind, AccountBalance]] = {}
    for pk, code, year, kind, *amounts in rows.values_list(
        "pk",
        "account__programme",
        "account__fiscal_year",
        "account__kind",
        "posted_dr",
        "posted_cr",
        "held_dr",
        "held_cr",
    ):
        sums.setdefault((code, year or 0), {})[AccountKind(kind)] = _balance(pk, AccountKind(kind), amounts)
    found: dict[str, dict[int, BudgetBalance]] = {}
    for (code, year), by_kind in sums.items():
        put_in, budget = by_kind.get(AccountKind.APPROPRIATION), by_kind.get(AccountKind.BUDGET)
        if budget is not None:
            line = BudgetBalance(put_in.posted_fen if put_in else 0, budget.held_fen, budget.available_fen)
            found.setdefault(code, {})[year] = line
    return found


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One transfer seen from one account: `amount_fen` is positive when it raised the account's balance."""

    transfer_id: int
    journal_id: int
    kind: JournalKind
    effective_at: datetime
    recorded_at: datetime
    actor: str
    reason: str
    source_type: str
    source_id: str
    other_account_id: int
    other_kind: AccountKind
    other_owner: str
    amount_fen: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Newest first. `next_before` is the cursor of the following page, None on the last."""

    lines: tuple[StatementLine, ...]
    next_before: int | None


STATEMENT = """
    WITH own AS (
        SELECT b.account_id, (%(sign)s * (b.posted_cr - b.posted_dr)) AS posted
        FROM ledger_balance b WHERE b.account_id = %(account)s
    ), newer AS (
        SELECT coalesce(sum(amount), 0) AS amount FROM (
            SELECT %(sign)s * amount AS amount FROM ledger_transfer
            WHERE credit_account_id = %(account)s AND id >= %(before)s
            UNION ALL
            SELECT -%(sign)s * amount FROM ledger_transfer
            WHERE debit_account_id = %(account)s AND id >= %(before)s
        ) AS both_sides
    ), page AS (
        (SELECT id, journal_id, debit_account_id AS other, %(sign)s * amount AS amount FROM ledger_transfer
         WHERE credit_account_id = %(account)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT id, journal_id, credit_account_id, -%(sign)s * amount FROM ledger_transfer
         WHERE debit_account_id = %(account)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
        ORDER BY id DESC LIMIT %(limit)s
    )
    SELECT page.id, j.id, j.kind, j.effective_at, j.recorded_at, j.actor, j.reason, j.source_type, j.source_id,
           other.id, other.kind, other.owner, page.amount,
           own.posted - newer.amount
               - coalesce(sum(page.amount) OVER (ORDER BY page.id DESC ROWS UNBOUNDED PRECEDING), 0) + page.amount
    FROM page
    CROSS JOIN own CROSS JOIN newer
    JOIN ledger_journal j ON j.id = page.journal_id
    JOIN ledger_account other ON other.id = page.other
    ORDER BY page.id DESC
"""


def statement(*, account_id: int, before: int | None = None, limit: int = 50) -> StatementPage:
    """Return the account's transfers, newest first, each with the balance after it.

    `before` is the `next_before` of the previous page. One query for the page and one for the account; transfers of
    one account are numbered in the order they were committed, because each is written under the account's lock.
    """
    current = balances(account_ids=[account_id]).get(account_id)
    if current is None:
        return StatementPage((), None)
    sign = 1 if ACCOUNT_KINDS[current.kind].normal is Side.CREDIT else -1
    values = {"account": account_id, "before": before or 2**63 - 1, "limit": limit + 1, "sign": sign}
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, values)
        rows = cursor.fetchall()
    lines = tuple(_statement_line(row) for row in rows[:limit])
    return StatementPage(lines, lines[-1].transfer_id if len(rows) > limit else None)


def _statement_line(row: tuple[Any, ...]) -> StatementLine:
    values: dict[str, Any] = dict(zip(StatementLine.__slots__, row, strict=True))
    values["kind"] = JournalKind(values["kind"])
    values["other_kind"] = AccountKind(values["other_kind"])
    values["balance_fen"] = int(values["balance_fen"])
    return StatementLine(**values)


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """The sums of one kind of account in one programme, year and unit; `balance_fen` on the kind's normal side.

    Amounts are smallest steps of `unit`, fen where that is CNY.
    """

    programme: str
    fiscal_year: int | None
    unit: str
    kind: AccountKind
    accounts: int
    debit_fen: int
    credit_fen: int
    held_debit_fen: int
    held_credit_fen: int

    @property
    def balance_fen(self) -> int:
        difference = self.credit_fen - self.debit_fen
        return difference if ACCOUNT_KINDS[self.kind].normal is Side.CREDIT else -difference


TRIAL_BALANCE = """
    SELECT a.programme, a.fiscal_year, a.unit, a.kind, count(*), sum(b.posted_dr)::bigint, sum(b.posted_cr)::bigint,
           sum(b.held_dr)::bigint, sum(b.held_cr)::bigint
    FROM ledger_account a JOIN ledger_balance b ON b.account_id = a.id
    WHERE %(programme)s::text IS NULL OR a.programme = %(programme)s
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""

TRIAL_BALANCE_AT = """
    WITH moved AS (
        SELECT t.debit_account_id, t.credit_account_id, t.amount
        FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id WHERE j.effective_at < %(at)s
    ), open_then AS (
        SELECT h.debit_account_id, h.credit_account_id, h.amount
        FROM ledger_hold h JOIN ledger_journal j ON j.id = h.journal_id
        WHERE j.effective_at < %(at)s AND NOT EXISTS (
            SELECT FROM ledger_hold_resolution r JOIN ledger_journal e ON e.id = r.journal_id
            WHERE r.hold_id = h.id AND e.effective_at < %(at)s)
    ), leg AS (
        SELECT debit_account_id AS account_id, amount AS dr, 0 AS cr, 0 AS held_dr, 0 AS held_cr FROM moved
        UNION ALL SELECT credit_account_id, 0, amount, 0, 0 FROM moved
        UNION ALL SELECT debit_account_id, 0, 0, amount, 0 FROM open_then
        UNION ALL SELECT credit_account_id, 0, 0, 0, amount FROM open_then
    )
    SELECT a.programme, a.fiscal_year, a.unit, a.kind, count(DISTINCT a.id), sum(dr)::bigint, sum(cr)::bigint,
           sum(held_dr)::bigint, sum(held_cr)::bigint
    FROM leg JOIN ledger_account a ON a.id = leg.account_id
    WHERE %(programme)s::text IS NULL OR a.programme = %(programme)s
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


def trial_balance(*, programme: str | None = None, at: datetime | None = None) -> list[TrialBalanceLine]:
    """Return the sums per programme, fiscal year, unit and kind, of one programme ("" = own money) or of everything.

    With `at`, what counted before that instant (exclusive, by `effective_at`), recomputed from the journals. Once the
    year that ends there is closed the answer never changes again; accounts without any movement are then left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(TRIAL_BALANCE if at is None else TRIAL_BALANCE_AT, {"programme": programme, "at": at})
        return [_trial_balance_line(row) for row in cursor.fetchall()]


def _trial_balance_line(row: tuple[Any, ...]) -> TrialBalanceLine:
    programme, fiscal_year, unit, kind, *sums = row
    return TrialBalanceLine(programme, fiscal_year, unit, AccountKind(kind), *sums)


UNACCOUNTED = """
    WITH moved AS (
        SELECT account_id, sum(dr) AS dr, sum(cr) AS cr FROM (
            SELECT debit_account_id AS account_id, amount AS dr, 0 AS cr FROM ledger_transfer
            UNION ALL SELECT credit_account_id, 0, amount FROM ledger_transfer
        ) AS leg GROUP BY account_id
    ), drift AS (
        SELECT coalesce(sum(abs(b.posted_dr - coalesce(m.dr, 0)) + abs(b.posted_cr - coalesce(m.cr, 0))), 0) AS fen
        FROM ledger_balance b FULL JOIN moved m USING (account_id)
    ), programmes AS (
        SELECT abs(sum(b.posted_dr - b.posted_cr)) AS fen
        FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id
        GROUP BY a.unit, a.programme, a.fiscal_year
    )
    SELECT (SELECT fen FROM drift) + coalesce((SELECT sum(fen) FROM programmes), 0)
"""


def unaccounted_fen() -> int:
    """Return how many fen are not explained: 0 when all is well.

    Adds, over every account, what its balance differs from the sum of its transfers, and over every programme and
    year, what was appropriated but is not in a pool, a voucher, a payable, a batch, paid out, expired or taken back.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNACCOUNTED)
        return int(cursor.fetchone()[0])


def last_audit() -> AuditRun | None:
    """Return the latest finished audit, None before the first."""
    return AuditRun.objects.order_by("-started_at").first()


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """What one journal did to one account: its balance moved by `amount_fen`, what is held of it by `held_fen`.

    `balance_fen` and `available_fen` are what they came to. Amounts are of a credit account.
    """

    journal_id: int
    kind: JournalKind
    effective_at: datetime
    recorded_at: datetime
    actor: str
    reason: str
    source_type: str
    source_id: str
    amount_fen: int
    held_fen: int
    balance_fen: int
    available_fen: int


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first. `next_before` is the cursor of the following page, None on the last."""

    lines: tuple[HistoryLine, ...]
    next_before: int | None


HISTORY = """
    WITH moves AS (
        SELECT journal_id, amount AS moved, 0 AS held FROM ledger_transfer WHERE credit_account_id = %(account)s
        UNION ALL
        SELECT journal_id, -amount, 0 FROM ledger_transfer WHERE debit_account_id = %(account)s
        UNION ALL
        SELECT journal_id, 0, amount FROM ledger_hold WHERE debit_account_id = %(account)s
        UNION ALL
        SELECT r.journal_id, 0, -h.amount FROM ledger_hold h JOIN ledger_hold_resolution r ON r.hold_id = h.id
        WHERE h.debit_account_id = %(account)s
    ), lines AS (
        SELECT journal_id, sum(moved) AS moved, sum(held) AS held FROM moves GROUP BY journal_id
    ), running AS (
        SELECT journal_id, moved, held, sum(moved) OVER w AS balance, sum(moved - held) OVER w AS available
        FROM lines WINDOW w AS (ORDER BY journal_id)
    )
    SELECT j.id, j.kind, j.effective_at, j.recorded_at, j.actor, j.reason, j.source_type, j.source_id,
           running.moved, running.held, running.balance, running.available
    FROM running JOIN ledger_journal j ON j.id = running.journal_id
    WHERE j.id < %(before)s ORDER BY j.id DESC LIMIT %(limit)s
"""


def history(*, account_id: int, before: int | None = None, limit: int = 50) -> HistoryPage:
    """Return everything that happened to a credit account, holds and releases too, newest first. One query.

    Journals of one account are numbered in the order they were committed, because each is written under its lock.
    """
    values = {"account": account_id, "before": before or 2**63 - 1, "limit": limit + 1}
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, values)
        rows = cursor.fetchall()
    lines = tuple(
        HistoryLine(row[0], JournalKind(row[1]), *row[2:8], *(int(amount) for amount in row[8:]))
        for row in rows[:limit]
    )
    return HistoryPage(lines, lines[-1].journal_id if len(rows) > limit else None)


def taken(*, source_type: str, source_ids: Iterable[str]) -> dict[str, int]:
    """Return what was captured for each source and not refunded, from the transfers themselves. One query."""
    captured, refunded = JournalKind.CAPTURE.value, JournalKind.REFUND.value
    rows = (
        Journal.objects.filter(source_type=source_type, source_id__in=list(source_ids), kind__in=[captured, refunded])
        .order_by()
        .values_list("source_id", "kind")
        .annotate(sum=Sum("transfers__amount"))
    )
    found: dict[str, int] = {}
    for source_id, kind, amount in rows:
        found[source_id] = found.get(source_id, 0) + (amount or 0) * (1 if kind == captured else -1)
    return found
