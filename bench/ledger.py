"""Measure ledger postings through Django against the bare two-row transaction in raw SQL, in one run.

The raw one is what a careful programmer writes without a ledger: two guarded updates in one order, one inserted line,
commit. No idempotency, no allowed flows, no holds, no journal. Rounds alternate, so that a noisy machine hurts all
alike; the ratio is that of the median rounds.

    DATABASE_URL=postgresql://… python bench/ledger.py [rounds] [transactions per round]

It leaves one balanced programme named ``bench-…`` in the ledger: what was posted stays posted.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

ACCOUNTS = 500
BATCH = 500


class Raw:
    """Two tables, two updates and an insert: the yardstick."""

    def __init__(self) -> None:
        from django.db import connection

        self.connection = connection
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_line, bench_account")
            cursor.execute(
                "CREATE TABLE bench_account (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))"
            )
            cursor.execute(
                "CREATE TABLE bench_line (id bigserial PRIMARY KEY, debit bigint REFERENCES bench_account,"
                " credit bigint REFERENCES bench_account, amount bigint NOT NULL, at timestamptz DEFAULT now())"
            )
            cursor.execute(
                "INSERT INTO bench_account SELECT n, 1000000000 FROM generate_series(1, %s) AS n", [2 * ACCOUNTS]
            )

    def transfer(self, n: int) -> None:
        from django.db import transaction

        low, high = n % ACCOUNTS + 1, n % ACCOUNTS + 1 + ACCOUNTS
        with transaction.atomic(), self.connection.cursor() as cursor:
            cursor.execute("UPDATE bench_account SET balance = balance - 1 WHERE id = %s AND balance >= 1", [low])
            cursor.execute("UPDATE bench_account SET balance = balance + 1 WHERE id = %s", [high])
            cursor.execute("INSERT INTO bench_line (debit, credit, amount) VALUES (%s, %s, 1)", [low, high])

    def drop(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("DROP TABLE bench_line, bench_account")


class Ledger:
    """A programme with vouchers and payables of its own."""

    def __init__(self) -> None:
        from vouchers.ledger import rules, services
        from vouchers.ledger.chart import AccountKind, JournalKind

        self.rules, self.services, self.kinds = rules, services, JournalKind
        self.run = f"bench-{uuid.uuid4().hex[:8]}"

        def opened(kind: AccountKind, owner: object) -> int:
            return services.account(kind=kind, owner=f"{self.run}/{owner}", programme=self.run, fiscal_year=2026)

        pool = opened(AccountKind.BUDGET, "pool")
        self.vouchers = [opened(AccountKind.VOUCHER, n) for n in range(ACCOUNTS)]
        self.payables = [opened(AccountKind.PROVIDER_PAYABLE, n) for n in range(ACCOUNTS)]
        self.returned = [opened(AccountKind.EXPIRED, n) for n in range(ACCOUNTS)]
        treasury = opened(AccountKind.APPROPRIATION, "treasury")
        self.post(JournalKind.APPROPRIATE, rules.TransferOp(treasury, pool, ACCOUNTS * 10**9))
        self.post(JournalKind.ISSUE, *(rules.TransferOp(pool, voucher, 10**9) for voucher in self.vouchers))

    def post(self, kind, *operations):
        posting = self.rules.Posting(
            kind, uuid.uuid4().hex, operations, "bench", source_type="bench", source_id=self.run, approved_by="bench 2"
        )
        return self.services.post(posting=posting)

    def transfer(self, n: int) -> None:
        debit, credit = self.vouchers[n % ACCOUNTS], self.returned[n % ACCOUNTS]
        self.post(self.kinds.EXPIRE, self.rules.TransferOp(debit, credit, 1))

    def hold_and_capture(self, n: int) -> None:
        debit, credit = self.vouchers[n % ACCOUNTS], self.payables[n % ACCOUNTS]
        hold = self.post(self.kinds.HOLD, self.rules.HoldOp(debit, credit, 2, ttl_s=60)).hold_ids[0]
        self.post(self.kinds.CAPTURE, self.rules.ResolveOp(hold, self.rules.Outcome.CAPTURED, 1))

    def batch(self, _n: int) -> None:
        pairs = zip(self.vouchers, self.returned, strict=True)
        self.post(self.kinds.EXPIRE, *(self.rules.TransferOp(debit, credit, 1) for debit, credit in pairs))


def rate(action: Callable[[int], None], count: int, dice: random.Random) -> float:
    """Return how many calls of `action` a second does, over `count` of them."""
    numbers = [dice.randrange(ACCOUNTS) for _ in range(count)]
    started = time.perf_counter()
    for n in numbers:
        action(n)
    return count / (time.perf_counter() - started)


def main(rounds: int = 9, count: int = 400) -> dict[str, float]:
    """Run the comparison, print it, and return each ratio to the raw transaction."""
    import django

    django.setup()
    dice, raw, ledger = random.Random(1), Raw(), Ledger()
    runs: dict[str, list[float]] = {
        "raw two-row transaction": [],
        "ledger transfer": [],
        "hold + capture": [],
        "batch": [],
    }
    for _ in range(rounds):
        runs["raw two-row transaction"].append(rate(raw.transfer, count, dice))
        runs["ledger transfer"].append(rate(ledger.transfer, count, dice))
        runs["hold + capture"].append(rate(ledger.hold_and_capture, count // 2, dice))
        runs["batch"].append(rate(ledger.batch, 2, dice) * BATCH)
    raw.drop()
    medians = {name: statistics.median(values) for name, values in runs.items()}
    ratios = {name: median / medians["raw two-row transaction"] for name, median in medians.items()}
    for name, median in medians.items():
        print(f"{name:<26} {median:>10,.0f} a second   ratio {ratios[name]:.2f}")
    return ratios


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
