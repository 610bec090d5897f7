"""Chargebacks of money that pays nothing, and answers of the gateway that come late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.kernel.errors import InvalidTransition
from portal.kernel.money import Money
from tests import make
from tests.vouchers.payments import scripted
from vouchers.charges import refunding as charges
from vouchers.ledger import verification
from vouchers.payments import attempting, disputing, looking, rail_rules, refunding, services, settling
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method, SeenDispute
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, RefundAttempt

pytestmark = pytest.mark.django_db

CARD = attempting.Wanted(scripted.CODE, Method.CARD, "https://portal.example/back")


def later(**span: int):
    return make.NOW + timedelta(**span)


@pytest.fixture(autouse=True)
def _clean():
    yield
    assert verification.verify() == []


def started(w, payment) -> PaymentAttempt:
    return attempting.start(actor=w.owner, payment=payment, wanted=CARD, key="attempt-key-1", now=make.NOW)


def came_twice(w, payment: Payment, rail) -> PaymentAttempt:
    """Let the bank's money come first: what the rail brings then pays nothing and goes back at once."""
    attempt = started(w, payment)
    services.confirm(actor=w.finance, payment=payment, bank_reference="ICBC-1", now=make.NOW)
    return attempting.see(attempt=attempt, seen=rail.pay(attempt.number), now=make.NOW)


def objected(attempt: PaymentAttempt) -> SeenDispute:
    return SeenDispute(
        "dp_1", attempt.provider_id, Money(attempt.amount_fen), "CNY", "needs_response", "fraudulent", True, False
    )


def test_a_dispute_of_what_has_gone_back_is_owed_again_as_far_as_anything_was_paid(w, owed, rail):
    """Paid twice, back once, taken once: the payer has had all its money back, and owes the whole again."""
    attempt = came_twice(w, owed, rail)
    assert RefundAttempt.objects.get().state == "succeeded"
    disputing.see(attempt=attempt, seen=objected(attempt), now=later(days=1))
    owed.refresh_from_db()
    assert (owed.state, owed.left_fen) == ("due", owed.amount_fen)


def test_a_dispute_of_what_has_gone_back_is_left_to_a_person_where_nothing_was_paid(w, owed, rail):
    attempt = started(w, owed)
    charge = owed.charge
    charges.refund(
        actor=w.keeper,
        charge=charge,
        amount=Money(charge.actual_fen),
        reason="没测成",
        now=make.NOW,
        key="whole-refund",
    )
    attempt = attempting.see(attempt=attempt, seen=rail.pay(attempt.number), now=make.NOW)
    assert RefundAttempt.objects.get().state == "succeeded"
    with pytest.raises(rail_rules.NotOurs):
        disputing.see(attempt=attempt, seen=objected(attempt), now=later(days=1))
    owed.refresh_from_db()
    assert (owed.state, owed.paid_fen) == ("cancelled", 0)
    assert not PaymentDispute.objects.exists()


def test_what_a_dispute_took_is_not_paid_by_bank_as_well(w, owed, rail):
    rail.will("refund", "no:charge_disputed")
    attempt = came_twice(w, owed, rail)
    failed = RefundAttempt.objects.get()
    assert failed.state == "failed"
    disputing.see(attempt=attempt, seen=objected(attempt), now=later(days=1))
    failed.refresh_from_db()
    assert failed.settled_as == "dispute:dp_1"
    with pytest.raises(InvalidTransition):
        settling.pay_by_bank(actor=w.finance, refund=failed, bank_reference="ICBC-9", now=later(days=2))


def test_an_answer_from_before_the_verdict_takes_nothing_again(w, owed, rail):
    attempt = started(w, owed)
    attempt = attempting.see(attempt=attempt, seen=rail.pay(attempt.number), now=make.NOW)
    taken = objected(attempt)
    disputing.see(attempt=attempt, seen=taken, now=later(days=1))
    owed.refresh_from_db()
    assert owed.left_fen == owed.amount_fen
    won = replace(taken, state="won", withdrawn=False, is_over=True)
    disputing.see(attempt=attempt, seen=won, now=later(days=2))
    disputing.see(attempt=attempt, seen=taken, now=later(days=3))
    owed.refresh_from_db()
    assert (owed.state, owed.left_fen, PaymentDispute.objects.get().taken_fen) == ("confirmed", 0, 0)


def test_an_attempt_nobody_wants_is_looked_for_by_the_schedule_not_by_every_beat(w, owed, rail):
    attempt = started(w, owed)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-1", now=make.NOW)
    rail.will("fetch", *["away"] * 20)
    for second in range(0, 60, 10):
        looking.look_at_due(now=later(seconds=second))
    attempt.refresh_from_db()
    assert attempt.looks <= 3
    assert attempt.state == "requires_action"


def test_what_breaks_keeps_no_other_waiting(w, owed, rail, monkeypatch):
    attempt = started(w, owed)
    monkeypatch.setattr(attempting, "look", lambda **_more: 1 / 0)
    assert looking.look_at_due(now=attempt.expires_at) == 0
    assert refunding.owed_by_bank(owed) == 0
