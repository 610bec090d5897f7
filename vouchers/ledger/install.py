"""What migrations run to bring the ledger's own SQL into a database.

Migrations use this module, so it stays runnable against an older schema: a later change of ``functions.sql`` is a new
migration running `functions_sql` again, a later change of the chart one running `sync_engine` again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS, UNITS

__all__ = [
    "DROP_SQL",
    "ENGINE_DROP_SQL",
    "engine_sql",
    "functions_sql",
    "schema_sql",
    "sync_chart",
    "sync_engine",
    "units_sql",
]

SQL_DIR = Path(__file__).parent / "sql"

DROP_SQL = """
DROP FUNCTION IF EXISTS ledger_post(jsonb), ledger_replay(text, bytea),
    ledger_open(text, text, text, text, integer);
DROP FUNCTION IF EXISTS ledger_post_one, ledger_remember, ledger_open_all, ledger_refuse_resolutions, ledger_refuse_refunds;
DROP FUNCTION IF EXISTS ledger_refuse(), ledger_account_guard(), ledger_flow_guard(), ledger_resolution_guard() CASCADE;
DROP TABLE IF EXISTS ledger_flow, ledger_journal_kind, ledger_account_kind CASCADE;
"""
"""Takes `schema_sql` and `functions_sql` back."""

ENGINE_DROP_SQL = """
DROP FUNCTION IF EXISTS ledger_digests, ledger_leaves, ledger_named, ledger_instant, ledger_field;
DROP FUNCTION IF EXISTS ledger_period_guard() CASCADE;
DROP TRIGGER IF EXISTS ledger_append_only ON ledger_seal;
DROP TRIGGER IF EXISTS ledger_append_only ON ledger_period;
ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_unit_known;
DROP TABLE ledger_unit;
ALTER TABLE ledger_account_kind DROP COLUMN hot;
"""
"""Takes `engine_sql` and `units_sql` back; the functions then need the older text."""


def schema_sql() -> str:
    """Return the SQL for reference tables, composite foreign keys, storage parameters and guards."""
    return (SQL_DIR / "schema.sql").read_text(encoding="utf-8")


def engine_sql() -> str:
    """Return the SQL for units, heat, and the guards of seals and closed periods."""
    return (SQL_DIR / "engine.sql").read_text(encoding="utf-8")


def units_sql() -> str:
    """Return the SQL to run once the units are seeded: accounts refer to them, balances know whether they are hot."""
    return (SQL_DIR / "engine_units.sql").read_text(encoding="utf-8")


def seals_sql() -> str:
    """Return the SQL that creates or replaces what the hash chain reads: ``ledger_leaves``, ``ledger_digests``."""
    return (SQL_DIR / "seals.sql").read_text(encoding="utf-8")


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


def sync_engine(apps: Any, schema_editor: Any) -> None:
    """Do what `sync_chart` does, and make units and heat equal to `chart`. Idempotent; a ``RunPython`` operation."""
    sync_chart(apps, schema_editor)
    with schema_editor.connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE ledger_account_kind SET hot = %s WHERE kind = %s",
            [(rule.hot, kind.value) for kind, rule in ACCOUNT_KINDS.items()],
        )
        cursor.executemany(
            "INSERT INTO ledger_unit (code, scale) VALUES (%s, %s)"
            " ON CONFLICT (code) DO UPDATE SET scale = excluded.scale",
            [(unit.value, rule.scale) for unit, rule in UNITS.items()],
        )
