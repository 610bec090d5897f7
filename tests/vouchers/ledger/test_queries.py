"""Statements, the trial balance, and the check that finds what nobody should be able to do."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.vouchers.ledger.world import Programme, post
from vouchers.ledger import queries, verification
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.rules import Outcome, ResolveOp, TransferOp

pytestmark = pytest.mark.django_db


@pytest.fixture
def programme() -> Programme:
    """A programme in which everything has happened once."""
    made = Programme(budget_fen=10_000)
    voucher = made.issue(5_000)
    hold = made.hold(voucher, 1_000)
    made.capture(hold, 800)
    post(JournalKind.REFUND, TransferOp(made.payable, voucher, 100, refunds_hold=hold))
    post(JournalKind.RELEASE, ResolveOp(made.hold(voucher, 50), Outcome.RELEASED))
    made.hold(voucher, 70, ttl_s=60)
    post(JournalKind.REVERSE, reverses=post(JournalKind.EXPIRE, TransferOp(voucher, made.expired, 9)).journal_id)
    return made


def test_balances_read_on_the_normal_side(programme: Programme) -> None:
    voucher = programme.vouchers[0]
    with CaptureQueriesContext(connection) as trips:
        found = queries.balances(account_ids=[voucher, programme.payable, programme.appropriation, 2**40])
    assert len(trips) == 1
    assert set(found) == {voucher, programme.payable, programme.appropriation}
    assert (found[voucher].posted_fen, found[voucher].held_fen, found[voucher].available_fen) == (4_300, 70, 4_230)
    assert (found[programme.payable].posted_fen, found[programme.payable].incoming_fen) == (700, 70)
    assert found[programme.appropriation].available_fen == 10_000


def test_a_statement_pages_backwards_with_the_balance_after_each_line(programme: Programme) -> None:
    voucher = programme.vouchers[0]
    whole = queries.statement(account_id=voucher)
    assert [(line.kind, line.amount_fen, line.balance_fen) for line in whole.lines] == [
        (JournalKind.REVERSE, 9, 4_300),
        (JournalKind.EXPIRE, -9, 4_291),
        (JournalKind.REFUND, 100, 4_300),
        (JournalKind.CAPTURE, -800, 4_200),
        (JournalKind.ISSUE, 5_000, 5_000),
    ]
    assert whole.lines[3].other_kind is AccountKind.PROVIDER_PAYABLE
    assert whole.lines[3].other_owner == "organisation:7"
    paged, before = [], None
    for _ in range(3):
        with CaptureQueriesContext(connection) as trips:
            page = queries.statement(account_id=voucher, before=before, limit=2)
        assert len(trips) == 2
        paged += page.lines
        before = page.next_before
    assert before is None
    assert tuple(paged) == whole.lines
    owed = queries.statement(account_id=programme.appropriation).lines
    assert [(line.amount_fen, line.balance_fen) for line in owed] == [(10_000, 10_000)]
    assert queries.statement(account_id=2**40) == queries.StatementPage((), None)


def test_the_trial_balance_sums_to_nothing(programme: Programme) -> None:
    Programme(budget_fen=77, code="Q")
    lines = queries.trial_balance()
    assert sum(line.debit_fen - line.credit_fen for line in lines) == 0
    assert sum(line.held_debit_fen - line.held_credit_fen for line in lines) == 0
    assert {line.programme for line in lines} == {"", "P", "Q"}
    own = {line.kind: line.balance_fen for line in queries.trial_balance(programme="P")}
    assert own[AccountKind.APPROPRIATION] == 10_000
    assert own[AccountKind.BUDGET] + own[AccountKind.VOUCHER] + own[AccountKind.PROVIDER_PAYABLE] == 10_000


TAMPERING = {
    "books_balance": "UPDATE ledger_balance SET posted_cr = posted_cr + 1 WHERE account_id = {voucher}",
    "balance_is_sum_of_transfers": "UPDATE ledger_transfer SET amount = amount + 1 WHERE credit_account_id = {voucher}",
    "held_is_sum_of_open_holds": "UPDATE ledger_balance SET held_dr = held_dr + 1 WHERE account_id = {voucher}",
    "no_overdraft": "UPDATE ledger_balance SET bound = 'none' WHERE account_id = {voucher}",
    "every_account_has_a_balance": "INSERT INTO ledger_account (kind, unit, owner, programme, fiscal_year, opened_at)"
    " VALUES ('voucher', 'CNY', 'lone', 'P', 2026, now())",
    "programme_is_complete": "UPDATE ledger_balance SET posted_dr = posted_dr + 1 WHERE account_id = {voucher}",
    "capture_within_hold": "UPDATE ledger_hold SET amount = 799 WHERE amount = 1000",
    "capture_is_transferred_once": "UPDATE ledger_hold_resolution SET captured_amount = 801 WHERE captured_amount > 0",
    "hold_transfer_has_its_reason": "UPDATE ledger_transfer t SET hold_id = (SELECT min(id) FROM ledger_hold)"
    " FROM ledger_journal j WHERE j.id = t.journal_id AND j.kind = 'issue'",
    "refunds_within_capture": "UPDATE ledger_transfer SET amount = 900 WHERE amount = 100",
    "open_holds_are_queued": "DELETE FROM ledger_hold_open",
    "units_and_flows_allowed": "UPDATE ledger_journal SET kind = 'issue' WHERE kind = 'expire'",
    "second_person_approved": "UPDATE ledger_journal SET approved_by = '' WHERE kind = 'issue'",
    "reversal_mirrors": "UPDATE ledger_transfer SET amount = 8 WHERE amount = 9 AND debit_account_id = {voucher}",
    "refused_key_never_succeeds": "INSERT INTO ledger_refusal (key, fingerprint, answer, refused_at)"
    " SELECT key, fingerprint, '{{}}', now() FROM ledger_journal WHERE kind = 'issue'",
    "closed_account_is_empty": "UPDATE ledger_account SET closed_at = now() WHERE id = {voucher}",
    "guards_are_on": "ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_flow_guard",
    "chart_is_current": "INSERT INTO ledger_flow VALUES ('issue', 'voucher', 'budget')",
}


def test_every_check_has_a_deed_that_breaks_it() -> None:
    assert set(TAMPERING) == set(verification.CHECKS)


@pytest.mark.parametrize("check", TAMPERING)
def test_tampering_is_found(programme: Programme, check: str) -> None:
    assert queries.verify() == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE ledger_balance DROP CONSTRAINT ledger_balance_no_overdraft")
        cursor.execute("ALTER TABLE ledger_journal DROP CONSTRAINT ledger_journal_two_persons")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(TAMPERING[check].format(voucher=programme.vouchers[0]))
        cursor.execute("SET session_replication_role = origin")
    assert check in {violation.check for violation in queries.verify()}


def test_an_audit_reads_each_table_once_whatever_the_statistics_say(programme: Programme) -> None:
    with connection.cursor() as cursor:
        with verification.whole_passes(cursor):
            cursor.execute("EXPLAIN " + verification.CHECKS["units_and_flows_allowed"])
            plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)
    assert "Join" in plan
    assert "Nested Loop" not in plan
