"""Notices of a gateway: stored once, processed once, in whatever order; what is not ours waits for a person."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from tests import make
from tests.vouchers.payments import scripted
from tests.vouchers.payments.scripted import notice
from vouchers.charges import refunding as charges
from vouchers.ledger import verification
from vouchers.payments import attempting, disputing, inbox, looking, rail_rules, services, settling
from vouchers.payments.models import Arrival
from vouchers.payments.ports import EventKind, Method, SeenDispute, SeenRefund, SeenState
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt

pytestmark = pytest.mark.django_db

CARD = attempting.Wanted(scripted.CODE, Method.CARD, "https://portal.example/back")


def later(**span: int):
    return make.NOW + timedelta(**span)


@pytest.fixture
def attempt(w, owed, rail) -> PaymentAttempt:
    return attempting.start(actor=w.owner, payment=owed, wanted=CARD, key="attempt-key-1", now=make.NOW)


@pytest.fixture(autouse=True)
def _clean():
    yield
    assert verification.verify() == []


def told(id_: str, object_id: str, *, kind=EventKind.PAYMENT, times: int = 1) -> PaymentEvent:
    """Deliver a notice so often, and process it as often."""
    for _again in range(times):
        inbox.store(rail=scripted.CODE, event=notice(id_, object_id, kind=kind), body=b"{}", now=make.NOW)
        kept = PaymentEvent.objects.get(provider_event_id=id_)
        inbox.process(event_id=kept.pk, now=later(seconds=1))
    kept.refresh_from_db()
    return kept


def test_five_deliveries_book_once_and_are_counted(attempt, owed, rail):
    rail.pay(attempt.number)
    kept = told("evt_1", attempt.provider_id, times=5)
    owed.refresh_from_db()
    assert (kept.state, kept.deliveries, owed.state, Arrival.objects.count()) == ("done", 5, "confirmed", 1)


def test_whatever_the_order_the_end_is_the_same(attempt, owed, rail):
    """All six orders of three notices, against states that have moved on."""
    rail.pay(attempt.number)
    for at, order in enumerate(itertools.permutations(["created", "processing", "succeeded"])):
        for name in order:
            told(f"evt_{at}_{name}", attempt.provider_id)
    attempt.refresh_from_db()
    assert (attempt.state, Arrival.objects.count()) == ("succeeded", 1)


def test_what_was_seen_before_something_newer_changes_nothing(attempt, rail):
    with rail.gateway() as it:
        old = it.payments[attempt.provider_id]
    new = rail.pay(attempt.number)
    for seen in (new, replace(old, state=SeenState.PROCESSING), old, replace(old, state=SeenState.FAILED)):
        attempting.see(attempt=attempt, seen=seen, now=later(minutes=1))
    attempt.refresh_from_db()
    assert attempt.state == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": Money(95_999), "received": Money(95_999)},
        {"currency": "USD"},
        {"number": "A2611-999999"},
        {"number": ""},
    ],
)
def test_one_fen_another_currency_or_number_is_quarantined_and_finance_is_told(attempt, owed, rail, wrong):
    rail.pay(attempt.number, **wrong)
    kept = told("evt_1", attempt.provider_id)
    assert kept.state == "quarantined"
    assert kept.note
    assert Record.objects.filter(action="payment.rail_alarm").count() == 1
    assert not Arrival.objects.exists()


def test_a_second_payment_under_one_number_is_a_case_for_a_person(attempt, rail):
    first = rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    with rail.gateway() as it:
        it.payments["pi_twin"] = replace(first, provider_id="pi_twin")
    assert told("evt_2", "pi_twin").state == "quarantined"
    assert Arrival.objects.count() == 1


def test_finance_releases_or_ignores_what_was_quarantined(w, attempt, owed, rail):
    seen = rail.pay(attempt.number, currency="USD")
    kept = told("evt_1", attempt.provider_id)
    with pytest.raises(Forbidden):
        inbox.release(actor=w.owner, event=kept, now=later(hours=1))
    inbox.release(actor=w.finance, event=kept, now=later(hours=1))
    assert inbox.process(event_id=kept.pk, now=later(hours=1)).state == "quarantined"
    with rail.gateway() as it:
        it.payments[seen.provider_id] = replace(seen, currency="CNY")
    inbox.release(actor=w.finance, event=kept, now=later(hours=2))
    looking.look_at_due(now=later(hours=2))
    kept.refresh_from_db()
    assert kept.state == "done"
    with pytest.raises(InvalidTransition):
        inbox.ignore(actor=w.finance, event=kept, reason="重复", now=later(hours=3))


def test_ignoring_needs_a_reason(w, attempt, rail):
    rail.pay(attempt.number, currency="USD")
    kept = told("evt_1", attempt.provider_id)
    with pytest.raises(rail_rules.NoReason):
        inbox.ignore(actor=w.finance, event=kept, reason="  ", now=later(hours=1))
    assert inbox.ignore(actor=w.finance, event=kept, reason="测试数据", now=later(hours=1)).state == "ignored"


def test_what_is_none_of_ours_is_ignored(attempt, rail):
    with rail.gateway() as it:
        foreign = replace(it.payments[attempt.provider_id], provider_id="pi_shop", number="")
        it.payments["pi_shop"] = foreign
        it.refunds["re_shop"] = SeenRefund("re_shop", "pi_shop", "", SeenState.SUCCEEDED, Money(1), "CNY")
        it.disputes["dp_shop"] = SeenDispute("dp_shop", "pi_shop", Money(1), "CNY", "lost", "", True, True)
    states = [
        told("evt_1", "pi_shop").state,
        told("evt_2", "pi_gone").state,
        told("evt_3", "re_shop", kind=EventKind.REFUND).state,
        told("evt_4", "dp_shop", kind=EventKind.DISPUTE).state,
        told("evt_5", "acct_1", kind=EventKind.OTHER).state,
    ]
    assert states == ["ignored"] * 5


def test_a_refund_made_in_the_gateways_own_pages_is_a_case_for_a_person(attempt, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    with rail.gateway() as it:
        it.refunds["re_x"] = SeenRefund("re_x", attempt.provider_id, "", SeenState.SUCCEEDED, Money(1), "CNY")
    assert told("evt_2", "re_x", kind=EventKind.REFUND).state == "quarantined"


def test_a_refunds_notice_before_its_answer_books_it_once(w, attempt, owed, rail):
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-1", now=make.NOW)
    rail.pay(attempt.number)
    rail.will("refund", "lost")
    told("evt_1", attempt.provider_id)
    refund = RefundAttempt.objects.get()
    assert refund.state == "unknown"
    told("evt_3", "re_1", kind=EventKind.REFUND)
    told("evt_2", "re_1", kind=EventKind.REFUND, times=3)
    looking.look_at_due(now=later(hours=1))
    refund.refresh_from_db()
    assert refund.state == "succeeded"
    assert rail.balance_now() == Money(0)


def test_a_gateway_that_does_not_answer_is_asked_later_and_then_a_person(attempt, rail):
    rail.will("fetch", *["away"] * 9)
    kept = told("evt_1", attempt.provider_id)
    assert (kept.state, kept.tries) == ("stored", 1)
    while kept.next_look_at is not None:
        inbox.process(event_id=kept.pk, now=kept.next_look_at)
        kept.refresh_from_db()
    assert (kept.state, kept.tries) == ("quarantined", 5)


def test_notices_that_never_came_are_fetched_and_somebody_is_told_once(w, attempt, owed, rail):
    rail.pay(attempt.number)
    with rail.gateway() as it:
        it.notices = [notice("evt_1", attempt.provider_id, at=later(minutes=1))]
    assert looking.fetch_notices(now=later(minutes=5)) == 0
    for minute in (15, 20):
        looking.fetch_notices(now=later(minutes=minute))
    looking.look_at_due(now=later(minutes=21))
    owed.refresh_from_db()
    kept = PaymentEvent.objects.get()
    assert (kept.deliveries, owed.state) == (0, "confirmed")
    assert Record.objects.filter(action="payment.rail_alarm").count() == 1
    inbox.store(rail=scripted.CODE, event=notice("evt_2", "x", at=later(minutes=30)), body=b"", now=later(minutes=30))
    assert looking.silent_since(scripted.CODE, now=later(minutes=40)) is None


def disputed(attempt, rail, *, fen=96_000, withdrawn=True, state="needs_response", is_over=False) -> PaymentDispute:
    seen = SeenDispute("dp_1", attempt.provider_id, Money(fen), "CNY", state, "fraudulent", withdrawn, is_over)
    with rail.gateway() as it:
        it.disputes["dp_1"] = seen
    for _again in range(2):
        told(f"evt_{state}_{random.random()}", "dp_1", kind=EventKind.DISPUTE)
    return PaymentDispute.objects.get()


def test_disputed_money_is_due_again_from_the_day_it_is_gone(w, attempt, owed, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    assert disputed(attempt, rail).taken_fen == 96_000
    owed.refresh_from_db()
    assert (owed.state, owed.paid_fen, owed.left_fen) == ("due", 0, 96_000)
    assert rail.balance_now() == Money(0)
    disputed(attempt, rail, state="lost", is_over=True)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-7", now=later(days=30))
    owed.refresh_from_db()
    assert (owed.state, owed.owed_back_fen) == ("confirmed", 0)


def test_a_dispute_won_brings_the_money_back_once(attempt, owed, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    disputed(attempt, rail)
    assert disputed(attempt, rail, withdrawn=False, state="won", is_over=True).taken_fen == 0
    owed.refresh_from_db()
    assert (owed.state, Arrival.objects.count()) == ("confirmed", 2)
    assert not RefundAttempt.objects.exists()


def test_who_paid_again_and_wins_gets_the_second_payment_back(w, attempt, owed, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    disputed(attempt, rail)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-7", now=later(days=30))
    disputed(attempt, rail, withdrawn=False, state="won", is_over=True)
    refund = RefundAttempt.objects.get()
    assert (refund.state, refund.amount_fen, refund.taken_from) == ("succeeded", 96_000, "unapplied")


def test_a_dispute_of_what_is_owed_back_pays_it_back(w, attempt, owed, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    rail.will("refund", "no:charge_disputed")
    charges.refund(
        actor=w.keeper, charge=owed.charge, amount=Money(36_000), reason="没测成", now=later(days=1), key="refund-key-1"
    )
    looking.look_at_due(now=later(days=1, minutes=1))
    assert RefundAttempt.objects.get().state == "failed"
    disputed(attempt, rail)
    owed.refresh_from_db()
    assert (owed.paid_back_fen, owed.owed_back_fen, owed.left_fen) == (36_000, 0, 60_000)
    failed = RefundAttempt.objects.get()
    assert failed.settled_as == "dispute:dp_1"
    with pytest.raises(InvalidTransition):
        settling.pay_by_bank(actor=w.finance, refund=failed, bank_reference="ICBC-9", now=later(days=2))


def test_a_dispute_above_what_was_paid_is_not_booked(attempt, rail):
    rail.pay(attempt.number)
    told("evt_1", attempt.provider_id)
    seen = SeenDispute("dp_1", attempt.provider_id, Money(96_001), "CNY", "lost", "", True, True)
    with pytest.raises(rail_rules.NotOurs):
        disputing.see(attempt=attempt, seen=seen, now=make.NOW)
