"""S10: a hundred thousand vouchers from one pool, in batches, through a process that is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection, transaction

from portal.kernel.actors import Actor
from tests import make
from tests.scenarios import is_full
from tests.vouchers.scenarios import scenario
from vouchers.campaigns import services
from vouchers.campaigns.models import Campaign
from vouchers.issuance import queries as issuance
from vouchers.ledger import rules as ledger_rules
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Journal, Transfer
from vouchers.programmes.models import ProgrammeVersion
from vouchers.wallets.models import Voucher, VoucherCode

FULL, EVERYDAY = (100, 37, 1_000), (20, 7, 50)
"""How many batches, after how many the process is killed, vouchers a batch: with `make prove`, and in the suite."""
FACE_FEN = 10_000
SYSTEM = Actor.system("test")


def enterprises(count: int, *, start: int = 0) -> list[str]:
    """Register enterprises in one statement and return their credit codes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO organisation (kind, name, name_en, credit_code, city, facts, created_at)"
            " SELECT 'enterprise', '企业 ' || n, '', '91330100' || lpad(n::text, 10, '0'), '杭州', '{\"sme\": true}', now()"
            " FROM generate_series(%s, %s) AS n RETURNING credit_code",
            [start + 1, start + count],
        )
        return [code for (code,) in cursor.fetchall()]


def everybody_a_hundred_yuan(w: make.World, *, budget: str, **changes: Any) -> ProgrammeVersion:
    """Publish a programme that gives every enterprise a voucher of ¥100, without asking."""
    return make.programme(
        w,
        budget=budget,
        code="test-campaign",
        automation="no_application",
        lines=[{"id": "100", "amount": 100}],
        cost={"include": ["compute"]},
        related_party="allowed",
        per_contract_count=1000,
        **changes,
    )


def approved(w: make.World, version: ProgrammeVersion, codes: list[str], *, size: int) -> Campaign:
    wanted = services.Wanted(version=version, credit_codes=codes, stated={})
    campaign = services.propose(actor=w.reviewer, wanted=wanted, now=make.NOW, key=make.key(), size=size)
    return services.approve(actor=w.approver, campaign=campaign, now=make.NOW)


def run(campaign: Campaign, folder: Path) -> subprocess.Popen[str]:
    """Start ``manage.py campaign`` on the database of this test."""
    given = connection.settings_dict
    # The host may be the folder of a socket, which has no place before the path of an address.
    where = urlencode({"host": given["HOST"], "port": given["PORT"] or 5432}, safe="/")
    url = f"postgresql://{given['USER']}@/{given['NAME']}?{where}"
    return subprocess.Popen(
        [sys.executable, "manage.py", "campaign", campaign.number, "--codes", str(folder)],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url, "PGPASSWORD": given["PASSWORD"] or ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_in_the_middle_of(campaign: Campaign, number: int, folder: Path) -> None:
    """Issue until batch `number` has written everything but its journal, and kill the process there.

    Another transaction holds that batch's key, so that the posting waits for it: the kill falls between its first write
    and its commit, not between two batches.
    """
    with transaction.atomic():
        Journal.objects.create(
            kind="release", key=services.batch_key(campaign=campaign, number=number), fingerprint=b"0" * 32, actor="nobody",
            source_type="test", source_id="1", effective_at=make.NOW, recorded_at=make.NOW,
        )  # fmt: skip
        with run(campaign, folder) as process:
            until = time.monotonic() + 300
            while not waits_for_us() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            assert process.poll() is None, process.communicate()[0]
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        transaction.set_rollback(True)


def waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@scenario("S10", commits=True)
def a_campaign_is_killed_and_resumed() -> str:
    """A campaign of ¥100 vouchers spends its pool to the last fen, though its process is killed after a third of the batches."""
    batches, killed_after, size = FULL if is_full() else EVERYDAY
    count = batches * size
    w = make.world()
    version = everybody_a_hundred_yuan(w, budget=str(count * 100))
    campaign = approved(w, version, enterprises(count), size=size)
    with TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        kill_in_the_middle_of(campaign, killed_after + 1, folder)
        assert campaign.batches.filter(issued_at__isnull=False).count() == killed_after
        assert Voucher.objects.count() == VoucherCode.objects.count() == killed_after * size
        assert issuance.pool_of(version).fen == (batches - killed_after) * size * FACE_FEN

        again = services.issue_batch(campaign=campaign, number=killed_after, actor=SYSTEM, now=make.NOW)
        assert again.vouchers == size
        assert Voucher.objects.count() == killed_after * size
        with run(campaign, folder) as resumed:
            said = resumed.communicate(timeout=300)[0]
        took = time.monotonic() - started
        assert resumed.returncode == 0, said
        assert said.count("batch ") == batches - killed_after, said
        written = [line for file in folder.glob("*.csv") for line in file.read_text("utf-8").splitlines()[1:]]

    campaign.refresh_from_db()
    assert campaign.state == "done"
    assert len({line.split(",")[1] for line in written}) == len(written) == count
    assert Voucher.objects.count() == Voucher.objects.values("holder").distinct().count() == count
    assert VoucherCode.objects.values("digest").distinct().count() == count
    assert issuance.pool_of(version).fen == 0
    assert Transfer.objects.filter(journal__kind="issue").count() == count
    resent_without_effect(campaign, killed_after)
    nothing_left_for_one_more(w, version, campaign, count)
    return f"{count:,} vouchers, pool ¥0.00, {took:.0f} s in two processes"


def resent_without_effect(campaign: Campaign, killed_after: int) -> None:
    """Send the keys of the batches around the kill again (37 and 38): to the service, and to the ledger itself with other content."""
    before = Transfer.objects.count()
    for number in (killed_after, killed_after + 1):
        services.issue_batch(campaign=campaign, number=number, actor=SYSTEM, now=make.NOW + timedelta(hours=1))
        journal = Journal.objects.get(key=services.batch_key(campaign=campaign, number=number))
        moved = journal.transfers.order_by("line_no")
        posting = ledger_rules.Posting(
            kind=ledger_rules.JournalKind.ISSUE,
            key=journal.key,
            operations=[
                ledger_rules.TransferOp(row.debit_account_id, row.credit_account_id, row.amount) for row in moved
            ],
            actor="another hand",
            approved_by="and another",
            source_type=journal.source_type,
            source_id=journal.source_id,
        )
        answer = ledger.post(posting=posting)
        assert (answer.journal_id, answer.replayed) == (journal.pk, True)
    assert Transfer.objects.count() == before


def nothing_left_for_one_more(w: make.World, version: ProgrammeVersion, campaign: Campaign, count: int) -> None:
    """Ask for one voucher more: the campaign leaves it out, the ledger refuses it."""
    more = approved(w, version, enterprises(1, start=count), size=1)
    [batch] = services.issue(campaign=more, actor=SYSTEM, now=make.NOW)
    assert (batch.vouchers, [each["reasons"] for each in batch.left_out]) == (0, [["pool_short"]])
    last = Transfer.objects.filter(journal__kind="issue").order_by("pk").last()
    assert last is not None
    posting = ledger_rules.Posting(
        kind=ledger_rules.JournalKind.ISSUE,
        key="one more",
        operations=[ledger_rules.TransferOp(last.debit_account_id, last.credit_account_id, FACE_FEN)],
        actor="first",
        approved_by="second",
        source_type="campaign",
        source_id=more.number,
    )
    with pytest.raises(ledger_rules.InsufficientFunds):
        ledger.post(posting=posting)
    assert Voucher.objects.count() == count
