"""The bank's balance against the ledger's by day: the difference is what nobody has booked and what no line proves."""

from __future__ import annotations

from datetime import date

import pytest

from portal.kernel.errors import Forbidden
from tests import make
from tests.calling import Caller
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due, refund
from tests.vouchers.reconciliation import scripted
from vouchers.banking import services as banking
from vouchers.banking.models import BankAccount, StatementLine
from vouchers.payments import services as payments
from vouchers.payments.ports import BalanceKind
from vouchers.reconciliation import access, bank_days, rules, services
from vouchers.reconciliation.rules import day_period

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 26)


def books():
    return bank_days.books(BankAccount.objects.get(), during=rules.spans([date(2026, 11, n) for n in range(20, 31)])[0])


def days():
    found = books()
    assert found.unexplained_fen == 0
    return {one.day.day: one for one in found.days}


def test_a_line_booked_makes_no_difference_and_one_that_is_not_is_named(w):
    payment = due(w, 30_000)
    bring(
        w,
        row("A", "300", day="2026-11-25", memo=payment.reference, balance="1300"),
        row("B", "70", day="2026-11-26", name="某公司", balance="1370"),
        row("C", "-20", day="2026-11-27", name="", balance="1350"),
    )
    found = days()
    assert (found[25].closing_fen, found[25].ledger_fen) == (130_000, 30_000)
    assert (found[25].opening_fen, found[25].lines, found[25].unexplained_fen) == (100_000, 0, 0)
    assert (found[26].closing_fen, found[26].ledger_fen, found[26].lines_fen) == (137_000, 30_000, 7_000)
    assert (found[27].closing_fen, found[27].lines, found[27].lines_fen, found[27].unexplained_fen) == (
        135_000,
        2,
        5_000,
        0,
    )
    banking.park(actor=w.finance, line=StatementLine.objects.get(reference="B"), now=make.NOW)
    assert days()[26].lines_fen == 0
    named = bank_days.unbooked(BankAccount.objects.get(), until=date(2026, 11, 30))
    assert [line.reference for line in named] == ["C"]


def test_what_finance_booked_by_hand_is_not_proved_until_its_line_comes(w):
    payment = due(w, 30_000)
    payments.confirm(actor=w.finance, payment=payment, bank_reference="HAND1", now=make.NOW)
    bring(w, row("X", "10", day="2026-11-25", balance="10"))
    found = books()
    assert [(one.fen, one.key) for one in found.unproved] == [(30_000, "arrival:manual:HAND1")]
    assert (found.days[0].ledger_fen, found.days[0].difference_fen, found.days[0].unexplained_fen) == (
        30_000,
        1_000 - 30_000,
        0,
    )
    bring(w, row("HAND1", "300", day="2026-11-26", balance="310"))
    assert books().unproved == []
    assert {day: one.unexplained_fen for day, one in days().items()} == {25: 0, 26: 0}


def test_a_gateways_payout_is_on_its_way_until_the_bank_has_it(w):
    rail = scripted.ScriptedRail()
    scripted.paid(w, rail, 1, 9_000)
    rail.line(BalanceKind.PAYOUT, -5_000, "po_1")
    services.pull(rail=rail, during=scripted.window(), actor=w.finance, now=make.NOW)
    bring(w, row("P", "50", day="2026-11-27", name="某支付公司", balance="50"), look=False)
    assert [one.key for one in books().unproved] == ["payout:scripted:po_1"]
    line = StatementLine.objects.get()
    banking.match(
        actor=w.finance,
        line=line,
        parts=[banking.Part(banking.PartKind.PAYOUT, 5_000, rail="scripted")],
        now=make.NOW,
    )
    found = days()
    assert books().unproved == []
    assert (found[27].closing_fen, found[27].ledger_fen, found[27].difference_fen) == (5_000, 5_000, 0)


def test_money_paid_back_is_proved_by_its_line(w):
    payment = due(w, 30_000)
    bring(w, row("A", "300", day="2026-11-25", memo=payment.reference, balance="300"))
    payment.refresh_from_db()
    refund(w, payment, 10_000)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="BACK1", now=make.NOW)
    assert [one.fen for one in books().unproved] == [-10_000]
    bring(w, row("BACK1", "-100", day="2026-11-27", balance="200"))
    assert books().unproved == []
    assert days()[27].difference_fen == 0


def test_a_line_the_statements_lack_is_what_nothing_explains(w):
    payment = due(w, 30_000)
    bring(w, row("A", "300", day="2026-11-25", memo=payment.reference, balance="300"))
    bring(w, row("B", "10", day="2026-11-27", balance="330"), accept=True)
    found = days()
    assert found[25].unexplained_fen == 0
    assert (found[27].closing_fen, found[27].lines_fen, found[27].unexplained_fen) == (33_000, 1_000, 2_000)


def test_takes_the_same_queries_however_many_lines(w, django_assert_max_num_queries):
    bring(w, *(row(f"L{n}", "1", day="2026-11-25") for n in range(3)), look=False)
    account = BankAccount.objects.get()
    with django_assert_max_num_queries(6):
        bank_days.books(account, during=day_period(DAY))
    bring(w, *(row(f"M{n}", "1", day="2026-11-26") for n in range(20)), look=False)
    with django_assert_max_num_queries(6):
        bank_days.books(account, during=day_period(DAY))


def test_is_for_who_reads_the_ledger(w):
    bring(w, row("A", "300", day="2026-11-25", balance="300"), look=False)
    with pytest.raises(Forbidden):
        access.get_bank_account(w.owner, "main")
    assert Caller(w.owner).get("/reconciliation/bank/main/days").status == 403
    said = Caller(w.auditor).get("/reconciliation/bank/main/days?since=2026-11-20&until=2026-11-30")
    assert (said.status, said.body["days"][0]["not_booked"]["fen"]) == (200, 30_000)
    assert Caller(w.auditor).get("/reconciliation/bank/none/days").status == 404
