"""The hash chain: it covers everything, never waits, and names what was changed."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from itertools import count
from time import monotonic

import pytest
from django.db import connection, transaction

from tests.vouchers.ledger.test_concurrency import at_once
from tests.vouchers.ledger.world import Programme, posting
from vouchers.ledger import seals, services
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.install import seals_sql
from vouchers.ledger.models import Hold, Journal, Seal, Transfer
from vouchers.ledger.rules import HoldOp, Outcome, ResolveOp, TransferOp, seal_hash

NOW = datetime(2026, 3, 1, tzinfo=UTC)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def everything(limit: int = seals.MAX_JOURNALS) -> list[Seal]:
    """Seal until nothing waits: what ends in another database just then may put a block off, by design."""
    blocks, until = [], monotonic() + 20
    while seals.check().unsealed and monotonic() < until:
        blocks += iter(lambda: seals.seal(now=NOW, limit=limit), None)
    return blocks


def tamper(sql: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)


def busy_programme() -> Programme:
    programme = Programme()
    voucher = programme.issue(10_000)
    holds = [programme.hold(voucher, 1_000, ttl_s=3_600) for _ in range(3)]
    programme.capture(holds[0], 800)
    services.post(posting=posting(JournalKind.RELEASE, ResolveOp(holds[1], Outcome.RELEASED)))
    refund = TransferOp(programme.payable, voucher, 100, refunds_hold=holds[0])
    services.post(posting=posting(JournalKind.REFUND, refund, reason="退回"))
    return programme


def test_a_chain_is_whole_and_ends_in_its_head() -> None:
    busy_programme()
    assert seals.export_head().n == 0
    first = everything()
    Programme(code="Q")
    second = everything()
    assert [block.n for block in [*first, *second]] == [1, 2]
    assert bytes(second[0].prev_hash) == bytes(first[0].hash)
    report = seals.check()
    assert (report.violations, report.seals, report.unsealed) == ((), 2, 0)
    assert report.journals == Journal.objects.count()
    assert str(report.head) == f"2:{bytes(second[0].hash).hex()}"
    assert seals.check(head=str(report.head)).violations == ()
    assert seals.seal(now=NOW) is None, "nothing new, no empty block"


def test_a_block_holds_every_row_of_its_journals() -> None:
    busy_programme()
    block = everything()[0]
    assert block.journals == Journal.objects.count()
    assert block.rows == block.journals + Transfer.objects.count() + Hold.objects.count() + 2
    assert len(bytes(block.leaves)) == 8 * block.rows


def test_long_queues_are_sealed_in_blocks() -> None:
    programme = Programme()
    for _ in range(9):
        programme.issue(1)
    blocks = everything(limit=4)
    assert [block.journals for block in blocks] == [4, 4, 2]
    assert seals.check().violations == ()


def test_a_second_opinion_in_python_gives_the_same_hash() -> None:
    busy_programme()
    block = everything()[0]

    def field(value: object) -> str:
        return "-," if value is None else f"{len(str(value).encode())}:{value},"

    def instant(value: datetime | None) -> int | None:
        return value and (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta_us

    timedelta_us = datetime.resolution
    leaves = b""
    for j in Journal.objects.order_by("txid", "pk"):
        own = ["journal", j.pk, j.kind, j.key, bytes(j.fingerprint).hex(), j.actor, j.approved_by, j.reason]
        own += [j.source_type, j.source_id, instant(j.effective_at), instant(j.recorded_at), j.reverses_id, j.txid]
        rows = [own]
        for t in j.transfers.order_by("line_no"):
            sides = [
                v
                for a in (t.debit_account, t.credit_account)
                for v in (a.pk, a.kind, a.owner, a.programme, a.fiscal_year)
            ]
            rows.append(["transfer", t.pk, j.pk, t.line_no, t.unit, *sides, t.amount, t.hold_id, t.txid])
        for h in j.holds.order_by("line_no"):
            sides = [
                v
                for a in (h.debit_account, h.credit_account)
                for v in (a.pk, a.kind, a.owner, a.programme, a.fiscal_year)
            ]
            rows.append(["hold", h.pk, j.pk, h.line_no, h.unit, *sides, h.amount, instant(h.expires_at)])
        rows += [["resolution", r.pk, j.pk, r.outcome, r.captured_amount] for r in j.resolutions.order_by("pk")]
        leaves += b"".join(hashlib.sha256("".join(map(field, row)).encode()).digest() for row in rows)
    digest = hashlib.sha256(leaves).digest()
    wanted = seal_hash(
        prev=bytes(32), n=1, from_txid=block.from_txid, upto_txid=block.upto_txid, rows=block.rows, digest=digest
    )
    assert bytes(block.hash) == wanted


MORE = (
    "INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount)"
    " SELECT journal_id, 99, unit, debit_account_id, credit_account_id, 1 FROM ledger_transfer WHERE id = %s"
)
DEEDS = {
    "an amount": ("UPDATE ledger_transfer SET amount = amount + 1 WHERE id = %s", Transfer, "transfer {} was changed"),
    "who approved": ("UPDATE ledger_journal SET approved_by = 'x' WHERE id = %s", Journal, "journal {} was changed"),
    "a reason": ("UPDATE ledger_journal SET reason = 'x' WHERE id = %s", Journal, "journal {} was changed"),
    "when it counts": (
        "UPDATE ledger_journal SET effective_at = effective_at + interval '1 microsecond' WHERE id = %s",
        Journal,
        "journal {} was changed",
    ),
    "a line between fields": (
        "UPDATE ledger_journal SET source_type = 'tes', source_id = 't1' WHERE id = %s",
        Journal,
        "journal {} was changed",
    ),
    "a held amount": ("UPDATE ledger_hold SET amount = amount + 1 WHERE id = %s", Hold, "hold {} was changed"),
    "a deadline": ("UPDATE ledger_hold SET expires_at = NULL WHERE id = %s", Hold, "hold {} was changed"),
    "whose account": (
        "UPDATE ledger_account SET owner = 'mine' WHERE id = (SELECT credit_account_id FROM ledger_transfer WHERE id = %s)",
        Transfer,
        "was changed",
    ),
    "a row less": ("DELETE FROM ledger_transfer WHERE id = %s", Transfer, "was removed"),
    "a row more": (MORE, Transfer, "was added"),
    "a seal": (
        "UPDATE ledger_seal SET hash = sha256('x') WHERE n = 2 AND %s > 0",
        Journal,
        "the seal itself was changed",
    ),
    "a seal less": ("DELETE FROM ledger_seal WHERE n = 1 AND %s > 0", Journal, "does not follow"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_was_changed_is_named(deed: str) -> None:
    busy_programme()
    everything()
    Programme(code="Q")
    everything()
    assert seals.check().violations == ()
    sql, model, said = DEEDS[deed]
    row = model.objects.order_by("pk")[1].pk
    tamper(sql, row)
    (found,) = seals.check().violations
    assert found.subject in {"seal 1", "seal 2"}
    assert said.format(row) in found.detail


def test_a_chain_rewritten_to_fit_is_exposed_by_the_exported_head() -> None:
    busy_programme()
    everything()
    head = str(seals.export_head())
    tamper("UPDATE ledger_journal SET reason = 'nothing' WHERE id = (SELECT min(id) FROM ledger_journal)")
    tamper("DELETE FROM ledger_seal")
    everything()
    assert seals.check().violations == ()
    (found,) = seals.check(head=head).violations
    assert (found.check, found.subject) == ("seals_head", "seal 1")


def test_sealing_misses_nothing_while_eight_write() -> None:
    programme = Programme(budget_fen=10**9)
    vouchers = [programme.issue(10**6) for _ in range(8)]
    stop, numbers = threading.Event(), count()

    def sealer() -> None:
        while not stop.is_set():
            seals.seal(now=NOW, limit=7)
        connection.close()

    def write(number: int) -> str:
        with transaction.atomic():
            hold = HoldOp(vouchers[number % 8], programme.payable, 1)
            services.post(posting=posting(JournalKind.HOLD, hold, key=f"seal:{next(numbers)}/{number}"))
            threading.Event().wait(0.002 * (number % 5))
        return "done"

    thread = threading.Thread(target=sealer)
    thread.start()
    try:
        at_once(write, 300)
    finally:
        stop.set()
        thread.join()
    everything()
    report = seals.check()
    assert report.violations == ()
    assert (report.unsealed, report.journals) == (0, Journal.objects.count())
    assert report.seals > 3


def test_an_open_transaction_delays_the_seal_and_nothing_else() -> None:
    programme = Programme()
    programme.issue(5)
    everything()
    ready, leave = threading.Event(), threading.Event()

    def linger() -> None:
        with transaction.atomic():
            programme.issue(7)
            ready.set()
            leave.wait(10)
        connection.close()

    thread = threading.Thread(target=linger)
    thread.start()
    ready.wait(10)
    Programme(code="Q")
    try:
        assert seals.seal(now=NOW) is None
    finally:
        leave.set()
        thread.join()
    assert everything()
    assert seals.check().unsealed == 0


MUTANTS = {
    "amounts are not sealed": ("|| ledger_field(t.amount::text) ", ""),
    "reasons are not sealed": ("|| ledger_field(own.reason) ", ""),
    "fields run together": ("octet_length(value)::text || ':' || value || ','", "value"),
    "deadlines are not sealed": (" || ledger_field(ledger_instant(h.expires_at))", ""),
    "accounts are sealed by number only": (" || ledger_field(a.kind) || ledger_field(a.owner)", ""),
    "a block loses its last transaction": ("own.txid >= low AND own.txid < high", "own.txid > low AND own.txid < high"),
}
"""Planted mistakes that the deeds above must notice; each is checked against the deed that shows it."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_deeds_find_a_planted_mistake(mutant: str) -> None:
    right, wrong = MUTANTS[mutant]
    assert seals_sql().count(right) >= 1
    busy_programme()
    try:
        with connection.cursor() as cursor:
            cursor.execute(seals_sql().replace(right, wrong))
        Journal.objects.count()
        blocks = list(iter(lambda: seals.seal(now=NOW, limit=1), None))
        missed = sum(block.journals for block in blocks) != Journal.objects.count()
        for sql, model, _said in list(DEEDS.values())[:8]:
            row = model.objects.order_by("pk")[1].pk
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute(sql, [row])
                missed = missed or not seals.check().violations
                transaction.set_rollback(True)
        assert missed, "no deed noticed"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(seals_sql())
