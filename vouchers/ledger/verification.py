"""The invariants of the ledger as SQL, each checked over everything there is.

They look behind the constraints and guards that should make violations impossible: a superuser, a restored backup or
a disabled trigger can do what the database otherwise refuses. Nothing here writes or locks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS

__all__ = ["CHECKS", "Violation", "verify", "whole_passes"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: which `check`, on which record, and the figures that disagree. For operators, in English."""

    check: str
    subject: str
    detail: str


CHECKS: Mapping[str, str] = {
    "books_balance": """
        SELECT 'unit ' || a.unit, 'debits ' || sum(b.posted_dr) || ', credits ' || sum(b.posted_cr)
        FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id
        GROUP BY a.unit HAVING sum(b.posted_dr) <> sum(b.posted_cr)
    """,
    "balance_is_sum_of_transfers": """
        SELECT 'account ' || account_id,
               'balance ' || coalesce(b.posted_dr, 0) || '/' || coalesce(b.posted_cr, 0)
               || ', transfers ' || coalesce(m.dr, 0) || '/' || coalesce(m.cr, 0)
        FROM ledger_balance b FULL JOIN (
            SELECT account_id, sum(dr) AS dr, sum(cr) AS cr FROM (
                SELECT debit_account_id AS account_id, amount AS dr, 0 AS cr FROM ledger_transfer
                UNION ALL SELECT credit_account_id, 0, amount FROM ledger_transfer
            ) AS leg GROUP BY account_id
        ) AS m USING (account_id)
        WHERE (coalesce(b.posted_dr, 0), coalesce(b.posted_cr, 0)) <> (coalesce(m.dr, 0), coalesce(m.cr, 0))
    """,
    "held_is_sum_of_open_holds": """
        SELECT 'account ' || account_id,
               'held ' || coalesce(b.held_dr, 0) || '/' || coalesce(b.held_cr, 0)
               || ', open holds ' || coalesce(m.dr, 0) || '/' || coalesce(m.cr, 0)
        FROM ledger_balance b FULL JOIN (
            SELECT account_id, sum(dr) AS dr, sum(cr) AS cr FROM (
                SELECT id, debit_account_id AS account_id, amount AS dr, 0 AS cr FROM ledger_hold
                UNION ALL SELECT id, credit_account_id, 0, amount FROM ledger_hold
            ) AS leg
            WHERE NOT EXISTS (SELECT FROM ledger_hold_resolution r WHERE r.hold_id = leg.id)
            GROUP BY account_id
        ) AS m USING (account_id)
        WHERE (coalesce(b.held_dr, 0), coalesce(b.held_cr, 0)) <> (coalesce(m.dr, 0), coalesce(m.cr, 0))
    """,
    "no_overdraft": """
        SELECT 'account ' || a.id, a.kind || ' ' || b.posted_dr || '+' || b.held_dr || ' / ' || b.posted_cr || '+' || b.held_cr
        FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id
        JOIN ledger_account_kind k ON k.kind = a.kind
        WHERE b.bound <> k.bound OR b.hot <> k.hot
           OR (k.bound = 'credit' AND b.posted_dr + b.held_dr > b.posted_cr)
           OR (k.bound = 'debit' AND b.posted_cr + b.held_cr > b.posted_dr)
    """,
    "every_account_has_a_balance": """
        SELECT 'account ' || a.id, a.kind FROM ledger_account a
        WHERE NOT EXISTS (SELECT FROM ledger_balance b WHERE b.account_id = a.id)
    """,
    "programme_is_complete": """
        SELECT 'programme ' || coalesce(nullif(a.programme, ''), '(own money)') || ' ' || coalesce(a.fiscal_year::text, ''),
               sum(b.posted_dr - b.posted_cr) || ' fen too many on the debit side'
        FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id
        GROUP BY a.unit, a.programme, a.fiscal_year HAVING sum(b.posted_dr) <> sum(b.posted_cr)
    """,
    "capture_within_hold": """
        SELECT 'hold ' || h.id, r.outcome || ' ' || r.captured_amount || ' of ' || h.amount
        FROM ledger_hold_resolution r
        JOIN ledger_hold h ON h.id = r.hold_id JOIN ledger_journal j ON j.id = r.journal_id
        WHERE r.captured_amount > h.amount
           OR (r.outcome = 'captured') <> (r.captured_amount > 0)
           OR (r.outcome = 'captured' AND j.recorded_at >= h.expires_at)
           OR (r.outcome = 'expired' AND j.recorded_at < coalesce(h.expires_at, 'infinity'))
    """,
    "capture_is_transferred_once": """
        SELECT 'hold ' || r.hold_id, 'captured ' || r.captured_amount || ', transferred ' || coalesce(sum(t.amount), 0)
        FROM ledger_hold_resolution r
        JOIN ledger_hold h ON h.id = r.hold_id
        LEFT JOIN ledger_transfer t ON t.hold_id = r.hold_id AND t.journal_id = r.journal_id
            AND t.debit_account_id = h.debit_account_id AND t.credit_account_id = h.credit_account_id
        GROUP BY r.hold_id, r.captured_amount HAVING coalesce(sum(t.amount), 0) <> r.captured_amount
    """,
    "hold_transfer_has_its_reason": """
        SELECT 'transfer ' || t.id, j.kind || ' of hold ' || t.hold_id
        FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id
        WHERE t.hold_id IS NOT NULL AND j.kind <> 'refund' AND NOT EXISTS (
            SELECT FROM ledger_hold_resolution r WHERE r.hold_id = t.hold_id AND r.journal_id = t.journal_id)
    """,
    "refunds_within_capture": """
        SELECT 'hold ' || t.hold_id, 'refunded ' || sum(t.amount) || ' of ' || coalesce(max(r.captured_amount), 0)
        FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id
        LEFT JOIN ledger_hold_resolution r ON r.hold_id = t.hold_id
        WHERE j.kind = 'refund'
        GROUP BY t.hold_id HAVING sum(t.amount) > coalesce(max(r.captured_amount), 0)
    """,
    "open_holds_are_queued": """
        SELECT 'hold ' || coalesce(h.id, o.hold_id), CASE WHEN o.hold_id IS NULL THEN 'not queued' ELSE 'queued amiss' END
        FROM (SELECT id, expires_at FROM ledger_hold WHERE NOT EXISTS (
                  SELECT FROM ledger_hold_resolution r WHERE r.hold_id = ledger_hold.id)) AS h
        FULL JOIN ledger_hold_open o ON o.hold_id = h.id
        WHERE h.id IS NULL OR o.hold_id IS NULL OR h.expires_at IS DISTINCT FROM o.expires_at
    """,
    "units_and_flows_allowed": """
        SELECT leg.what || ' ' || leg.id, j.kind || ': ' || d.kind || ' to ' || c.kind
        FROM (
            SELECT 'transfer' AS what, id, journal_id, unit, debit_account_id AS debit, credit_account_id AS credit
            FROM ledger_transfer
            UNION ALL SELECT 'hold', id, journal_id, unit, debit_account_id, credit_account_id FROM ledger_hold
        ) AS leg
        JOIN ledger_journal j ON j.id = leg.journal_id
        JOIN ledger_account d ON d.id = leg.debit JOIN ledger_account c ON c.id = leg.credit
        LEFT JOIN ledger_flow f ON f.journal_kind = j.kind AND f.debit_kind = d.kind AND f.credit_kind = c.kind
        WHERE f.journal_kind IS NULL OR leg.unit <> d.unit OR leg.unit <> c.unit
           OR d.programme <> c.programme OR d.fiscal_year IS DISTINCT FROM c.fiscal_year
    """,
    "second_person_approved": """
        SELECT 'journal ' || id, kind || ' by ' || actor FROM ledger_journal
        WHERE kind = ANY (%(two_person)s) AND approved_by IN ('', actor)
    """,
    "reversal_mirrors": """
        SELECT 'journal ' || j.id, 'reverses ' || j.reverses_id
        FROM ledger_journal j
        WHERE j.reverses_id IS NOT NULL AND EXISTS (
            (SELECT line_no, credit_account_id, debit_account_id, amount FROM ledger_transfer WHERE journal_id = j.reverses_id
             EXCEPT SELECT line_no, debit_account_id, credit_account_id, amount FROM ledger_transfer WHERE journal_id = j.id)
            UNION ALL
            (SELECT line_no, debit_account_id, credit_account_id, amount FROM ledger_transfer WHERE journal_id = j.id
             EXCEPT SELECT line_no, credit_account_id, debit_account_id, amount FROM ledger_transfer
                    WHERE journal_id = j.reverses_id))
    """,
    "refused_key_never_succeeds": """
        SELECT 'journal ' || j.id, 'key ' || j.key || ' was refused at ' || r.refused_at
        FROM ledger_refusal r JOIN ledger_journal j ON j.key = r.key
    """,
    "closed_account_is_empty": """
        SELECT 'account ' || a.id, b.posted_dr || '/' || b.posted_cr || ', held ' || b.held_dr || '/' || b.held_cr
        FROM ledger_account a JOIN ledger_balance b ON b.account_id = a.id
        WHERE a.closed_at IS NOT NULL AND (b.posted_dr <> b.posted_cr OR b.held_dr <> 0 OR b.held_cr <> 0)
    """,
    "guards_are_on": """
        SELECT 'table ' || wanted.name, wanted.guard || ' is missing or disabled'
        FROM (VALUES
            ('ledger_journal', 'ledger_append_only'), ('ledger_transfer', 'ledger_append_only'),
            ('ledger_hold', 'ledger_append_only'), ('ledger_hold_resolution', 'ledger_append_only'),
            ('ledger_account', 'ledger_append_only'), ('ledger_balance', 'ledger_append_only'),
            ('ledger_account', 'ledger_account_guard'), ('ledger_transfer', 'ledger_flow_guard'),
            ('ledger_hold', 'ledger_flow_guard'), ('ledger_hold_resolution', 'ledger_resolution_guard'),
            ('ledger_seal', 'ledger_append_only'), ('ledger_period', 'ledger_append_only'),
            ('ledger_journal', 'ledger_period_guard'), ('ledger_refusal', 'ledger_append_only')
        ) AS wanted (name, guard)
        WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = wanted.name::regclass
                          AND t.tgname = wanted.guard AND t.tgenabled IN ('O', 'A'))
    """,
    "chart_is_current": """
        SELECT 'chart', missing FROM (
            (SELECT 'flow ' || journal_kind || ' ' || debit_kind || ' ' || credit_kind AS missing FROM ledger_flow
             EXCEPT SELECT 'flow ' || flow FROM unnest(%(flows)s::text[]) AS flow)
            UNION ALL
            (SELECT 'flow ' || flow FROM unnest(%(flows)s::text[]) AS flow
             EXCEPT SELECT 'flow ' || journal_kind || ' ' || debit_kind || ' ' || credit_kind FROM ledger_flow)
            UNION ALL
            (SELECT 'kind ' || kind || ' ' || bound || ' ' || hot FROM ledger_account_kind
             EXCEPT SELECT 'kind ' || kind FROM unnest(%(kinds)s::text[]) AS kind)
        ) AS difference
    """,
}
"""Name of the promise → SQL returning ``(subject, detail)`` for each record that breaks it."""


@contextmanager
def whole_passes(cursor: CursorWrapper) -> Iterator[None]:
    """Let every query inside read its tables once, whole.

    A ledger that has just grown by thousands of rows has the statistics of an empty one; a planner who believes them
    loops over one table for each row of another, and an audit of seconds takes minutes (measured: over five).
    """
    with transaction.atomic():
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")


def verify() -> list[Violation]:
    """Check every invariant over the whole ledger; an empty list means all hold.

    One sequential pass per check: meant for a nightly run, an export, or the end of a test.
    """
    values = {
        "two_person": sorted(kind.value for kind, rule in JOURNAL_KINDS.items() if rule.two_person),
        "flows": sorted(" ".join(kind.value for kind in flow) for flow in FLOWS),
        "kinds": sorted(
            f"{kind.value} {rule.bound.value} {str(rule.hot).lower()}" for kind, rule in ACCOUNT_KINDS.items()
        ),
    }
    violations = []
    with connection.cursor() as cursor, whole_passes(cursor):
        for check, sql in CHECKS.items():
            cursor.execute(sql, values if "%(" in sql else None)
            violations += [Violation(check, subject.strip(), str(detail)) for subject, detail in cursor.fetchall()]
    return violations
