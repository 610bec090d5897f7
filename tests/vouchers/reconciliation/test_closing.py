"""Months closed by two persons, with figures that never change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from portal.kernel.errors import Forbidden, Refused
from portal.kernel.period import Period
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due, pay
from tests.vouchers.reconciliation import scripted
from vouchers.banking import services as banking
from vouchers.banking.models import StatementImport, StatementLine
from vouchers.ledger import figures as ledger_figures
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments.ports import BalanceKind
from vouchers.reconciliation import closing, rules, standing
from vouchers.reconciliation import services as reconciliation
from vouchers.reconciliation.models import GatewayCheck, MonthFigure

pytestmark = pytest.mark.django_db
THEN = date(2026, 11, 1)
LATER = datetime(2026, 12, 2, tzinfo=UTC)


def post(key: str, fen: int, *, now: datetime, effective_at: datetime | None = None) -> None:
    ledger.post(
        posting=Posting(
            kind=JournalKind.FEE,
            key=key,
            operations=[
                TransferOp(
                    AccountKey(AccountKind.FEES, "rail:x"), AccountKey(AccountKind.GATEWAY_CLEARING, "rail:x"), fen
                )
            ],
            actor="test",
            source_type="gateway",
            source_id=key,
            effective_at=effective_at,
        ),
        now=now,
    )


def closed(w, month=THEN, *, now=LATER):
    closing.propose(actor=w.finance, month=month, note="已核对", rails=[], now=now)
    return closing.approve(actor=w.finance_approver, month=month, now=now)


def refusals(w, *, note="", rails=(), now=LATER) -> list[str]:
    """Return why the month may not be proposed."""
    with pytest.raises(Refused) as error:
        closing.propose(actor=w.finance, month=THEN, note=note, rails=list(rails), now=now)
    return [each.code for each in error.value.reasons]


class TestClosing:
    def test_two_persons_close_a_month_and_its_figures_stay(self, w):
        post("a", 100, now=make.NOW - timedelta(days=40))
        post("b", 20, now=make.NOW)
        made = closed(w)
        figure = MonthFigure.objects.get(kind="fees")
        assert (figure.owner, figure.opening, figure.debit, figure.credit, figure.closing) == (
            "rail:x",
            100,
            20,
            0,
            120,
        )
        post("c", 7, now=LATER, effective_at=make.NOW)
        assert closing.verify() == []
        shown = closing.shown(THEN, rails=[], now=LATER)
        assert (shown.hash, shown.closed) == (made.hash, made)
        [fees] = [row for row in closing.shown(date(2026, 12, 1), rails=[], now=LATER).figures if row.kind == "fees"]
        assert (fees.opening, fees.debit) == (120, 7)

    def test_what_is_recorded_later_is_in_the_open_month_whatever_it_is_dated(self, w):
        post("a", 100, now=make.NOW)
        before = ledger_figures.figures(during=rules.month_period(THEN))
        post("b", 7, now=LATER, effective_at=make.NOW)
        assert ledger_figures.figures(during=rules.month_period(THEN)) == before

    def test_a_month_is_in_china(self):
        assert rules.month_period(THEN).start == datetime(2026, 10, 31, 16, tzinfo=UTC)
        assert rules.month_period(date(2026, 12, 31)).end == datetime(2026, 12, 31, 16, tzinfo=UTC)

    def test_who_asked_does_not_approve(self, w):
        both = make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER)
        closing.propose(actor=both, month=THEN, note="", rails=[], now=LATER)
        with pytest.raises(rules.SamePerson):
            closing.approve(actor=both, month=THEN, now=LATER)

    def test_not_before_its_end_not_twice_and_not_out_of_order(self, w):
        assert refusals(w, now=make.NOW) == ["month.not_over"]
        closed(w)
        assert refusals(w) == ["month.closed"]
        for month in (date(2026, 10, 1), date(2027, 1, 1)):
            with pytest.raises(Refused) as error:
                closing.propose(actor=w.finance, month=month, note="", rails=[], now=LATER + timedelta(days=100))
            assert [(each.code, each.params) for each in error.value.reasons] == [
                ("month.out_of_order", {"month": "2026-12"})
            ]

    def test_what_stands_open_needs_a_note(self, w):
        rail = scripted.ScriptedRail()
        attempt = scripted.paid(w, rail, 1, 900)
        scripted.disputed(rail, attempt, 900)
        assert refusals(w, note=" ", rails=[rail.code]) == [
            "month.open_gateway",
            "month.open_pulls",
            "month.open_disputes",
        ]
        made = closing.propose(actor=w.finance, month=THEN, note="银行处理中", rails=[rail.code], now=LATER)
        assert made.open_items["disputes"] == [1, 900]
        assert made.open_items["gateway"] == [2, 1_800]

    def test_everything_in_the_way_is_said_at_once(self, w):
        rail = scripted.ScriptedRail()
        scripted.disputed(rail, scripted.paid(w, rail, 1, 900), 900)
        closing.propose(actor=w.finance, month=THEN, note="x", rails=[], now=LATER)
        found = refusals(w, rails=[rail.code], now=make.NOW)
        assert found[:2] == ["month.not_over", "month.proposed_before"]
        assert {"month.open_gateway", "month.open_disputes"} < {*found}

    def test_bank_lines_of_the_month_count_by_what_lacks_and_those_of_the_next_do_not(self, w, settings):
        settings.BANK_TWO_PERSON_FEN = 10_000
        bring(
            w,
            row("OPEN1", "10", day="2026-11-30"),
            row("OPEN2", "-20", day="2026-11-29"),
            row("PARKED", "30", day="2026-11-30"),
            row("BIG", "500", day="2026-11-02"),
            row("NEXT", "70", day="2026-12-01"),
            look=False,
        )
        lines = {each.reference: each for each in StatementLine.objects.all()}
        banking.park(actor=w.finance, line=lines["PARKED"], now=make.NOW)
        due_ = due(w, 50_000)
        banking.match(actor=w.finance, line=lines["BIG"], parts=pay(due_, 50_000), now=make.NOW)
        items = standing.open_items(THEN, rails=[], now=LATER)
        assert items["bank"] == (2, 3_000)
        assert items["bank_parked"] == (1, 3_000)
        assert items["bank_proposed"] == (1, 50_000)
        assert items["statements"] == (0, 0)
        found = refusals(w)
        assert {"month.open_bank", "month.open_bank_parked", "month.open_bank_proposed"} <= {*found}

    def test_a_statement_that_does_not_reach_the_months_end_stands_in_the_way(self, w):
        bring(w, row("A", "10", day="2026-11-20"), look=False)
        assert standing.open_items(THEN, rails=[], now=LATER)["statements"] == (1, 0)

    @pytest.mark.parametrize(
        ("days", "balances", "short"),
        [
            (["2026-11-02", "2026-11-10", "2026-11-25", "2026-12-01"], ["100", "200", "300", "400"], 1),
            (["2026-11-02", "2026-11-10", "2026-11-11", "2026-12-01"], ["", "", "", ""], 0),
            (["2026-11-02", "2026-11-10", "2026-11-25", "2026-12-01"], ["10", "20", "30", "40"], 0),
            (["2026-10-02", "2026-10-10", "2026-12-01", "2026-12-02"], ["", "", "", ""], 1),
            (["2026-09-02", "2026-09-10", "2026-10-20", "2026-11-30"], ["", "", "", ""], 0),
        ],
        ids=["a gap", "next day", "the balance goes on", "the month between", "an earlier gap"],
    )
    def test_days_missing_between_statements_stand_in_the_way_whenever_they_were_taken(self, w, days, balances, short):
        for at in (0, 2):
            rows = [row(f"L{at + n}", "10", day=days[at + n], balance=balances[at + n]) for n in range(2)]
            bring(w, *rows, accept=True, look=False)
        StatementImport.objects.update(imported_at=LATER)
        assert standing.open_items(THEN, rails=[], now=LATER)["statements"] == (short, 0)

    def test_a_gateways_entry_left_open_in_an_earlier_month_stays_in_the_way(self, w):
        rail = scripted.ScriptedRail()
        rail.line(BalanceKind.PAYMENT, 700, "pi_old", at=make.NOW)
        then = make.NOW + timedelta(days=70)
        window = Period(make.NOW - timedelta(days=1), then)
        assert standing.open_items(date(2027, 1, 1), rails=[rail.code], now=then)["gateway"] == (0, 0)
        reconciliation.pull(rail=rail, during=window, actor=w.finance, now=then)
        assert standing.open_items(date(2027, 1, 1), rails=[rail.code], now=then)["gateway"] == (1, 700)
        GatewayCheck.objects.update(open_days=None)
        assert standing.open_items(date(2027, 1, 1), rails=[rail.code], now=then)["gateway"] == (1, 700)
        assert standing.open_items(date(2026, 10, 1), rails=[rail.code], now=then)["gateway"] == (0, 0)

    def test_money_that_came_after_the_months_end_is_not_in_its_way(self, w):
        waiting = AccountKey(AccountKind.UNAPPLIED_CASH, f"organisation:{w.enterprise.pk}")
        for key, fen, when in (("a", 500, make.NOW), ("b", 70, LATER)):
            ledger.post(
                posting=Posting(
                    kind=JournalKind.CASH_IN,
                    key=key,
                    operations=[TransferOp(AccountKey(AccountKind.BANK_CLEARING, "bank:main"), waiting, fen)],
                    actor="test",
                    source_type="payment",
                    source_id=key,
                ),
                now=when,
            )
        assert standing.open_items(THEN, rails=[], now=LATER)["unapplied"] == (1, 500)
        assert standing.open_items(date(2026, 10, 1), rails=[], now=LATER)["unapplied"] == (0, 0)

    def test_asking_twice_or_approving_nothing_is_refused(self, w):
        with pytest.raises(rules.NotProposed):
            closing.approve(actor=w.finance_approver, month=THEN, now=LATER)
        closing.propose(actor=w.finance, month=THEN, note="", rails=[], now=LATER)
        assert refusals(w) == ["month.proposed_before"]

    def test_sent_back_with_a_reason_it_can_be_asked_for_again(self, w):
        closing.propose(actor=w.finance, month=THEN, note="", rails=[], now=LATER)
        with pytest.raises(rules.ReasonMissing):
            closing.send_back(actor=w.finance_approver, month=THEN, reason=" ", now=LATER)
        closing.send_back(actor=w.finance_approver, month=THEN, reason="再核", now=LATER)
        assert closed(w)

    @pytest.mark.parametrize("who", ["auditor", "owner", "keeper"])
    def test_others_may_not(self, w, who):
        someone = getattr(w, who)
        with pytest.raises(Forbidden):
            closing.propose(actor=someone, month=THEN, note="", rails=[], now=LATER)
        closing.propose(actor=w.finance, month=THEN, note="", rails=[], now=LATER)
        for act in (
            lambda: closing.approve(actor=someone, month=THEN, now=LATER),
            lambda: closing.send_back(actor=someone, month=THEN, reason="x", now=LATER),
        ):
            with pytest.raises(Forbidden):
                act()


class TestVerify:
    def test_names_a_figure_that_was_changed_behind_our_back(self, w):
        post("a", 100, now=make.NOW)
        closed(w)
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE month_figure SET debit = debit + 1, closing = closing + 1 WHERE kind = 'fees'")
            cursor.execute("SET session_replication_role = DEFAULT")
        wrong = closing.verify()
        assert any("fees" in line for line in wrong)
        assert any("do not make the hash" in line for line in wrong)

    def test_the_hash_covers_the_month_before(self, w):
        post("a", 100, now=make.NOW)
        first = closed(w)
        second = closed(w, date(2026, 12, 1), now=LATER + timedelta(days=60))
        assert first.hash != second.hash
        assert rules.figures_hash(THEN, "", []) != rules.figures_hash(THEN, first.hash, [])
