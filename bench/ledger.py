"""Measure the ledger against pgbench's TPC-B in one run, and the audit over a million transfers.

Every figure is a ratio to ``pgbench -M prepared`` (built-in TPC-B, scale 20) with the same number of clients on the same
server; TPC-B runs before and after each measurement and their mean is the anchor, so that a busy machine hurts all alike.
The ledger is driven by pgbench as well, calling ``ledger_post`` as the portal does, and once through Django.

    DATABASE_URL=postgresql://… python bench/ledger.py [seconds per run]
    DATABASE_URL=postgresql://… python bench/ledger.py audit [transfers]

The database must be migrated and is for nothing else: it keeps what was posted.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

ACCOUNTS = 1_000
BATCH = 1_000
HEAD = "'actor', 'bench', 'approved_by', 'bench 2', 'source_type', 'bench', 'source_id', '1', 'fingerprint', '00'"
TRANSFER = """
\\set n random(0, {last})
SELECT ledger_post(jsonb_build_object('kind', 'expire', 'key', gen_random_uuid()::text, {head}, 'transfers',
    jsonb_build_array(jsonb_build_object('debit', {voucher} + :n, 'credit', {expired} + :n, 'amount', 1))));
"""
PAIR = """
\\set n random(0, {last})
SELECT ledger_post(jsonb_build_object('kind', 'hold', 'key', gen_random_uuid()::text, {head}, 'holds',
    jsonb_build_array(jsonb_build_object('debit', {voucher} + :n, 'credit', {payable}, 'amount', 2, 'ttl_s', 600))
    ))->'hold_ids'->>0 AS hold \\gset
SELECT ledger_post(jsonb_build_object('kind', 'capture', 'key', gen_random_uuid()::text, {head}, 'resolutions',
    jsonb_build_array(jsonb_build_object('hold', :hold::bigint, 'outcome', 'captured', 'captured', 1))));
"""
BATCHED = """
SELECT ledger_post(jsonb_build_object('kind', 'expire', 'key', gen_random_uuid()::text, {head}, 'transfers',
    (SELECT jsonb_agg(jsonb_build_object('debit', {voucher} + n, 'credit', {expired} + n, 'amount', 1))
     FROM generate_series(0, {last}) AS n)));
"""


def pgbench(*options: str) -> float:
    """Run pgbench once and return its transactions a second. Raises CalledProcessError when any client failed."""
    command = ["pgbench", "-n", "-M", "prepared", *options, os.environ["DATABASE_URL"]]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([\d.]+)", out)
    if found is None or re.search(r"number of failed transactions: [1-9]", out):
        raise RuntimeError(out)
    return float(found.group(1))


class Accounts:
    """Vouchers, lapse accounts and payables of one programme, each kind with consecutive numbers."""

    def __init__(self) -> None:
        from vouchers.ledger import services
        from vouchers.ledger.chart import AccountKind, JournalKind
        from vouchers.ledger.rules import Posting, TransferOp

        run = f"bench-{uuid.uuid4().hex[:8]}"

        def opened(kind: AccountKind, count: int) -> list[int]:
            return [
                services.account(kind=kind, owner=f"{run}/{n}", programme=run, fiscal_year=2026) for n in range(count)
            ]

        self.programme = run
        (treasury,), (pool,) = opened(AccountKind.APPROPRIATION, 1), opened(AccountKind.BUDGET, 1)
        vouchers = opened(AccountKind.VOUCHER, ACCOUNTS)
        expired = opened(AccountKind.EXPIRED, ACCOUNTS)
        payables = opened(AccountKind.PROVIDER_PAYABLE, ACCOUNTS)
        self.voucher, self.expired, self.payable, self.pool = vouchers[0], expired[0], payables[0], pool

        def post(kind: JournalKind, *operations: TransferOp) -> None:
            key = uuid.uuid4().hex
            services.post(posting=Posting(kind, key, operations, "bench", "bench", run, approved_by="bench 2"))

        self.post, self.kinds, self.transfer = post, JournalKind, TransferOp
        post(JournalKind.APPROPRIATE, TransferOp(treasury, pool, 10**14))
        post(JournalKind.ISSUE, *(TransferOp(pool, voucher, 10**10) for voucher in vouchers))

    def fill(self, script: str, *, spread: bool) -> str:
        payable = f"{self.payable} + :n" if spread else str(self.payable)
        return script.format(head=HEAD, last=ACCOUNTS - 1, voucher=self.voucher, expired=self.expired, payable=payable)


def compare(seconds: int = 5) -> None:
    """Print each measurement as a ratio to the TPC-B runs around it."""
    import django

    django.setup()
    accounts = Accounts()
    subprocess.run(["pgbench", "-i", "-q", "-s", "20", os.environ["DATABASE_URL"]], capture_output=True, check=True)
    runs = (
        ("transfer", TRANSFER, True, 1, 1),
        ("transfer", TRANSFER, True, 8, 1),
        ("transfer", TRANSFER, True, 16, 1),
        ("hold + capture, pair", PAIR, True, 1, 1),
        ("hold + capture, pair", PAIR, True, 16, 1),
        ("hold + capture, one hot payable", PAIR, False, 16, 1),
        (f"batch of {BATCH}, transfers", BATCHED, True, 1, BATCH),
        (f"batch of {BATCH}, transfers", BATCHED, True, 4, BATCH),
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, script, spread, clients, each in runs:
            path = Path(folder) / "script.sql"
            path.write_text(accounts.fill(script, spread=spread), encoding="utf-8")
            options = ("-c", str(clients), "-j", "2", "-T", str(seconds))
            before = pgbench(*options)
            ours = pgbench(*options, "-f", str(path)) * each
            anchor = (before + pgbench(*options)) / 2
            print(
                f"{name:<34} {clients:>2} clients {ours:>9,.0f}/s  TPC-B {anchor:>7,.0f}/s  ratio {ours / anchor:.2f}",
                flush=True,
            )
    through_django(accounts, seconds)


def through_django(accounts: Accounts, seconds: int) -> None:
    """Print what one Python process posts through the service, against TPC-B with one client."""
    options = ("-c", "1", "-T", str(seconds))
    before = pgbench(*options)
    times = []
    ends = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < ends:
        began = time.perf_counter()
        move = accounts.transfer(accounts.voucher + number % ACCOUNTS, accounts.expired + number % ACCOUNTS, 1)
        accounts.post(accounts.kinds.EXPIRE, move)
        times.append(time.perf_counter() - began)
        number += 1
    anchor = (before + pgbench(*options)) / 2
    rate = number / sum(times)
    slowest = statistics.quantiles(times, n=100)[98] * 1000
    print(
        f"{'transfer through the service':<34}  1 client  {rate:>9,.0f}/s  TPC-B {anchor:>7,.0f}/s  ratio {rate / anchor:.2f}  p99 {slowest:.1f} ms"
    )


def measure_audit(transfers: int = 1_000_000) -> None:
    """Post `transfers` in batches through the ledger, seal them, and print how long the seals and the whole audit take."""
    import django

    django.setup()
    from django.utils import timezone

    from vouchers.ledger import auditing, seals
    from vouchers.ledger.models import Transfer

    accounts = Accounts()
    began = time.perf_counter()
    for _ in range(max(0, transfers - Transfer.objects.count()) // ACCOUNTS):
        moves = (accounts.transfer(accounts.voucher + n, accounts.expired + n, 1) for n in range(ACCOUNTS))
        accounts.post(accounts.kinds.EXPIRE, *moves)
    print(f"{Transfer.objects.count():,} transfers there, posted in {time.perf_counter() - began:.1f} s", flush=True)
    began, blocks = time.perf_counter(), 0
    while seals.seal(now=timezone.now(), limit=50):
        blocks += 1
    print(f"sealed in {blocks} blocks, {time.perf_counter() - began:.1f} s", flush=True)
    began = time.perf_counter()
    found = auditing.audit(now=timezone.now())
    print(
        f"audit of {found.transfers:,} transfers in {time.perf_counter() - began:.1f} s: {len(found.violations)} violations"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["audit"]:
        measure_audit(*map(int, sys.argv[2:]))
    else:
        compare(*map(int, sys.argv[1:]))
