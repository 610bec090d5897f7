"""What the audit checks of settlement: batches, payment orders and statements agree with the ledger, to the fen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import connection

from vouchers.ledger.verification import Violation

__all__ = ["CHECKS", "violations"]

CHECKS: Final[Mapping[str, str]] = {
    "batch_is_in_clearing": """
        SELECT 'settlement:' || b.number,
               'total ' || b.total_fen || ' as ' || b.state || ', in clearing ' || coalesce(c.fen, 0)
        FROM settlement_batch b LEFT JOIN (
            SELECT a.owner, sum(l.posted_cr - l.posted_dr) AS fen
            FROM ledger_account a JOIN ledger_balance l ON l.account_id = a.id
            WHERE a.kind = 'settlement_clearing' GROUP BY a.owner
        ) AS c ON c.owner = 'batch:' || b.number
        WHERE coalesce(c.fen, 0) <> CASE WHEN b.state IN ('approved', 'exported', 'returned') THEN b.total_fen ELSE 0 END
    """,
    "batch_is_sum_of_lines": """
        SELECT 'settlement:' || b.number, 'total ' || b.total_fen || ', lines ' || coalesce(sum(l.amount_fen), 0)
        FROM settlement_batch b LEFT JOIN settlement_line l ON l.batch_id = b.id AND l.active
        WHERE b.state <> 'discarded'
        GROUP BY b.id HAVING b.total_fen <> coalesce(sum(l.amount_fen), 0)
    """,
    "order_is_sum_of_lines": """
        SELECT 'payment_order:' || o.number, 'total ' || o.total_fen || ', lines ' || coalesce(sum(l.amount_fen), 0)
        FROM payment_order o LEFT JOIN payment_order_line l ON l.order_id = o.id
        GROUP BY o.id HAVING o.total_fen <> coalesce(sum(l.amount_fen), 0)
    """,
    "statement_is_position": """
        WITH own AS (
            SELECT a.id, a.owner AS payee FROM ledger_account a
            WHERE a.unit = 'CNY' AND a.owner LIKE 'organisation:%%'
              AND a.kind IN ('provider_payable', 'cash_provider_payable', 'claimant_payable', 'receivable_provider')
            UNION ALL
            SELECT a.id, 'organisation:' || b.payee_id
            FROM ledger_account a JOIN settlement_batch b ON a.owner = 'batch:' || b.number
            WHERE a.kind = 'settlement_clearing' AND a.unit = 'CNY'
        ), moved AS (
            SELECT coalesce(c.payee, d.payee) AS payee, CASE WHEN c.id IS NULL THEN -t.amount ELSE t.amount END AS fen
            FROM ledger_transfer t
            LEFT JOIN own c ON c.id = t.credit_account_id LEFT JOIN own d ON d.id = t.debit_account_id
            WHERE (c.id IS NULL) <> (d.id IS NULL)
        ), said AS (SELECT payee, sum(fen) AS fen FROM moved GROUP BY payee
        ), held AS (
            SELECT own.payee, sum(b.posted_cr - b.posted_dr) AS fen
            FROM own JOIN ledger_balance b ON b.account_id = own.id GROUP BY own.payee
        )
        SELECT payee, 'statement ' || coalesce(said.fen, 0) || ', balances ' || coalesce(held.fen, 0)
        FROM said FULL JOIN held USING (payee) WHERE coalesce(said.fen, 0) <> coalesce(held.fen, 0)
    """,
}
"""Each returns what is broken and the figures that disagree. They read everything there is, and lock nothing."""


def violations() -> list[Violation]:
    """Return every promise of settlement that does not hold. Answers ``LEDGER_CHECKS``."""
    found = []
    with connection.cursor() as cursor:
        for name, sql in CHECKS.items():
            cursor.execute(sql.replace("%%", "%"))
            found += [Violation(name, subject, detail) for subject, detail in cursor.fetchall()]
    return found
