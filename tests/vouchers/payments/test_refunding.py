"""Money goes back the way it came, once: over its rail by itself, by bank where no rail can."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from tests import make
from tests.vouchers.payments import scripted
from vouchers.charges import refunding as charges
from vouchers.charges import services as billing
from vouchers.ledger import verification
from vouchers.payments import arriving, attempting, looking, rail_rules, refunding, rules, services, settling
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method, SeenState
from vouchers.payments.rail_models import PaymentAttempt, RefundAttempt

pytestmark = pytest.mark.django_db

CARD = attempting.Wanted(scripted.CODE, Method.CARD, "https://portal.example/back")


def later(**span: int):
    return make.NOW + timedelta(**span)


def paid(w, payment, rail, *, key="attempt-key-1") -> PaymentAttempt:
    """Pay what is left over the rail."""
    attempt = attempting.start(actor=w.owner, payment=payment, wanted=CARD, key=key, now=make.NOW)
    return attempting.see(attempt=attempt, seen=rail.pay(attempt.number), now=make.NOW)


def give_back(w, payment, fen: int, *, key="refund-key-1"):
    charges.refund(
        actor=w.keeper, charge=payment.charge, amount=Money(fen), reason="没测成", now=later(days=1), key=key
    )


@pytest.fixture(autouse=True)
def _clean():
    yield
    assert verification.verify() == []


def test_a_refund_of_the_service_goes_back_over_the_rail_by_itself(w, owed, rail):
    attempt = paid(w, owed, rail)
    give_back(w, owed, 36_000)
    looking.look_at_due(now=later(days=2))
    refund = RefundAttempt.objects.get()
    owed.refresh_from_db()
    attempt.refresh_from_db()
    assert (refund.state, refund.amount_fen, refund.taken_from) == ("succeeded", 36_000, "due")
    assert (owed.paid_back_fen, owed.owed_back_fen, attempt.refunded_fen) == (36_000, 0, 36_000)
    assert rail.balance_now() == Money(60_000)
    with pytest.raises(rules.NothingOwedBack):
        services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=3))


def test_what_was_lost_is_asked_again_by_its_key(w, owed, rail):
    paid(w, owed, rail)
    rail.will("refund", "lost", "away")
    give_back(w, owed, 36_000)
    for minute in (1, 3, 5, 70):
        looking.look_at_due(now=later(days=1, minutes=minute))
        if minute == 1:
            assert RefundAttempt.objects.get().state == "unknown"
    assert RefundAttempt.objects.get().state == "succeeded"
    assert rail.balance_now() == Money(60_000)


def test_a_mixed_payment_gives_each_back_its_way_and_never_both(w, owed, rail):
    arriving.receive(
        payment=owed, amount=Money(30_000), source="line:1", account="bank:main", actor=w.finance, now=make.NOW
    )
    paid(w, owed, rail)
    give_back(w, owed, 80_000)
    refund = RefundAttempt.objects.get()
    assert refund.amount_fen == 66_000
    services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=1))
    with pytest.raises(rail_rules.RefundUnderWay):
        services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=1))
    refunding.send(refund=refund, now=later(days=1))
    owed.refresh_from_db()
    assert (owed.paid_back_fen, owed.owed_back_fen) == (80_000, 0)


def test_a_refund_the_gateway_refuses_is_paid_by_bank_once(w, owed, rail):
    paid(w, owed, rail)
    rail.will("refund", "no:charge_disputed")
    give_back(w, owed, 36_000)
    failed = refunding.send(refund=RefundAttempt.objects.get(), now=later(days=1))
    assert (failed.state, failed.failure_code) == ("failed", "charge_disputed")
    assert refunding.owe(payment=owed, now=later(days=1)) == []
    with pytest.raises(Forbidden):
        settling.pay_by_bank(actor=w.owner, refund=failed, bank_reference="ICBC-9", now=later(days=2))
    settling.pay_by_bank(actor=w.finance, refund=failed, bank_reference="icbc-9", now=later(days=2))
    with pytest.raises(InvalidTransition):
        settling.pay_by_bank(actor=w.finance, refund=failed, bank_reference="ICBC-9", now=later(days=2))
    with pytest.raises(InvalidTransition):
        settling.retry(actor=w.finance, refund=failed, now=later(days=2))
    owed.refresh_from_db()
    assert (owed.paid_back_fen, owed.paid_back_reference) == (36_000, "ICBC-9")


def test_finance_may_try_the_rail_once_more(w, owed, rail):
    paid(w, owed, rail)
    rail.will("refund", "no:processing_error")
    give_back(w, owed, 36_000)
    failed = refunding.send(refund=RefundAttempt.objects.get(), now=later(days=1))
    again = refunding.send(refund=settling.retry(actor=w.finance, refund=failed, now=later(days=2)), now=later(days=2))
    owed.refresh_from_db()
    assert (again.state, owed.paid_back_fen) == ("succeeded", 36_000)


def test_money_the_payers_bank_sends_back_is_owed_again(w, owed, rail):
    paid(w, owed, rail)
    give_back(w, owed, 36_000)
    done = refunding.send(refund=RefundAttempt.objects.get(), now=later(days=1))
    with rail.gateway() as it:
        [seen] = it.refunds.values()
    from dataclasses import replace

    back = replace(seen, state=SeenState.FAILED)
    for _again in range(2):
        done = refunding.see(refund=RefundAttempt.objects.get(), seen=back, now=later(days=4))
    owed.refresh_from_db()
    assert (done.state, owed.paid_back_fen, owed.owed_back_fen) == ("failed", 0, 36_000)
    services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=5))
    done.refresh_from_db()
    assert done.settled_as == "bank:ICBC-9"


def test_after_the_gateways_window_it_goes_by_bank(w, owed, rail):
    paid(w, owed, rail)
    charges.refund(
        actor=w.keeper, charge=owed.charge, amount=Money(5), reason="没测成", now=later(days=180), key="refund-key-1"
    )
    assert not RefundAttempt.objects.exists()
    services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=181))


def test_what_an_advance_was_not_used_for_and_what_is_refunded_later_leave_the_right_accounts(w, rail):
    bill = billing.Bill("order:X", "compute", w.enterprise.pk, w.lab.pk, Money(1000), {}, pay_by=later(hours=1))
    charge = billing.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
    payment = Payment.objects.get(charge=charge)
    paid(w, payment, rail)
    billing.capture(charge_id=charge.pk, actual=Money(700), measured={}, actor=w.keeper, now=later(hours=2))
    charges.refund(
        actor=w.keeper, charge=charge, amount=Money(100), reason="没测成", now=later(days=1), key="refund-key-1"
    )
    looking.ask_what_is_owed(now=later(days=1))
    looking.look_at_due(now=later(days=2))
    payment.refresh_from_db()
    taken = dict(RefundAttempt.objects.values_list("taken_from", "amount_fen"))
    assert (taken, payment.paid_back_fen) == ({"advance": 300, "due": 100}, 400)
    assert rail.balance_now() == Money(600)


def test_a_dropped_advance_goes_back_whole_by_bank_too(w):
    bill = billing.Bill("order:X", "compute", w.enterprise.pk, w.lab.pk, Money(1000), {}, pay_by=later(hours=1))
    charge = billing.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
    payment = Payment.objects.get(charge=charge)
    services.confirm(actor=w.finance, payment=payment, bank_reference="ICBC-1", now=make.NOW)
    billing.capture(charge_id=charge.pk, actual=Money(700), measured={}, actor=w.keeper, now=later(hours=2))
    charges.refund(
        actor=w.keeper, charge=charge, amount=Money(100), reason="没测成", now=later(days=1), key="refund-key-1"
    )
    services.pay_back(actor=w.finance, payment=payment, bank_reference="ICBC-2", now=later(days=2))
    payment.refresh_from_db()
    assert payment.paid_back_fen == 400


def test_after_the_keys_are_forgotten_a_refund_is_looked_for_by_number(w, owed, rail):
    paid(w, owed, rail)
    rail.will("refund", "lost")
    give_back(w, owed, 36_000)
    refund = refunding.send(refund=RefundAttempt.objects.get(), now=later(days=1))
    assert refunding.look(refund=refund, now=later(days=3)).state == "succeeded"
    assert rail.balance_now() == Money(60_000)


def test_proof_that_there_is_none_leaves_it_to_the_bank(w, owed, rail):
    paid(w, owed, rail)
    rail.will("refund", "away")
    give_back(w, owed, 36_000)
    refund = refunding.send(refund=RefundAttempt.objects.get(), now=later(days=1))
    assert refunding.look(refund=refund, now=later(days=3)).state == "failed"
    services.pay_back(actor=w.finance, payment=owed, bank_reference="ICBC-9", now=later(days=4))


def test_a_failed_refund_of_what_is_not_owed_any_more_is_not_paid_by_bank(w, owed, rail):
    attempt = paid(w, owed, rail)
    failed = RefundAttempt.objects.create(
        number="B-1", attempt=attempt, payment=owed, amount_fen=1, state="failed", taken_from="due", key="b",
        created_at=make.NOW, asked_by="x",
    )  # fmt: skip
    with pytest.raises(rules.NothingOwedBack):
        settling.pay_by_bank(actor=w.finance, refund=failed, bank_reference="ICBC-9", now=later(days=2))
    with pytest.raises(rules.NothingOwedBack):
        settling.retry(actor=w.finance, refund=failed, now=later(days=2))


def test_a_refund_nobody_answers_for_is_looked_for_by_the_schedule_and_then_told_once(w, owed, rail):
    paid(w, owed, rail)
    give_back(w, owed, 36_000)
    rail.will("refund", *["away"] * 20)
    rail.will("find_refund", *["away"] * 20)
    refund, looked = RefundAttempt.objects.get(), []
    while refund.next_look_at is not None:
        looked.append((refund.next_look_at - refund.created_at).total_seconds())
        looking.look_at_due(now=refund.next_look_at)
        refund.refresh_from_db()
    assert looked == [15, 75, 375, 3_975, 90_375]
    assert refund.state == "unknown"
    assert Record.objects.filter(action="payment.rail_alarm").count() == 1


def test_a_refund_nobody_looks_for_any_more_is_looked_for_again_by_finance(w, owed, rail):
    paid(w, owed, rail)
    give_back(w, owed, 36_000)
    refund = RefundAttempt.objects.get()
    RefundAttempt.objects.update(state="unknown", looks=9, next_look_at=None)
    with pytest.raises(Forbidden):
        looking.look_again_for_refund(actor=w.owner, refund=refund, now=later(days=1, hours=1))
    looking.look_again_for_refund(actor=w.finance, refund=refund, now=later(days=1, hours=1))
    looking.look_at_due(now=later(days=1, hours=1))
    refund.refresh_from_db()
    assert (refund.state, Record.objects.filter(action="payment.refund_looked").count()) == ("succeeded", 1)
    with pytest.raises(InvalidTransition):
        looking.look_again_for_refund(actor=w.finance, refund=refund, now=later(days=1, hours=1))
