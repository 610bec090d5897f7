"""A payment to a payee that its bank sends back after it was paid: booked back by two, looked at, paid anew."""

from __future__ import annotations

import pytest

from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_claims import paid, settled
from tests.vouchers.banking.test_services import bank, bring, line
from tests.vouchers.scenarios.vouchers import of_kind
from tests.vouchers.settlements.ordered import answer, approved, exported, imported
from vouchers.banking import rules, services, undoing
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.banking.suggesting import load, suggestions
from vouchers.ledger import verification
from vouchers.settlements import bouncing, checking, order_rules, statements
from vouchers.settlements import services as settlements
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.rules import PaidBefore


def returned(batch, fen: int = 10_000) -> list[Part]:
    return [Part(PartKind.BOUNCE, fen, batch=batch)]


def bounced(w, batch, reference: str = "T1"):
    bring(w, row(reference, "100.00", name=batch.payee.name, memo="退票 户名不符"))
    made = services.match(actor=w.finance, line=line(reference), parts=returned(batch), now=make.NOW)
    assert (made.state, line(reference).state) == ("proposed", "proposed")
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    batch.refresh_from_db()
    return made


def test_a_returned_payment_is_suggested_never_booked_by_itself(w):
    _order, [batch] = paid(w)
    bring(w, row("T1", "100.00", name=batch.payee.name, memo="退汇"))
    found = line("T1")
    [best, *_rest] = suggestions(found, load([found]))
    assert (found.state, found.hint, best.parts[0].kind, best.parts[0].batch, best.certain) == (
        "open",
        "bounce_words",
        "bounce",
        batch,
        False,
    )


def test_a_returned_payment_is_booked_back_and_paid_anew(w):
    order, [batch] = paid(w)
    bring(w, row("BK-0", "-100.00", name=batch.payee.name))
    assert (of_kind("settlement_clearing"), bank()) == (0, 0)
    bounced(w, batch)
    assert (batch.state, batch.returns, batch.account, of_kind("settlement_clearing"), bank()) == (
        "returned",
        1,
        None,
        10_000,
        10_000,
    )
    assert order.lines.get().state == "returned"
    case = Discrepancy.objects.get()
    assert (case.kind, case.state) == ("bounced", "open")
    assert (verification.verify(), checking.violations()) == ([], [])
    with pytest.raises(order_rules.OrderRefused):
        exported(w, batch)
    with pytest.raises(order_rules.TextMissing):
        bouncing.release(actor=w.finance, batch=batch, text=" ", now=make.NOW)
    bouncing.release(actor=w.finance, batch=batch, text="户名已更正，电话核实", now=make.NOW)
    batch.refresh_from_db()
    case.refresh_from_db()
    assert (batch.state, case.state, case.text) == ("approved", "explained", "户名已更正，电话核实")
    for act in (settlements.discard,):
        with pytest.raises(PaidBefore):
            act(actor=w.finance, batch=batch, now=make.NOW)
    second = exported(w, batch)
    imported(w, second, answer(second, ("1", "100.00", "成功", "")), "再.csv")
    batch.refresh_from_db()
    assert (batch.state, of_kind("settlement_clearing"), bank()) == ("paid", 0, 0)
    bring(w, row("Z9", "-100.00", name="x", memo=second.lines.get().reference))
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line) == ("reconciled", "Z9")
    assert (verification.verify(), checking.violations()) == ([], [])
    period = statements.month_of(2026, 11, now=make.NOW)
    assert statements.statement(batch.payee_id, period).total_fen(statements.MovementKind.PAID) == -10_000


def test_only_the_whole_of_a_paid_batch_comes_back_once(w):
    _order, [batch] = paid(w)
    bring(w, row("T0", "99.99", name="x"), row("T2", "100.00", name="x"))
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=w.finance, line=line("T0"), parts=returned(batch, 9_999), now=make.NOW)
    bounced(w, batch)
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=w.finance, line=line("T2"), parts=returned(batch), now=make.NOW)
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=w.finance, line=line("T2"), parts=returned(approved(w)), now=make.NOW)


def test_a_return_parked_before_it_was_understood_is_counted_once(w):
    _order, [batch] = paid(w)
    bring(w, row("T1", "100.00", name="某公司"))
    services.park(actor=w.finance, line=line("T1"), now=make.NOW)
    made = services.match(actor=w.finance, line=line("T1"), parts=returned(batch), now=make.NOW)
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    assert (bank(), of_kind("settlement_clearing"), of_kind("unapplied_cash")) == (10_000, 10_000, 0)


def test_the_banks_word_and_the_line_close_one_case(w):
    order, [batch] = paid(w)
    imported(w, order, answer(order, ("1", "100.00", "失败", "户名不符")), "退票.csv")
    case = Discrepancy.objects.get()
    assert (case.kind, case.state) == ("contradicts", "open")
    bounced(w, batch)
    case.refresh_from_db()
    assert (case.state, case.answered_by_id, case.closed_by_id) == (
        "closed",
        w.finance.user_id,
        w.finance_approver.user_id,
    )
    assert Discrepancy.objects.count() == 1


def test_a_second_failure_leaves_it_waiting_and_a_bounce_is_not_undone(w):
    _order, [batch] = paid(w)
    made = bounced(w, batch)
    undone = pytest.raises(rules.CannotUndo)
    with undone:
        undoing.doubt(actor=w.finance, match=made, reason="x", now=make.NOW)
    bouncing.release(actor=w.finance, batch=batch, text="电话核实", now=make.NOW)
    second = exported(w, batch)
    imported(w, second, answer(second, ("1", "100.00", "失败", "销户")), "再.csv")
    batch.refresh_from_db()
    assert (batch.state, of_kind("settlement_clearing")) == ("returned", 10_000)
    assert checking.violations() == []
    bring(w, row("Z1", "-100.00", name="x"))
    services.match(
        actor=make.actor(w.department, make.roles.Role.FINANCE_OFFICER),
        line=line("Z1"),
        parts=settled(batch, 10_000),
        now=make.NOW,
    )
    assert line("Z1").state == "matched"
