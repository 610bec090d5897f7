"""What migrations run to bring the ledger's own SQL into a database.

Migrations use this module, so it stays runnable against an older schema: a later change of ``functions.sql`` is a new
migration running `functions_sql` again, a later change of the chart one running `sync_chart` again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS

__all__ = ["DROP_SQL", "functions_sql", "schema_sql", "sync_chart"]

SQL_DIR = Path(__file__).parent / "sql"

DROP_SQL = """
DROP FUNCTION IF EXISTS ledger_post(jsonb), ledger_replay(text, bytea),
    ledger_open(text, text, text, text, integer);
DROP FUNCTION IF EXISTS ledger_refuse_resolutions, ledger_refuse_refunds;
DROP FUNCTION IF EXISTS ledger_refuse(), ledger_account_guard(), ledger_flow_guard(), ledger_resolution_guard() CASCADE;
DROP TABLE IF EXISTS ledger_flow, ledger_journal_kind, ledger_account_kind CASCADE;
"""
"""Takes `schema_sql` and `functions_sql` back."""


def schema_sql() -> str:
    """Return the SQL for reference tables, composite foreign keys, storage parameters and guards."""
    return (SQL_DIR / "schema.sql").read_text(encoding="utf-8")


def functions_sql() -> str:
    """Return the SQL that creates or replaces ``ledger_open``, ``ledger_replay``, ``ledger_post``, ``ledger_refusal``."""
    return (SQL_DIR / "functions.sql").read_text(encoding="utf-8")


def sync_chart(_apps: Any, schema_editor: Any) -> None:
    """Make the database's kinds and flows equal to `chart`. Idempotent; a ``RunPython`` operation."""
    with schema_editor.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_account_kind (kind, bound) VALUES (%s, %s)"
            " ON CONFLICT (kind) DO UPDATE SET bound = excluded.bound",
            [(kind.value, rule.bound.value) for kind, rule in ACCOUNT_KINDS.items()],
        )
        cursor.executemany(
            "INSERT INTO ledger_journal_kind (kind, transfers, holds, resolves, reversible) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (kind) DO UPDATE SET (transfers, holds, resolves, reversible)"
            " = (excluded.transfers, excluded.holds, excluded.resolves, excluded.reversible)",
            [
                (kind.value, rule.transfers, rule.holds, rule.resolves, rule.reversible)
                for kind, rule in JOURNAL_KINDS.items()
            ],
        )
        cursor.execute("DELETE FROM ledger_flow")
        cursor.executemany(
            "INSERT INTO ledger_flow (journal_kind, debit_kind, credit_kind) VALUES (%s, %s, %s)",
            sorted((journal.value, debit.value, credit.value) for journal, debit, credit in FLOWS),
        )
