"""A bank pays what it had said had failed, or what was taken back: nothing is paid twice unseen, and nothing is lost."""

from __future__ import annotations

import pytest

from tests import make
from tests.calling import Caller
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import bought, granted, of_kind
from tests.vouchers.settlements import ordered
from vouchers.ledger import auditing
from vouchers.settlements import access, discrepancies, order_rules, ordering, queries, rules, services
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrderLine
from vouchers.settlements.order_rules import AnswerOutcome

PAID = ("1", "100.00", "成功", "")
FAILED = ("1", "100.00", "失败", "账号已销户")


def state(row):
    row.refresh_from_db()
    return row.state


def settled(w, case):
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="银行已扣款", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    return case


def failed_then_paid(w):
    batch = ordered.approved(w)
    order = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, FAILED))
    later = ordered.imported(w, order, ordered.answer(order, PAID))
    assert (later.paid, later.discrepancies) == (0, 1)
    return batch, Discrepancy.objects.get()


def test_nothing_of_it_is_drafted_while_nobody_knows_whether_it_is_paid(w):
    batch, case = failed_then_paid(w)
    assert queries.due_by_payee(now=make.NOW).get(batch.payee_id, 0) == 0
    with pytest.raises(rules.NothingToSettle):
        services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
    discrepancies.explain(actor=w.finance, case=case, text="银行更正：未付", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert services.draft(actor=w.finance, payee=batch.payee, now=make.NOW).total_fen == 10_000


def test_a_closed_case_does_not_silence_the_bank_when_it_says_paid_again(w):
    batch, case = failed_then_paid(w)
    discrepancies.explain(actor=w.finance, case=case, text="银行更正：未付", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    second = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
    said = ordered.imported(w, case.order, ordered.answer(case.order, PAID) + b"\r\n", name="again.csv")
    assert (said.paid, said.discrepancies) == (0, 1)
    with pytest.raises(order_rules.PaidPerhaps):
        services.approve(actor=w.finance_approver, batch=second, now=make.NOW)
    third = ordered.imported(w, case.order, ordered.answer(case.order, PAID) + b"\r\n\r\n", name="again.csv")
    assert third.discrepancies == 0, "one case for the same words while nobody has closed it"


def test_a_later_batch_with_the_same_money_goes_no_step_further(w):
    batch = ordered.approved(w)
    order = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, FAILED))
    second = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
    ordered.imported(w, order, ordered.answer(order, PAID))
    with pytest.raises(order_rules.PaidPerhaps):
        services.approve(actor=w.finance_approver, batch=second, now=make.NOW)
    case = Discrepancy.objects.get()
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="银行已扣款", now=make.NOW)
    with pytest.raises(order_rules.HeldElsewhere) as told:
        discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert told.value.params["numbers"] == second.number
    services.discard(actor=w.finance, batch=second, now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert auditing.audit(now=make.NOW).clean


def test_an_approved_batch_with_the_same_money_is_neither_exported_nor_marked_paid(w):
    batch = ordered.approved(w)
    order = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, FAILED))
    second = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
    services.approve(actor=w.finance_approver, batch=second, now=make.NOW)
    ordered.imported(w, order, ordered.answer(order, PAID))
    with pytest.raises(order_rules.OrderRefused) as refused:
        ordered.exported(w, second)
    assert [reason.code for reason in refused.value.reasons] == ["payment_order.paid_perhaps"]
    with pytest.raises(order_rules.PaidPerhaps):
        services.mark_paid(actor=w.finance, batch=second, bank_reference="TR-1", now=make.NOW)
    assert state(second) == "approved"


def test_what_turns_out_paid_is_owed_back_and_the_next_batch_takes_it_off(w):
    batch, case = failed_then_paid(w)
    settled(w, case)
    assert PaymentOrderLine.objects.get(pk=case.line_id).state == "paid_late"
    assert (of_kind("cash_provider_payable"), of_kind("receivable_provider")) == (10_000, 10_000)
    assert of_kind("bank_clearing") == 0, "came in and went out"
    netted = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
    assert netted.total_fen == 0
    services.approve(actor=w.finance_approver, batch=netted, now=make.NOW)
    services.mark_paid(actor=w.finance, batch=netted, bank_reference="", now=make.NOW)
    assert (of_kind("cash_provider_payable"), of_kind("receivable_provider")) == (0, 0)
    assert of_kind("bank_clearing") == 0
    assert auditing.audit(now=make.NOW).clean
    with pytest.raises(rules.NothingToSettle):
        services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)


def test_programme_money_paid_late_is_taken_off_the_same_programmes(w):
    voucher = granted(w, 10_000)
    accounts.in_force(w, w.lab)
    bought(w, [voucher], 100_000)
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    order = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, ("1", "500.00", "失败", "账号已销户")))
    ordered.imported(w, order, ordered.answer(order, ("1", "500.00", "成功", "")))
    settled(w, Discrepancy.objects.get())
    assert (of_kind("settled"), of_kind("provider_payable")) == (50_000, 50_000)
    bought(w, [voucher], 20_000, subject="job:J-2")
    netted = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert netted.total_fen == 10_000
    services.approve(actor=w.finance_approver, batch=netted, now=make.NOW)
    services.mark_paid(actor=w.finance, batch=netted, bank_reference="TR-2", now=make.NOW)
    assert (of_kind("settled"), of_kind("provider_payable"), of_kind("receivable_provider")) == (60_000, 0, 0)
    assert auditing.audit(now=make.NOW).clean


def cancelled(w):
    batch = ordered.approved(w)
    order = ordered.exported(w, batch)
    ordering.cancel(actor=w.finance_approver, order=order, reason="没有送出", now=make.NOW)
    return batch, order


def test_a_cancelled_order_is_answered_and_its_batch_becomes_paid(w):
    batch, order = cancelled(w)
    ordered.imported(w, order, ordered.answer(order, PAID))
    case = Discrepancy.objects.get()
    with pytest.raises(order_rules.OrderRefused):
        ordered.exported(w, batch)
    settled(w, case)
    assert (state(batch), batch.bank_reference) == ("paid", "BK-0")
    assert (of_kind("settlement_clearing"), of_kind("receivable_provider")) == (0, 0)
    assert auditing.audit(now=make.NOW).clean


def test_a_cancelled_order_that_was_not_paid_agrees_with_what_is_known(w):
    batch, order = cancelled(w)
    said = ordered.imported(w, order, ordered.answer(order, FAILED))
    assert (said.unchanged, said.discrepancies, state(batch)) == (1, 0, "approved")


def test_a_cancelled_order_paid_after_its_batch_was_sent_again_is_known_as_paid_twice(w):
    batch, order = cancelled(w)
    again = ordered.exported(w, batch)
    ordered.imported(w, order, ordered.answer(order, PAID))
    case = Discrepancy.objects.get()
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="已扣款", now=make.NOW)
    with pytest.raises(order_rules.HeldElsewhere):
        discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    ordered.imported(w, again, ordered.answer(again, PAID))
    assert state(batch) == "paid"
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert of_kind("receivable_provider") == 10_000, "the provider has it twice and owes it back once"
    assert auditing.audit(now=make.NOW).clean


@pytest.mark.parametrize(("yuan", "fen"), [("60.00", 6_000), ("100.01", 10_001)])
def test_what_the_bank_paid_late_is_booked_and_not_what_was_asked_for(w, yuan, fen):
    batch, order = cancelled(w)
    ordered.imported(w, order, ordered.answer(order, ("1", yuan, "成功", "")))
    settled(w, Discrepancy.objects.get())
    assert (state(batch), of_kind("receivable_provider")) == ("approved", fen)
    assert auditing.audit(now=make.NOW).clean


def test_no_line_alone_is_sent_back_once_the_whole_has_been_with_the_bank(w):
    batch, _order = cancelled(w)
    line = batch.lines.get()
    with pytest.raises(rules.WasSent):
        services.reject_line(actor=w.finance, batch=batch, line_id=line.pk, reason="缺页", now=make.NOW)


def test_a_case_is_closed_by_another_and_a_line_that_failed_does_not_fail_again(w):
    batch, case = failed_then_paid(w)
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="已扣款", now=make.NOW)
    with pytest.raises(order_rules.CaseOfAnother):
        discrepancies.close(actor=w.finance, case=case, now=make.NOW)
    discrepancies.send_back(actor=w.finance_approver, case=case, now=make.NOW)
    case.refresh_from_db()
    with pytest.raises(order_rules.NotToBePaid):
        discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.FAILED, text="x", now=make.NOW)
    assert SettlementBatch.objects.get(pk=batch.pk).state == "discarded"


def test_orders_and_cases_are_finances_alone(w):
    _batch, case = failed_then_paid(w)
    for other in (w.owner, w.lab_owner, w.keeper, w.auditor):
        assert not access.orders_visible_to(other).exists()
        assert not access.cases_visible_to(other).exists()
        assert not access.terms_visible_to(other).exists()
        assert Caller(other).get(f"/discrepancies/{case.number}").status == 404
    assert access.get_case(w.finance, case.number) == case
