"""A bank reference explains one thing: what a person said by hand, or what its line was matched with."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.money import Money
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due, line, refund
from tests.vouchers.settlements.ordered import answer, approved, exported, imported
from vouchers.banking import automatic, claiming, rules, services, undoing, wanting
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.banking.suggesting import load, suggestions
from vouchers.charges import refunding
from vouchers.payments import services as payments
from vouchers.settlements import discrepancies, seeing
from vouchers.settlements import services as settlements
from vouchers.settlements.order_models import PaymentOrder
from vouchers.settlements.order_rules import AnswerOutcome
from vouchers.settlements.seeing import SeenElsewhere


def settled(batch, amount: int) -> list[Part]:
    return [Part(PartKind.SETTLEMENT, amount, batch=batch)]


def paid(w, *, number: int = 1) -> tuple[PaymentOrder, list]:
    """Return a payment order and its batches of ¥100.00 each, which the bank says it has paid."""
    batches = [approved(w) for _each in range(number)]
    order = exported(w, *batches)
    imported(w, order, answer(order, *((str(at), "100.00", "成功", "") for at in range(1, number + 1))))
    for batch in batches:
        batch.refresh_from_db()
    return order, batches


def test_a_refund_recorded_by_hand_is_recognised_though_another_followed(w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", memo=payment.reference))
    refund(w, payment, 6_000)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="R1", now=make.NOW)
    other = due(w, 96_000)
    bring(w, row("A2", "960.00", memo=other.reference))
    for owed, key in ((payment, "refund-2"), (other, "refund-3")):
        refunding.refund(actor=w.keeper, charge=owed.charge, amount=Money(6_000), reason="x", now=make.NOW, key=key)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="R2", now=make.NOW)
    bring(w, row("R1", "-60.00"), look=False)
    with pytest.raises(rules.Claimed):
        services.match(
            actor=w.finance, line=line("R1"), parts=[Part(PartKind.REFUND, 6_000, payment=other)], now=make.NOW
        )
    automatic.look_again(line=line("R1"), now=make.NOW)
    [part] = line("R1").matches.get().parts.all()
    payment.refresh_from_db()
    assert (line("R1").state, part.kind, part.payment) == ("matched", "paid_back", payment)
    assert payment.paid_back_reference == "R2"


def test_one_reference_pays_back_one_payment_by_hand(w):
    for at, reference in ((1, "R1"), (2, "r 1")):
        payment = due(w, 96_000)
        bring(w, row(f"A{at}", "960.00", memo=payment.reference))
        refunding.refund(
            actor=w.keeper, charge=payment.charge, amount=Money(100), reason="x", now=make.NOW, key=f"refund-{at}"
        )
        if at == 1:
            payments.pay_back(actor=w.finance, payment=payment, bank_reference=reference, now=make.NOW)
        else:
            with pytest.raises(rules.Claimed):
                payments.pay_back(actor=w.finance, payment=payment, bank_reference=reference, now=make.NOW)


def test_the_line_of_a_payout_reconciles_its_batch(w):
    _order, [batch] = paid(w)
    bring(w, row("BK-0", "-100.00", name="某实验室"))
    batch.refresh_from_db()
    assert (line("BK-0").state, batch.state, batch.bank_line, batch.reconciled_by) == (
        "matched",
        "reconciled",
        "BK-0",
        None,
    )
    made = line("BK-0").matches.get()
    undoing.doubt(actor=w.finance, match=made, reason="不是这笔", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line, line("BK-0").state) == ("paid", "", "open")


def test_a_batch_is_reconciled_when_all_of_its_money_is_seen(w):
    _order, [batch] = paid(w)
    bring(w, row("Z1", "-40.00", name="甲"), row("Z2", "-60.00", name="甲"), row("Z3", "-60.01", name="甲"))
    rival = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    services.match(actor=rival, line=line("Z1"), parts=settled(batch, 4_000), now=make.NOW)
    batch.refresh_from_db()
    assert batch.state == "paid"
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=rival, line=line("Z3"), parts=settled(batch, 6_001), now=make.NOW)
    services.match(actor=rival, line=line("Z2"), parts=settled(batch, 6_000), now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.reconciled_by_id) == ("reconciled", rival.user_id)


def test_a_proposal_reserves_and_shows_nothing(w):
    rival = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    batch = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-1", now=make.NOW)
    bring(w, row("Z1", "-40.00", name="甲"), row("Z2", "-60.00", name="甲"), row("Z3", "-40.00", name="甲"))
    made = services.match(actor=w.finance, line=line("Z1"), parts=settled(batch, 4_000), now=make.NOW)
    services.match(actor=rival, line=line("Z2"), parts=settled(batch, 6_000), now=make.NOW)
    batch.refresh_from_db()
    assert (made.state, batch.state) == ("proposed", "paid"), "nobody has confirmed that ¥40.00 of it went out"
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=rival, line=line("Z3"), parts=settled(batch, 4_000), now=make.NOW)
    services.refuse(actor=w.finance, match=made, note="看错了", now=make.NOW)
    services.match(actor=rival, line=line("Z3"), parts=settled(batch, 4_000), now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line) == ("reconciled", "Z3")


def test_one_line_pays_every_batch_of_a_payment_order(w):
    order, batches = paid(w, number=3)
    bring(w, row("Z1", "-300.00", name="代发", memo=order.number))
    for batch in batches:
        batch.refresh_from_db()
        assert (batch.state, batch.bank_line) == ("reconciled", "Z1")


def test_a_line_is_recognised_by_the_reference_of_one_payment_of_an_order(w):
    order, batches = paid(w, number=2)
    [first, _second] = order.lines.order_by("position")
    bring(w, row("Z1", "-100.00", name="x", memo=f"结算 {first.reference}"))
    batches[0].refresh_from_db()
    batches[1].refresh_from_db()
    assert (batches[0].state, batches[1].state) == ("reconciled", "paid")


def test_who_recorded_the_payment_shows_it_by_a_line_with_a_second_person(w):
    batch = approved(w)
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    bring(w, row("Z1", "-100.00", name="x"))
    assert line("Z1").hint == "amount"
    made = services.match(actor=w.finance, line=line("Z1"), parts=settled(batch, 10_000), now=make.NOW)
    batch.refresh_from_db()
    assert (made.state, batch.state) == ("proposed", "paid")
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line, batch.reconciled_by_id) == ("reconciled", "Z1", w.finance_approver.user_id)


def test_a_reference_typed_for_a_batch_explains_nothing_else(w):
    first, second = approved(w), approved(w)
    settlements.mark_paid(actor=w.finance, batch=first, bank_reference="TR-1", now=make.NOW)
    with pytest.raises(rules.Claimed):
        settlements.mark_paid(actor=w.finance, batch=second, bank_reference="tr-1 ", now=make.NOW)
    settlements.mark_paid(actor=w.finance, batch=second, bank_reference="TR-2", now=make.NOW)
    bring(w, row("TR-1", "-100.00", name="x"), look=False)
    with pytest.raises(rules.Claimed):
        services.match(actor=w.finance, line=line("TR-1"), parts=settled(second, 10_000), now=make.NOW)
    both = [*settled(first, 5_000), *settled(second, 5_000)]
    with pytest.raises(rules.Claimed):
        services.match(actor=w.finance, line=line("TR-1"), parts=both, now=make.NOW)


def test_who_marked_a_payment_by_hand_and_brings_the_statement_is_one_person(w):
    batch = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-1", now=make.NOW)
    bring(w, row("TR-1", "-100.00", name="x"))
    made = line("TR-1").matches.get()
    batch.refresh_from_db()
    assert (made.state, batch.state) == ("proposed", "paid")
    with pytest.raises(rules.SamePerson):
        services.confirm(actor=w.finance, match=made, now=make.NOW)
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line) == ("reconciled", "TR-1")


def test_a_line_of_one_payment_of_an_order_reconciles_no_other_by_hand(w):
    _order, [first, second] = paid(w, number=2)
    with pytest.raises(rules.Claimed) as told:
        settlements.reconcile(actor=w.finance_approver, batch=second, bank_line="BK-0", now=make.NOW)
    assert told.value.params["target"] == first.number
    settlements.reconcile(actor=w.finance_approver, batch=second, bank_line="BK-1", now=make.NOW)


def test_a_known_line_reconciles_by_hand_no_more_than_it_shows(w):
    _order, [first, second] = paid(w, number=2)
    bring(w, row("Z1", "-150.00", name="x"), look=False)
    settlements.reconcile(actor=w.finance_approver, batch=first, bank_line="Z1", now=make.NOW)
    with pytest.raises(rules.LineTooSmall):
        settlements.reconcile(actor=w.finance_approver, batch=second, bank_line="z1", now=make.NOW)
    second.refresh_from_db()
    assert second.state == "paid"


def test_a_reference_of_a_return_file_pays_nothing_back_by_hand(w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", memo=payment.reference))
    refund(w, payment, 6_000)
    paid(w)
    with pytest.raises(rules.Claimed):
        payments.pay_back(actor=w.finance, payment=payment, bank_reference="bk-0", now=make.NOW)


def test_a_return_file_with_a_reference_used_by_hand_is_a_case(w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", memo=payment.reference))
    refund(w, payment, 6_000)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="BK-0", now=make.NOW)
    batch = approved(w)
    order = exported(w, batch)
    said = imported(w, order, answer(order, ("1", "100.00", "成功", "")))
    batch.refresh_from_db()
    assert (said.paid, said.discrepancies, batch.state) == (0, 1, "exported")
    case = order.discrepancies.get()
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="银行流水号有误", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_reference) == ("paid", order.lines.get().reference)


def test_a_reference_is_decided_about_before_any_row_is_locked(w):
    batch = approved(w)
    with CaptureQueriesContext(connection) as ran:
        settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    locks = [
        each["sql"] for each in ran if "FOR NO KEY UPDATE" in each["sql"] or "pg_advisory_xact_lock" in each["sql"]
    ]
    assert str(claiming.REFERENCES) in locks[0]


def test_a_batch_reconciled_by_another_line_is_explained_once(w):
    _order, [batch] = paid(w)
    settlements.reconcile(actor=w.finance_approver, batch=batch, bank_line="BK-9", now=make.NOW)
    bring(w, row("Z1", "-100.00", name="x"))
    with pytest.raises(SeenElsewhere):
        services.match(actor=w.finance, line=line("Z1"), parts=settled(batch, 10_000), now=make.NOW)


def test_what_the_statement_shows_as_paid_is_not_explained_away(w):
    batch = approved(w)
    order = exported(w, batch)
    imported(w, order, answer(order, ("1", "100.00", "失败", "账号已销户")))
    imported(w, order, answer(order, ("1", "90.00", "成功", "")), "再.csv")
    case = order.discrepancies.get()
    discrepancies.explain(actor=w.finance, case=case, text="没有付", now=make.NOW)
    bring(w, row("BK-0", "-90.00", name="x"))
    with pytest.raises(rules.Shown):
        discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    discrepancies.send_back(actor=w.finance_approver, case=case, now=make.NOW)
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="已扣款", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert case.line is not None
    assert seeing.late_fen(case.line) == 9_000


def test_the_line_of_a_payment_made_late_is_matched_with_it_once(w):
    batch = approved(w)
    order = exported(w, batch)
    imported(w, order, answer(order, ("1", "100.00", "失败", "账号已销户")))
    imported(w, order, answer(order, ("1", "100.00", "成功", "")), "再.csv")
    case = order.discrepancies.get()
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="已扣款", now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    bring(w, row("BK-0", "-100.00", name="x"), row("Z2", "-100.00", name="x"))
    found = line("BK-0")
    [best, *_rest] = suggestions(found, load([found]))
    assert (best.parts[0].order_line, best.certain) == (order.lines.get(), False)
    wanted = [wanting.Wanted(PartKind.SETTLEMENT, order.lines.get().reference)]
    services.match(actor=w.finance, line=found, parts=wanting.parts_of(found, wanted), now=make.NOW)
    assert line("BK-0").state == "matched"
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=w.finance, line=line("Z2"), parts=wanting.parts_of(line("Z2"), wanted), now=make.NOW)


def test_a_payout_of_long_ago_is_left_to_a_person(w):
    _order, [batch] = paid(w)
    type(batch).objects.filter(pk=batch.pk).update(paid_at=make.NOW - timedelta(days=100))
    bring(w, row("BK-0", "-100.00", name="某实验室"))
    found = line("BK-0")
    [best, *_rest] = suggestions(found, load([found]))
    assert (found.state, best.reasons, best.certain) == (
        "open",
        ("batch_reference", "amount", "day_differs"),
        False,
    )


def test_lines_nobody_placed_are_looked_at_again_each_day(w):
    bring(w, row("Z1", "-100.00", name="x"), row("BK-0", "-100.00", name="x"))
    paid(w)
    assert automatic.look_again_at_old(now=make.NOW + timedelta(hours=23)) == 0
    assert automatic.look_again_at_old(now=make.NOW + timedelta(hours=25)) == 1
    assert [line(each).state for each in ("Z1", "BK-0")] == ["open", "matched"]
    assert automatic.look_again_at_old(now=make.NOW + timedelta(hours=26)) == 0
