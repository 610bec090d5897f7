"""How the ledger waits: accounts that many share are locked last, never long, and a lost race is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.errors import LockNotAvailable

from tests.vouchers.ledger.world import Programme, posting
from vouchers.ledger import rules, services
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.install import functions_sql
from vouchers.ledger.models import Balance, Journal
from vouchers.ledger.rules import HoldOp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]
NOWAIT = "SELECT 1 FROM ledger_balance WHERE account_id = %s FOR NO KEY UPDATE NOWAIT"


class Rival:
    """Another connection that holds the lock of one account until told to let go."""

    def __init__(self, account: int) -> None:
        self.account, self.ready, self.leave = account, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        with transaction.atomic():
            Balance.objects.select_for_update(no_key=True).order_by("pk").get(pk=self.account)
            self.ready.set()
            self.leave.wait(20)
        connection.close()

    def __enter__(self) -> Self:
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_error: object) -> None:
        self.leave.set()
        self.thread.join()


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT ledger_post%%'"
            " AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


def hot_account_is_free_while_another_is_waited_for() -> bool:
    """The payable was opened long before the voucher: by number alone it would be locked first."""
    programme = Programme()
    voucher = programme.issue(100)
    assert programme.payable < voucher
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 10))
    with Rival(voucher):
        thread, results = in_background(lambda: services.post(posting=asked))
        deadline = time.monotonic() + 5
        while not waiting() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(NOWAIT, [programme.payable])
            free = True
        except OperationalError:
            free = False
    thread.join()
    assert isinstance(results[0], services.PostingResult)
    return free


def test_shared_accounts_are_locked_last() -> None:
    assert hot_account_is_free_while_another_is_waited_for()


def test_a_ledger_that_locks_by_number_alone_is_noticed() -> None:
    right = "ORDER BY hot, account_id FOR NO KEY UPDATE"
    assert functions_sql().count(right) == 2
    try:
        with connection.cursor() as cursor:
            cursor.execute(functions_sql().replace(right, "ORDER BY account_id FOR NO KEY UPDATE"))
        assert not hot_account_is_free_while_another_is_waited_for()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(functions_sql())


def test_a_posting_waits_two_seconds_at_most_and_inside_a_transaction_once() -> None:
    programme = Programme()
    voucher = programme.issue(100)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 10), key="patient")
    with connection.cursor() as cursor:
        cursor.execute("SELECT proconfig FROM pg_proc WHERE proname = 'ledger_post'")
        assert "lock_timeout=2s" in cursor.fetchone()[0]
    asking = CaptureQueriesContext(connection)
    with Rival(voucher), asking, pytest.raises(OperationalError) as late, transaction.atomic():
        services.post(posting=asked)
    assert isinstance(late.value.__cause__, LockNotAvailable)
    assert sum(query["sql"].startswith("SELECT ledger_post") for query in asking) == 1
    assert not Journal.objects.filter(key="patient").exists()


def test_a_lost_race_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    programme = Programme()
    voucher = programme.issue(100)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 10), key="again")
    rival = Rival(voucher)
    rival.__enter__()
    monkeypatch.setattr(services, "JITTER_S", (0.0, 0.0))
    threading.Timer(2.5, rival.leave.set).start()
    assert not services.post(posting=asked).replayed
    rival.__exit__()
    assert Journal.objects.filter(key="again").count() == 1


def test_after_three_more_attempts_the_ledger_says_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    programme = Programme()
    attempts = []

    def ask(_request: str) -> dict[str, object]:
        attempts.append(1)
        error = OperationalError("deadlock detected")
        error.__cause__ = type("Cause", (Exception,), {"sqlstate": "40P01"})()
        raise error

    monkeypatch.setattr(services, "_ask", ask)
    monkeypatch.setattr(services, "JITTER_S", (0.0, 0.0))
    with pytest.raises(rules.LedgerBusy):
        services.post(posting=posting(JournalKind.HOLD, HoldOp(programme.budget, programme.payable, 10)))
    assert len(attempts) == 4


def test_another_database_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    programme = Programme()
    attempts = []

    def ask(_request: str) -> dict[str, object]:
        attempts.append(1)
        raise OperationalError

    monkeypatch.setattr(services, "_ask", ask)
    with pytest.raises(OperationalError):
        services.post(posting=posting(JournalKind.HOLD, HoldOp(programme.budget, programme.payable, 10)))
    assert len(attempts) == 1
