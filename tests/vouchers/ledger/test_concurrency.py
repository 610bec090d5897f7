"""Many connections at once, committed: exact grants, one effect per key, and no deadlock."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from django.db import connection, transaction

from portal.kernel.errors import PortalError
from tests.vouchers.ledger.world import Programme, open_account, posting
from vouchers.ledger import queries, services
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.models import Account, Journal
from vouchers.ledger.rules import AccountKey, HoldOp, Outcome, ResolveOp, TransferOp

WORKERS = 16
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def at_once(work: Callable[[int], object], jobs: int) -> list[object]:
    """Run `work(0 … jobs-1)` on 16 threads that start together; a refusal counts as its code.

    Anything else raises, a deadlock among it: PostgreSQL ends one of the two with an error.
    """
    gate = threading.Barrier(WORKERS)
    numbers = iter(count())
    lock = threading.Lock()
    results: list[object] = []

    def worker() -> None:
        try:
            gate.wait()
            while True:
                with lock:
                    number = next(numbers)
                if number >= jobs:
                    return
                try:
                    result = work(number)
                except PortalError as error:
                    result = error.code
                with lock:
                    results.append(result)
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(worker) for _ in range(WORKERS)]:
            future.result()
    return results


def whole() -> None:
    assert queries.verify() == []
    assert queries.unaccounted_fen() == 0


def test_an_account_grants_exactly_what_it_holds() -> None:
    programme = Programme(budget_fen=1_000_000)
    voucher = programme.issue(1_000_000)

    def redeem(number: int) -> str:
        asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 10_000), key=f"redeem:{number}")
        hold = services.post(posting=asked).hold_ids[0]
        captured = posting(JournalKind.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, 10_000), key=f"capture:{number}")
        services.post(posting=captured)
        return "paid"

    assert Counter(at_once(redeem, 200)) == {"paid": 100, "ledger.insufficient": 100}
    balance = queries.balances(account_ids=[voucher, programme.payable])
    assert balance[voucher].available_fen == 0
    assert balance[programme.payable].posted_fen == 1_000_000
    whole()


def test_one_key_sent_fifty_times_is_one_journal() -> None:
    programme = Programme()
    voucher = programme.issue(1_000)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 1_000), key="the one")
    answers = at_once(lambda _n: services.post(posting=asked), 50)
    assert len({(answer.journal_id, answer.hold_ids) for answer in answers}) == 1
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 49}
    assert Journal.objects.filter(key="the one").count() == 1
    whole()


def test_one_key_with_fifty_contents_has_one_winner() -> None:
    programme = Programme()
    vouchers = [programme.issue(1_000) for _ in range(50)]

    def hold(number: int) -> str:
        asked = posting(JournalKind.HOLD, HoldOp(vouchers[number], programme.payable, 10), key="contested")
        return services.post(posting=asked) and "held"

    assert Counter(at_once(hold, 50)) == {"held": 1, "idempotency.mismatch": 49}
    whole()


def test_one_hold_ends_once() -> None:
    programme = Programme()
    hold = programme.hold(programme.issue(1_000), 1_000)
    ways = [ResolveOp(hold, Outcome.CAPTURED, 700), ResolveOp(hold, Outcome.RELEASED)]
    kinds = [JournalKind.CAPTURE, JournalKind.RELEASE]

    def end(number: int) -> str:
        services.post(posting=posting(kinds[number % 2], ways[number % 2], key=f"end:{number}"))
        return "ended"

    assert Counter(at_once(end, 40)) == {"ended": 1, "ledger.resolved": 39}
    whole()


def test_two_refunds_of_one_hold_take_turns_though_they_share_no_account() -> None:
    programme = Programme()
    voucher = programme.issue(30_000)
    ways = ((programme.payable, voucher), (programme.receivable, programme.expired))
    holds = [programme.hold(voucher, 1_000) for _ in range(30)]
    for hold in holds:
        programme.capture(hold, 1_000)

    def refund(number: int) -> str:
        op = TransferOp(*ways[number % 2], 1_000, refunds_hold=holds[number // 2])
        services.post(posting=posting(JournalKind.REFUND, op, key=f"refund:{number}"))
        return "refunded"

    assert Counter(at_once(refund, 60)) == {"refunded": 30, "ledger.exceeds_capture": 30}
    whole()


def test_the_same_account_opened_by_all_is_one() -> None:
    opened = at_once(lambda number: open_account(AccountKind.VOUCHER, f"shared:{number // WORKERS}"), 20 * WORKERS)
    assert len(set(opened)) == 20
    assert Account.objects.filter(owner__startswith="shared:").count() == 20


def test_crossing_transfers_of_many_accounts_never_deadlock() -> None:
    """Every journal touches several accounts in a random order; the ledger locks them in its own."""
    programme = Programme(budget_fen=1_000_000)
    vouchers = [programme.issue(10_000) for _ in range(6)]

    def mix(number: int) -> str:
        dice = random.Random(number)
        chosen = dice.sample(vouchers, 4)
        if number % 2:
            operations = [HoldOp(voucher, programme.payable, dice.randint(1, 50)) for voucher in chosen]
            held = services.post(posting=posting(JournalKind.HOLD, *operations, key=f"mix:{number}"))
            dice.shuffle(order := list(held.hold_ids))
            ends = [ResolveOp(hold, Outcome.RELEASED) for hold in order]
            services.post(posting=posting(JournalKind.RELEASE, *ends, key=f"mix:{number}/end"))
        else:
            operations = [TransferOp(voucher, programme.expired, 1) for voucher in chosen]
            services.post(posting=posting(JournalKind.EXPIRE, *operations, key=f"mix:{number}"))
        return "done"

    assert Counter(at_once(mix, 300)) == {"done": 300}
    whole()


def test_two_sweepers_end_each_hold_once() -> None:
    programme = Programme()
    voucher = programme.issue(10_000)
    holds = [programme.hold(voucher, 10, ttl_s=1) for _ in range(60)]
    later = Journal.objects.latest("pk").recorded_at.replace(year=2099)
    ended = [hold for swept in at_once(lambda _n: services.release_overdue(now=later), WORKERS) for hold in swept]
    assert sorted(ended) == sorted(holds)
    whole()


def test_closing_and_posting_do_not_slip_past_each_other() -> None:
    programme = Programme()
    accounts = [open_account(AccountKind.VOUCHER, f"closing:{n}") for n in range(40)]
    at = Journal.objects.latest("pk").recorded_at

    def race(number: int) -> str:
        account = accounts[number // 2]
        if number % 2:
            services.close_account(account_id=account, now=at)
            return "closed"
        services.post(
            posting=posting(JournalKind.ISSUE, TransferOp(programme.budget, account, 1), key=f"late:{number}")
        )
        return "issued"

    outcome = Counter(at_once(race, 80))
    assert outcome["issued"] + outcome["closed"] == 40
    assert outcome["ledger.closed"] == outcome["closed"]
    assert outcome["ledger.not_empty"] == outcome["issued"]
    whole()


def test_an_outer_rollback_takes_the_posting_with_it() -> None:
    programme = Programme()
    key = AccountKey(AccountKind.VOUCHER, "never", "P", 2026)
    with transaction.atomic():
        services.post(posting=posting(JournalKind.ISSUE, TransferOp(programme.budget, key, 5), key="undone"))
        transaction.set_rollback(True)
    assert not Journal.objects.filter(key="undone").exists()
    assert not Account.objects.filter(owner="never").exists()
    assert not services.post(
        posting=posting(JournalKind.ISSUE, TransferOp(programme.budget, key, 5), key="undone")
    ).replayed
    whole()
