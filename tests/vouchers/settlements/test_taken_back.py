"""A gateway takes a payout back after it was paid: booked back once, by its notice or its report, and paid anew."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from tests.money.scenarios import rails as walks
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, line
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import of_kind
from tests.vouchers.settlements import ordered
from tests.vouchers.settlements.test_paying_out import approved, connected
from tests.vouchers.settlements.test_paying_out import gateway as gateway  # noqa: PLC0414
from vouchers.banking import services as banking
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.ledger import auditing
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentEvent
from vouchers.reconciliation import services as reconciliation
from vouchers.settlements import bouncing, paying_out, queries, routing, taken_back
from vouchers.settlements.payout_models import RailPayout

HELD = 96_000


def paid(w):
    connected(w)
    batch = approved(w)
    payout = paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert payout.state == "paid"
    return batch, payout


def reverse(w, payout, fen=None):
    w.bench.client.transfers.reversals.create(payout.provider_id, params={"amount": fen} if fen else {})


def pull(w, *, days=9):
    later = w.now + timedelta(days=days)
    span = Period(w.now - timedelta(days=1), later)
    return reconciliation.pull(rail=walks.sandbox(), during=span, actor=w.finance, now=later)


def taken(batch, payout):
    batch.refresh_from_db()
    payout.refresh_from_db()
    assert (batch.state, batch.returns, payout.state) == ("returned", 1, "reversed")
    assert (of_kind("gateway_clearing"), of_kind("settlement_clearing")) == (HELD, HELD)
    assert auditing.audit(now=payout.reversed_at).clean


def test_its_notice_books_it_back_once_whatever_comes_again(w, gateway):
    batch, payout = paid(w)
    reverse(w, payout)
    letters = gateway.letters("transfer.reversed")
    assert letters
    for _delivery in range(3):
        walks.deliver(walks.sandbox(), letters, now=w.now)
    taken(batch, payout)
    assert {each.state for each in PaymentEvent.objects.filter(type="transfer.reversed")} == {"done"}
    check = pull(w)
    taken(batch, payout)
    assert (check.open_entries, check.difference_fen) == (0, 0)


def test_the_daily_report_books_it_back_where_no_notice_came(w, gateway):
    batch, payout = paid(w)
    assert pull(w).open_entries == 0
    batch.refresh_from_db()
    assert batch.state == "reconciled"
    reverse(w, payout)
    for _again in range(2):
        check = pull(w, days=10)
        taken(batch, payout)
        assert (batch.bank_line, check.open_entries, check.difference_fen) == ("", 0, 0)


def test_it_is_paid_anew_over_the_gateway_once_a_person_has_looked(w, gateway):
    batch, payout = paid(w)
    reverse(w, payout)
    taken_back.look_back(payout=payout, now=w.now)
    taken(batch, payout)
    with pytest.raises(Forbidden):
        bouncing.release(actor=w.owner, batch=batch, text="x", now=w.now)
    bouncing.release(actor=w.finance, batch=batch, text="与实验室核实了账户", now=w.now)
    again = paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert (again.state, again.number != payout.number, of_kind("gateway_clearing")) == ("paid", True, 0)
    assert paying_out.pay(actor=w.finance, batch=batch, now=w.now) == again
    check = pull(w)
    batch.refresh_from_db()
    assert (batch.state, check.open_entries, auditing.audit(now=w.now).clean) == ("reconciled", 0, True)
    reverse(w, again)
    taken_back.look_back(payout=again, now=w.now)
    batch.refresh_from_db()
    assert (batch.state, batch.returns, of_kind("gateway_clearing")) == ("returned", 2, HELD)


def test_or_by_the_bank_whose_line_shows_it_once(w, gateway, monkeypatch):
    batch, payout = paid(w)
    reverse(w, payout)
    taken_back.look_back(payout=payout, now=w.now)
    over = accounts.in_force(w, w.lab, now=w.now - timedelta(days=10))
    monkeypatch.setattr(routing, "passing_rails", list)  # the operator passes nothing on any more
    bouncing.release(actor=w.finance, batch=batch, text="改由银行付款", now=w.now)
    batch.refresh_from_db()
    assert batch.account == over
    order = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, ("1", "960.00", "成功", "")))
    bring(w, row("BK-0", "-960.00", name="某实验室"), look=False)
    parts = [Part(PartKind.SETTLEMENT, HELD, batch=batch)]
    rival = w.finance_approver
    made = banking.match(actor=w.finance, line=line("BK-0"), parts=parts, now=w.now)
    if made.state == "proposed":
        banking.confirm(actor=rival, match=made, now=w.now)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line) == ("reconciled", "BK-0")


def test_what_is_taken_back_in_part_is_booked_by_nobody_and_told_once(w, gateway):
    batch, payout = paid(w)
    reverse(w, payout, 1_000)
    for _again in range(2):
        taken_back.look_back(payout=payout, now=w.now)
    batch.refresh_from_db()
    payout.refresh_from_db()
    assert (batch.state, payout.state, payout.failure_code) == ("paid", "paid", "reversed_in_part")
    assert pull(w).open_entries == 1
    reverse(w, payout)
    assert (pull(w, days=10).open_entries, RailPayout.objects.get().state) == (0, "reversed")


def test_a_strangers_transfer_and_a_silent_gateway_change_nothing(w, gateway):
    batch, payout = paid(w)
    assert not taken_back.notice(rail="stripe", provider_id="tr_stranger", now=w.now)
    reverse(w, payout)
    gateway.fault("drop_before", method="GET", path="/v1/transfers")
    pull(w)
    if RailPayout.objects.get().state == "paid":
        pull(w, days=10)
    taken(batch, payout)
    assert queries.due_by_payee(now=w.now) == {}, "it waits in its batch, not for another"
    assert Payment.objects.get().state == "confirmed"
