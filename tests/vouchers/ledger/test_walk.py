"""The ledger against the model, on seeded walks; and proof that the walk finds mistakes."""

from __future__ import annotations

import os
import random

import pytest
from django.db import DatabaseError, connection, transaction

from tests.vouchers.ledger import reference
from tests.vouchers.ledger.walk import Diverged, Walk
from vouchers.ledger.install import functions_sql

SEED = int(os.environ.get("LEDGER_SEED") or random.SystemRandom().randrange(1, 10**6))
"""Another walk on every run; ``LEDGER_SEED=n`` repeats one."""

MUTANTS = {
    "a capture keeps the rest of the hold": (
        "t_amount || t_amount || h_amount || h_amount || r_amount || r_amount\n",
        "t_amount || t_amount || h_amount || h_amount || r_captured || r_captured\n",
    ),
    "a hold may end twice": ("WHEN e.hold_id IS NOT NULL OR r.again THEN 'resolved'", "WHEN r.again THEN 'resolved'"),
    "a capture may exceed its hold": ("AND r.captured > r.amount THEN", "AND r.captured > r.amount + 1 THEN"),
    "a capture at the deadline is accepted": ("AND decided_at >= r.deadline THEN", "AND decided_at > r.deadline THEN"),
    "a hold may expire early": ("AND decided_at < coalesce(r.deadline, 'infinity')", "AND false"),
    "idempotency ignores the content": ("IF stored.fingerprint <> wanted_print THEN", "IF false THEN"),
    "a replay forgets the holds": ("WHERE journal_id = stored.id), '[]')", "WHERE false), '[]')"),
    "a refund may exceed the capture": ("WHERE bad.astray OR bad.needed > bad.available", "WHERE bad.astray"),
    "a refund may go to another voucher": (
        "OR (t.credit <> h.debit_account_id AND c.kind <> 'expired')",
        "OR (false AND t.credit <> h.debit_account_id)",
    ),
    "a refund ignores earlier refunds": (
        "t.hold_id = asked.hold AND j.kind = 'refund'",
        "t.hold_id = asked.hold AND false",
    ),
    "holds do not count as spent": (
        "posted_cr - posted_dr - held_dr AS credit_left",
        "posted_cr - posted_dr AS credit_left",
    ),
    "one fen of overdraft is allowed": ("FILTER (WHERE needed > available)", "FILTER (WHERE needed > available + 1)"),
    "a debit-bound account may be overdrawn": ("WHEN 'debit' THEN cr + held_cr - dr END", "WHEN 'debit' THEN 0 END"),
    "a refused key may succeed later": ("NOT IN ('bad_request', 'flow_not_allowed', 'mismatch') THEN", "IS NULL THEN"),
    "a refusal ignores the content": (
        "SELECT NULL::bigint AS id, fingerprint, answer",
        "SELECT NULL::bigint AS id, wanted_print AS fingerprint, answer",
    ),
    "any flow is allowed": ("WHEN f.journal_kind IS NULL OR d.programme", "WHEN d.programme"),
    "value may leave its programme": ("OR d.programme <> c.programme\n", "OR false\n"),
    "units may be mixed": ("c.id IS NULL OR d.unit <> c.unit THEN", "c.id IS NULL THEN"),
    "a claimant's refund may be charged to a provider": (
        "WHEN 'claimant_payable' THEN 'receivable_enterprise' ELSE",
        "WHEN 'claimant_payable' THEN 'receivable_provider' ELSE",
    ),
    "recycled value need not be there": (
        "THEN dr + held_dr - cr WHEN",
        "THEN CASE wanted_kind WHEN 'recycle' THEN 0 ELSE dr + held_dr - cr END WHEN",
    ),
    "a closed account may be used": ("WHEN d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL THEN", "WHEN false THEN"),
    "a journal may be reversed twice": (
        "SELECT FROM ledger_journal WHERE reverses_id = reversed_id",
        "SELECT WHERE false",
    ),
    "a reversal repeats instead of mirroring": (
        "array_agg(credit_account_id ORDER BY line_no), array_agg(debit_account_id ORDER BY line_no)",
        "array_agg(debit_account_id ORDER BY line_no), array_agg(credit_account_id ORDER BY line_no)",
    ),
    "the deadline is off by a second": ("make_interval(secs => h.ttl)", "make_interval(secs => h.ttl + 1)"),
    "an ended hold stays in the queue": ("DELETE FROM ledger_hold_open WHERE hold_id = ANY (r_hold)", "PERFORM 1"),
    "the credit side is held on the wrong side": (
        "|| array_fill('hold dr'::text, ARRAY[h_n]) || array_fill('hold cr'::text, ARRAY[h_n])",
        "|| array_fill('hold dr'::text, ARRAY[h_n]) || array_fill('hold dr'::text, ARRAY[h_n])",
    ),
}


SHORT_CUT = "IF shape IS NOT NULL THEN"
ONE_MUTANTS = {
    "a capture keeps the rest of the hold": ("held := -ended.amount;", "held := -amount;"),
    "a hold may end twice": ("IF EXISTS (SELECT FROM ledger_hold_resolution WHERE hold_id = ended.id)", "IF false"),
    "a capture may exceed its hold": ("ELSIF moved > ended.amount THEN", "ELSIF moved > ended.amount + 1 THEN"),
    "a capture at the deadline is accepted": ("decided_at >= ended.expires_at", "decided_at > ended.expires_at"),
    "a hold may expire early": ("ending = 'expired' AND decided_at < coalesce", "false AND decided_at < coalesce"),
    "holds do not count as spent": ("THEN posted_cr - posted_dr - held_dr", "THEN posted_cr - posted_dr"),
    "one fen of overdraft is allowed": ("IF moved + held > side.available", "IF moved + held > side.available + 1"),
    "a debit-bound account may be overdrawn": ("bound = 'debit' THEN", "false THEN"),
    "any flow is allowed": ("WHEN f.journal_kind IS NULL OR d.programme", "WHEN d.programme"),
    "value may leave its programme": ("OR d.programme <> c.programme\n", "OR false\n"),
    "units may be mixed": ("c.id IS NULL OR d.unit <> c.unit THEN", "c.id IS NULL THEN"),
    "a closed account may be used": ("WHEN d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL", "WHEN false"),
    "a released hold is posted": ("moved := CASE ending WHEN 'captured' THEN amount ELSE 0 END", "moved := amount"),
    "an ended hold stays in the queue": ("DELETE FROM ledger_hold_open WHERE hold_id = ended.id", "PERFORM 1"),
    "the deadline is off by a second": (
        "held,\n                decided_at + make_interval(secs => (op->>'ttl_s')::bigint)",
        "held,\n                decided_at + make_interval(secs => (op->>'ttl_s')::bigint + 1)",
    ),
    "the credit side is not held": ("CASE account_id WHEN credit_id THEN held", "CASE account_id WHEN NULL THEN held"),
    "what is moved is credited twice": (
        "posted_cr = posted_cr + CASE account_id WHEN credit_id THEN moved",
        "posted_cr = posted_cr + CASE account_id WHEN credit_id THEN 2 * moved",
    ),
}


@pytest.fixture
def walks(db: None) -> None:
    print(f"LEDGER_SEED={SEED}")


@pytest.mark.parametrize("number", range(3))
def test_the_ledger_agrees_with_the_model(walks: None, number: int) -> None:
    Walk(SEED + number).run(500)


def test_the_ledger_agrees_without_its_short_cut_too(walks: None) -> None:
    before, one, after = parts()
    with connection.cursor() as cursor:
        cursor.execute(before + one + after.replace(SHORT_CUT, "IF false THEN"))
    Walk(SEED).run(300)


def test_the_orm_reference_agrees_with_the_model(walks: None) -> None:
    Walk(SEED, post=reference.post).run(200)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_walk_finds_a_planted_mistake(walks: None, mutant: str) -> None:
    before, one, after = parts()
    right, wrong = MUTANTS[mutant]
    assert (before + after).count(right) == 1
    is_found(
        before.replace(right, wrong) + one + after.replace(right, wrong).replace(SHORT_CUT, "IF false THEN"), mutant
    )


@pytest.mark.parametrize("mutant", ONE_MUTANTS)
def test_the_walk_finds_a_planted_mistake_in_the_short_cut(walks: None, mutant: str) -> None:
    before, one, after = parts()
    right, wrong = ONE_MUTANTS[mutant]
    assert one.count(right) == 1
    is_found(before + one.replace(right, wrong) + after, mutant)


def parts() -> tuple[str, str, str]:
    """Return the functions' text before, of, and after the short cut for journals of one operation."""
    sql = functions_sql()
    start, end = sql.index("CREATE OR REPLACE FUNCTION ledger_post_one"), sql.index("-- What came of a posting")
    assert sql[end:].count(SHORT_CUT) == 1
    return sql[:start], sql[start:end], sql[end:]


def is_found(sql: str, mutant: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    for seed in range(1, 40):
        try:
            with transaction.atomic():
                Walk(seed).run(150)
                transaction.set_rollback(True)
        except (Diverged, DatabaseError):
            return
    pytest.fail(f"40 walks did not notice: {mutant}")
