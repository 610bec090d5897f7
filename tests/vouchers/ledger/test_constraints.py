"""What the database refuses by itself, whoever asks: each forbidden statement, run as the owner, and its SQLSTATE."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from tests.vouchers.ledger.world import Programme, open_account, post, posting
from vouchers.ledger import services
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.models import Balance, Journal
from vouchers.ledger.rules import HoldOp, Outcome, ResolveOp, TransferOp

CHECK, UNIQUE, FOREIGN, RESTRICT = "23514", "23505", "23503", "23001"

JOURNAL = (
    "INSERT INTO ledger_journal (kind, key, fingerprint, actor, approved_by, reason, source_type, source_id,"
    " effective_at, recorded_at, reverses_id) VALUES ({kind}, {key}, '\\x00', {actor}, {approved}, '', 't', '1', now(),"
    " now(), {reverses})"
)
TRANSFER = (
    "INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, hold_id)"
    " VALUES ({journal}, {line}, {unit}, {debit}, {credit}, {amount}, NULL)"
)
HOLD = (
    "INSERT INTO ledger_hold (journal_id, line_no, unit, debit_account_id, credit_account_id, amount)"
    " VALUES ({hold_journal}, {line}, {unit}, {debit}, {credit}, {amount})"
)
RESOLUTION = (
    "INSERT INTO ledger_hold_resolution (hold_id, journal_id, outcome, captured_amount)"
    " VALUES ({hold}, {journal}, {outcome}, {captured})"
)
ACCOUNT = (
    "INSERT INTO ledger_account (kind, unit, owner, programme, fiscal_year, opened_at)"
    " VALUES ({kind}, 'CNY', {owner}, {programme}, {year}, now())"
)

CASES = [
    ("two journals of one key", JOURNAL, {"key": "'used'"}, UNIQUE),
    ("a journal of an unknown kind", JOURNAL, {"kind": "'gift'"}, FOREIGN),
    ("two-person journal, nobody approved", JOURNAL, {"kind": "'issue'", "approved": "''"}, CHECK),
    ("two-person journal, one person twice", JOURNAL, {"kind": "'issue'", "approved": "'first'"}, CHECK),
    ("a reversal of nothing", JOURNAL, {"kind": "'reverse'"}, CHECK),
    ("a reversal that is none", JOURNAL, {"reverses": "{journal}"}, CHECK),
    ("a transfer of nothing", TRANSFER, {"amount": "0"}, CHECK),
    ("a negative transfer", TRANSFER, {"amount": "-1"}, CHECK),
    ("a transfer above the bound", TRANSFER, {"amount": "1000000000000001"}, CHECK),
    ("a transfer to itself", TRANSFER, {"credit": "{debit}"}, CHECK),
    ("a transfer in another unit", TRANSFER, {"unit": "'MCH'"}, FOREIGN),
    ("a transfer along a flow not listed", TRANSFER, {"credit": "{payable}"}, CHECK),
    ("a transfer into another programme", TRANSFER, {"credit": "{elsewhere}"}, CHECK),
    ("a transfer into a closed account", TRANSFER, {"credit": "{closed}"}, CHECK),
    ("two transfers of one line", TRANSFER, {"line": "1"}, UNIQUE),
    ("a hold of nothing", HOLD, {"amount": "0"}, CHECK),
    ("a hold on itself", HOLD, {"credit": "{debit}"}, CHECK),
    ("a hold in another unit", HOLD, {"unit": "'MCH'"}, FOREIGN),
    ("a hold along a flow not listed", HOLD, {"debit": "{budget}", "credit": "{payable}"}, CHECK),
    ("a second end of a hold", RESOLUTION, {"hold": "{ended}"}, UNIQUE),
    ("a capture of nothing", RESOLUTION, {"captured": "0"}, CHECK),
    ("a capture above the hold", RESOLUTION, {"captured": "101"}, CHECK),
    ("a release with an amount", RESOLUTION, {"outcome": "'released'", "captured": "5"}, CHECK),
    ("an unknown end", RESOLUTION, {"outcome": "'lost'", "captured": "0"}, CHECK),
    ("a capture after the deadline", RESOLUTION, {"hold": "{overdue}"}, CHECK),
    ("an expiry without a deadline", RESOLUTION, {"outcome": "'expired'", "captured": "0"}, CHECK),
    ("an account of an unknown kind", ACCOUNT, {"kind": "'purse'"}, CHECK),
    ("programme money without a programme", ACCOUNT, {"programme": "''", "year": "NULL"}, CHECK),
    ("a programme without a year", ACCOUNT, {"year": "NULL"}, CHECK),
    ("own money with a programme", ACCOUNT, {"kind": "'cash_due'"}, CHECK),
    ("an account of nobody", ACCOUNT, {"owner": "''"}, CHECK),
    ("the same account twice", ACCOUNT, {"kind": "'budget'", "owner": "'P'"}, UNIQUE),
    ("the same own-money account twice", ACCOUNT,
     {"kind": "'cash_due'", "owner": "'P/order:1'", "programme": "''", "year": "NULL"}, UNIQUE),
    ("an overdraft of a credit-bound account", ("UPDATE ledger_balance SET posted_dr = posted_cr + 1"
     " WHERE account_id = {budget}"), {}, CHECK),
    ("a hold beyond what is there", ("UPDATE ledger_balance SET held_dr = posted_cr - posted_dr + 1"
     " WHERE account_id = {budget}"), {}, CHECK),
    ("an overdraft of a debit-bound account", ("UPDATE ledger_balance SET posted_cr = posted_dr + 1"
     " WHERE account_id = {receivable}"), {}, CHECK),
    ("a negative sum", "UPDATE ledger_balance SET held_cr = -1 WHERE account_id = {budget}", {}, CHECK),
    ("an account that changes its owner", "UPDATE ledger_account SET owner = 'x' WHERE id = {budget}", {}, RESTRICT),
    ("closing an account with money", "UPDATE ledger_account SET closed_at = now() WHERE id = {budget}", {}, RESTRICT),
    ("reopening an account", "UPDATE ledger_account SET closed_at = NULL WHERE id = {closed}", {}, RESTRICT),
    ("deleting an account", "DELETE FROM ledger_account WHERE id = {closed}", {}, RESTRICT),
    ("deleting a balance", "DELETE FROM ledger_balance WHERE account_id = {closed}", {}, RESTRICT),
    *[
        (statement.format(table=table), statement.format(table=table), {}, RESTRICT)
        for table in ("ledger_journal", "ledger_transfer", "ledger_hold", "ledger_hold_resolution")
        for statement in ("UPDATE {table} SET journal_id = journal_id", "DELETE FROM {table}", "TRUNCATE {table} CASCADE")
        if (table, statement[:6]) != ("ledger_journal", "UPDATE")
    ],
    *[
        (statement, statement, {}, RESTRICT)
        for statement in ("UPDATE ledger_refusal SET key = 'x'", "DELETE FROM ledger_refusal", "TRUNCATE ledger_refusal")
    ],
    ("UPDATE ledger_journal", "UPDATE ledger_journal SET reason = 'better'", {}, RESTRICT),
    ("TRUNCATE ledger_account", "TRUNCATE ledger_account CASCADE", {}, RESTRICT),
    ("TRUNCATE ledger_balance", "TRUNCATE ledger_balance", {}, RESTRICT),
]  # fmt: skip


@pytest.fixture
def names(db: None) -> dict[str, object]:
    """Return ids of records to abuse, and values of a row that would be right."""
    programme, other = Programme(), Programme(code="Q")
    voucher = programme.issue(1_000)
    post(JournalKind.EXPIRE, TransferOp(voucher, programme.expired, 1), key="used")
    hold, overdue = programme.hold(voucher, 100), programme.hold(voucher, 100, ttl_s=1)
    ended = programme.hold(voucher, 10)
    programme.capture(ended, 10)
    closed = open_account(AccountKind.CLAWED_BACK, "empty")
    services.close_account(account_id=closed, now=Journal.objects.latest("pk").recorded_at)
    late = Journal.objects.create(
        kind="capture", key="late", fingerprint=b"0", actor="first", source_type="t", source_id="1",
        effective_at="2099-01-01T00:00Z", recorded_at="2099-01-01T00:00Z",
    )  # fmt: skip
    return {
        "kind": "'voucher'", "owner": "'someone'", "programme": "'P'", "year": "2026",
        "key": "'new'", "actor": "'first'", "approved": "'second'", "reverses": "NULL",
        "journal": late.pk, "line": "1", "unit": "'CNY'", "debit": voucher, "credit": programme.payable, "amount": "5",
        "hold": hold, "outcome": "'captured'", "captured": "5", "overdue": overdue, "ended": ended, "closed": closed,
        "budget": programme.budget, "payable": programme.payable, "receivable": programme.receivable,
        "elsewhere": other.payable, "hold_journal": Journal.objects.filter(kind="hold").latest("pk").pk,
    }  # fmt: skip


@pytest.mark.parametrize(("what", "sql", "changes", "state"), CASES, ids=[case[0] for case in CASES])
def test_the_database_refuses(names: dict[str, object], what: str, sql: str, changes: dict, state: str) -> None:
    values = dict(names)
    if sql == JOURNAL:
        values["kind"] = "'expire'"
    if sql == TRANSFER:
        values |= {"credit": names["payable"], "line": "7"}
        if changes.get("credit") == "{payable}":
            values |= {"debit": names["budget"]}
        if changes.get("line") == "1":
            values["journal"] = Journal.objects.filter(kind="expire").latest("pk").pk
            values["credit"] = Balance.objects.get(account__kind="expired", account__programme="P").pk
    if sql == HOLD:
        values["line"] = "7"
    values |= {name: str(change).format(**names) for name, change in changes.items()}
    with pytest.raises(Exception) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql.format(**values))
    assert getattr(caught.value.__cause__, "sqlstate", None) == state, caught.value


@pytest.mark.parametrize("sql", [TRANSFER, HOLD, RESOLUTION, JOURNAL, ACCOUNT])
def test_the_row_that_each_case_spoils_would_be_right(names: dict[str, object], sql: str) -> None:
    kind = {JOURNAL: "'expire'", ACCOUNT: "'voucher'"}.get(sql, "")
    with connection.cursor() as cursor:
        cursor.execute(sql.format(**(names | {"line": "7"} | ({"kind": kind} if kind else {}))))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_pgtrigger_still_protects_when_the_statement_guard_is_gone(names: dict[str, object]) -> None:
    for table in ("ledger_journal", "ledger_transfer", "ledger_hold", "ledger_hold_resolution"):
        with pytest.raises(Exception) as caught, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER ledger_append_only ON {table}")
            cursor.execute(f"DELETE FROM {table}")
        assert caught.value.__cause__.sqlstate == "P0001"


def test_ignoring_pgtrigger_opens_nothing(names: dict[str, object]) -> None:
    import pgtrigger

    with pgtrigger.ignore(), pytest.raises(IntegrityError), transaction.atomic():
        Journal.objects.update(reason="better")


def test_a_refusal_leaves_the_transaction_and_the_ledger_as_they_were(names: dict[str, object]) -> None:
    before = (list(Balance.objects.order_by("pk").values()), Journal.objects.count())
    for operation in (HoldOp(names["debit"], names["payable"], 10**6), HoldOp(names["budget"], names["payable"], 1)):
        with pytest.raises(Exception, match=r"ledger\."):
            services.post(posting=posting(JournalKind.HOLD, operation))
    with pytest.raises(Exception, match=r"ledger\.resolved"):
        services.post(posting=posting(JournalKind.CAPTURE, ResolveOp(names["ended"], Outcome.CAPTURED, 1)))
    assert (list(Balance.objects.order_by("pk").values()), Journal.objects.count()) == before
