"""The audit as people and machines read it: what it says when all is well, and what it names when not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Forbidden
from tests.vouchers.ledger.test_seals import everything, tamper
from tests.vouchers.ledger.world import Programme, post
from vouchers.ledger import auditing, queries, rules, seals, services, tasks, verification
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.models import AuditRun, Journal, Period
from vouchers.ledger.rules import TransferOp, year_ends_at

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def run(*options: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit", *options, stdout=out)
    except SystemExit as stopped:
        return int(stopped.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def programme(db: None) -> Programme:
    made = Programme(budget_fen=10_000)
    voucher = made.issue(5_000)
    hold = made.hold(voucher, 1_000)
    made.capture(hold, 800)
    made.hold(voucher, 300)
    post(JournalKind.CLAW_SPENT, TransferOp(made.receivable_enterprise, made.clawed_back, 200))
    return made


def test_says_where_every_fen_is(programme: Programme) -> None:
    status, text = run()
    lines = text.splitlines()
    assert status == 0
    assert lines[0] == (
        "P 2026 CNY: appropriated ¥100.00 = budget ¥50.00 + vouchers ¥42.00 (held ¥3.00) + payable ¥8.00"
        " + clawed_back ¥2.00 - receivable ¥2.00; difference ¥0.00"
    )
    assert f"{len(verification.CHECKS)} checks, 0 violations" in text
    assert lines[-1] == "0 fen unaccounted"


def test_fails_and_names_what_is_missing(programme: Programme) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_balance SET posted_cr = posted_cr + 7 WHERE account_id = %s", [programme.vouchers[0]]
        )
    assert queries.unaccounted_fen() == 14, "seven drifted from the transfers, and the programme has seven too many"
    status, text = run("--json")
    report = json.loads(text)
    assert status == 1
    assert report["unaccounted_fen"] == 14
    assert report["programmes"][0]["difference"] == -7
    found = {(v["check"], v["subject"]) for v in report["violations"]}
    assert ("balance_is_sum_of_transfers", f"account {programme.vouchers[0]}") in found
    assert "books_balance\tunit CNY\t" in run()[1]
    last = queries.last_audit()
    assert last is not None
    assert not last.in_order
    assert last.unaccounted == 14
    assert last.report["violations"]


def test_a_reconciliation_keeps_units_apart(programme: Programme) -> None:
    hours = [
        services.account(kind=kind, owner="h", programme="P", fiscal_year=2026, unit="MCH")
        for kind in ("appropriation", "budget")
    ]
    post(JournalKind.APPROPRIATE, TransferOp(*hours, 12_500))
    text = run()[1]
    assert "P 2026 MCH: appropriated 12.5 = budget 12.5; difference 0" in text
    assert all(one.difference == 0 for one in auditing.reconcile(queries.trial_balance()))


def test_a_date_that_is_none_is_refused(db: None) -> None:
    with pytest.raises(CommandError):
        call_command("audit", "--since", "yesterday")


@pytest.mark.usefixtures("committed")
class TestWithSeals:
    def test_the_night_keeps_its_result_and_the_head(self) -> None:
        Programme()
        while seals.check().unsealed:
            tasks.seal_ledger()
        tasks.audit_ledger()
        last = queries.last_audit()
        assert last is not None
        assert last.in_order
        assert (last.seal_n, last.seal_hash) == (1, seals.export_head().hash)
        assert (last.journals, last.unsealed) == (Journal.objects.count(), 0)
        AuditRun.objects.all().delete()

    def test_a_changed_row_is_named_and_so_is_a_rewritten_chain(self) -> None:
        Programme()
        everything()
        head = str(seals.export_head())
        assert run("--head", head)[0] == 0
        journal = Journal.objects.latest("pk").pk
        tamper("UPDATE ledger_journal SET reason = 'x' WHERE id = %s", journal)
        status, text = run()
        assert status == 1
        assert f"seals_match\tseal 1\tjournal {journal} was changed" in text
        assert run("--since", (NOW + timedelta(days=1)).isoformat())[0] == 0, "older seals were left out"
        tamper("DELETE FROM ledger_seal")
        everything()
        assert run()[0] == 0
        status, text = run("--head", head)
        assert status == 1
        assert "seals_head\tseal 1" in text
        AuditRun.objects.all().delete()


@pytest.mark.django_db
class TestClosing:
    NEW_YEAR = year_ends_at(2026)
    APPROVER = Actor.system("approver")

    def close(self, **more: object) -> Period:
        given = {"fiscal_year": 2026, "proposed_by": "officer #1", "actor": self.APPROVER, "now": self.NEW_YEAR} | more
        return services.close_year(**given)

    def test_a_closed_year_takes_nothing_more_and_its_balance_stands(self) -> None:
        late = self.NEW_YEAR - timedelta(seconds=1)
        programme = Programme(budget_fen=1_000)
        transfer = TransferOp(programme.budget, programme.issue(1), 100)
        post(JournalKind.ISSUE, transfer, effective_at=late)
        self.close()
        before = queries.trial_balance(programme="P", at=self.NEW_YEAR)
        with pytest.raises(rules.PeriodClosed):
            post(JournalKind.ISSUE, transfer, effective_at=late)
        post(JournalKind.ISSUE, transfer, effective_at=self.NEW_YEAR)
        assert queries.trial_balance(programme="P", at=self.NEW_YEAR) == before
        assert queries.trial_balance(programme="P", at=self.NEW_YEAR + timedelta(seconds=1)) != before

    def test_the_database_refuses_by_itself(self) -> None:
        self.close()
        with (
            pytest.raises(IntegrityError, match="period is closed"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "INSERT INTO ledger_journal (kind, key, fingerprint, actor, approved_by, reason, source_type, source_id,"
                " effective_at, recorded_at) VALUES ('hold', 'raw', '\\x00', 'a', '', '', 't', '1', %s, now())",
                [self.NEW_YEAR - timedelta(microseconds=1)],
            )

    def test_needs_two_persons_a_finished_year_and_the_right(self) -> None:
        with pytest.raises(rules.SamePerson):
            self.close(proposed_by=self.APPROVER.signature)
        with pytest.raises(rules.PeriodNotOver):
            self.close(now=self.NEW_YEAR - timedelta(microseconds=1))
        with pytest.raises(Forbidden):
            self.close(actor=Actor(user_id=1, organisation_id=1, label="nobody"))
        self.close()
        with pytest.raises(rules.YearClosed):
            self.close()

    def test_a_hold_counts_as_held_until_it_ended(self) -> None:
        programme = Programme(budget_fen=1_000)
        start = datetime(2027, 2, 1, tzinfo=UTC)
        hold = programme.hold(programme.issue(100), 60, now=start)
        programme.capture(hold, 50, now=start + timedelta(days=2))

        def held(days: int) -> int:
            lines = queries.trial_balance(programme="P", at=start + timedelta(days=days))
            return sum(line.held_debit_fen for line in lines)

        assert [held(0), held(1), held(3)] == [0, 60, 0]
