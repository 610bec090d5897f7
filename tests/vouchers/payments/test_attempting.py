"""Paying over a rail: one attempt, one charge, whatever is lost, refused, repeated or late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, Unavailable
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import Money
from portal.pages.actions import event
from tests import make
from tests.vouchers.payments import scripted
from vouchers.ledger import verification
from vouchers.payments import arriving, attempting, looking, rail_rules, services
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.ports import Method, NextAction, NextKind, SeenState
from vouchers.payments.rail_models import PaymentAttempt, RefundAttempt

pytestmark = pytest.mark.django_db

CARD = attempting.Wanted(scripted.CODE, Method.CARD, "https://portal.example/back")
CODE = attempting.Wanted(scripted.CODE, Method.WECHAT_PAY, "https://portal.example/back")


def start(w, payment, wanted=CARD, *, key="attempt-key-1", now=make.NOW) -> PaymentAttempt:
    return attempting.start(actor=w.owner, payment=payment, wanted=wanted, key=key, now=now)


def later(**span: int):
    return make.NOW + timedelta(**span)


def test_shows_what_to_do_and_books_the_money_once_it_is_there(w, owed, rail):
    attempt = start(w, owed, CODE)
    assert (attempt.state, attempt.next_kind, attempt.amount_fen) == ("requires_action", "qr", 96_000)
    assert attempt.next_url.startswith("weixin://")
    rail.pay(attempt.number)
    for _again in range(3):
        attempt = attempting.look(attempt=attempt, now=later(minutes=1))
    owed.refresh_from_db()
    assert (attempt.state, owed.state, owed.paid_fen) == ("succeeded", "confirmed", 96_000)
    assert Arrival.objects.get().source == f"attempt:{attempt.number}"
    assert verification.verify() == []


def test_one_key_is_one_attempt_and_the_open_one_is_everybodys(w, owed, rail):
    first = start(w, owed)
    assert start(w, owed).pk == first.pk
    assert start(w, owed, key="attempt-key-2").pk == first.pk
    with pytest.raises(KeyReused):
        start(w, owed, CODE)
    with rail.gateway() as it:
        assert it.count("start") == 1


def test_another_method_ends_the_open_attempt_at_the_gateway_first(w, owed, rail):
    first = start(w, owed)
    second = start(w, owed, CODE, key="attempt-key-2")
    first.refresh_from_db()
    assert (first.state, second.state) == ("cancelled", "requires_action")


def test_an_attempt_that_had_succeeded_meanwhile_counts_instead_of_a_second_one(w, owed, rail):
    first = start(w, owed)
    rail.pay(first.number)
    answer = start(w, owed, CODE, key="attempt-key-2")
    assert (answer.pk, answer.state) == (first.pk, "succeeded")
    assert PaymentAttempt.objects.count() == 1


def test_an_attempt_in_the_gateways_hands_cannot_be_replaced(w, owed, rail):
    first = start(w, owed)
    rail.pay(first.number, SeenState.PROCESSING)
    with pytest.raises(rail_rules.StillOpen):
        start(w, owed, CODE, key="attempt-key-2")


@pytest.mark.parametrize(("what", "starts"), [("lost", 2), ("away", 2)])
def test_a_lost_answer_is_found_out_by_the_janitor_without_a_second_charge(w, owed, rail, what, starts):
    with rail.gateway() as it:
        it.starts_as = SeenState.SUCCEEDED
    rail.will("start", what)
    attempt = start(w, owed)
    assert attempt.state == "unknown"
    assert looking.look_at_due(now=later(seconds=14)) == 0
    assert looking.look_at_due(now=later(seconds=16)) == 1
    attempt.refresh_from_db()
    owed.refresh_from_db()
    assert (attempt.state, owed.state) == ("succeeded", "confirmed")
    with rail.gateway() as it:
        assert (len(it.payments), it.count("start")) == (1, starts)


def test_after_the_keys_are_forgotten_it_is_looked_for_by_number(w, owed, rail):
    with rail.gateway() as it:
        it.starts_as = SeenState.SUCCEEDED
    rail.will("start", "lost")
    attempt = start(w, owed)
    attempt = attempting.look(attempt=attempt, now=later(hours=24))
    assert attempt.state == "succeeded"
    with rail.gateway() as it:
        assert it.count("find") == 1


def test_proof_that_there_is_none_is_a_failure(w, owed, rail):
    rail.will("start", "away")
    attempt = start(w, owed)
    attempt = attempting.look(attempt=attempt, now=later(hours=24))
    assert (attempt.state, attempt.failure_code) == ("failed", "not_found")
    assert start(w, owed, key="attempt-key-2", now=later(hours=24)).state == "requires_action"


def test_a_gateway_away_for_good_ends_with_a_person(w, owed, rail):
    rail.will("start", *["away"] * 20)
    rail.will("find", *["away"] * 20)
    attempt = start(w, owed)
    now = make.NOW
    for _look in range(20):
        attempt.refresh_from_db()
        if attempt.next_look_at is None:
            break
        now = attempt.next_look_at
        looking.look_at_due(now=now)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.next_look_at) == ("unknown", None)
    looking.look_again(actor=w.finance, attempt=attempt, now=now)
    rail.reset()
    looking.look_at_due(now=now)
    attempt.refresh_from_db()
    assert attempt.state == "failed"


def test_what_is_unknown_is_looked_for_by_the_schedule_and_when_its_time_is_up(w, owed, rail):
    rail.will("start", *["away"] * 20)
    rail.will("find", *["away"] * 20)
    attempt, looked = start(w, owed), []
    while attempt.next_look_at is not None:
        looked.append(attempt.next_look_at - make.NOW)
        looking.look_at_due(now=attempt.next_look_at)
        attempt.refresh_from_db()
    steps = [timedelta(seconds=15), timedelta(seconds=75), timedelta(seconds=375), timedelta(seconds=3_975)]
    assert looked == [*steps, timedelta(hours=2), timedelta(hours=26)]
    told = Record.objects.get(action="payment.rail_alarm")
    assert told.at == make.NOW + timedelta(hours=26)


def test_the_trail_says_from_which_state_to_which(w, owed, rail):
    attempt = start(w, owed)
    rail.pay(attempt.number)
    attempting.look(attempt=attempt, now=later(minutes=1))
    changed = Record.objects.filter(action="payment.attempt_changed").order_by("pk")
    assert [(row.data["was"], row.data["state"]) for row in changed] == [
        ("created", "requires_action"),
        ("requires_action", "succeeded"),
    ]
    assert "状态：等待付款 → 支付成功" in event(changed.last()).details


def test_a_refusal_says_why_and_another_try_is_free(w, owed, rail):
    rail.will("start", "no:insufficient_funds")
    attempt = start(w, owed)
    assert (attempt.state, attempt.failure_code) == ("failed", "insufficient_funds")
    assert start(w, owed, CODE, key="attempt-key-2").state == "requires_action"


def test_is_given_up_by_its_payer_and_its_code_is_dead(w, owed, rail):
    attempt = attempting.cancel(actor=w.owner, attempt=start(w, owed), now=later(minutes=1))
    assert (attempt.state, attempt.next_url) == ("cancelled", "")
    with rail.gateway() as it:
        assert it.payments[attempt.provider_id].state is SeenState.CANCELLED


def test_giving_up_needs_the_gateways_answer(w, owed, rail):
    attempt = start(w, owed)
    rail.will("cancel", "away")
    with pytest.raises(Unavailable):
        attempting.cancel(actor=w.owner, attempt=attempt, now=later(minutes=1))
    attempt.refresh_from_db()
    assert attempt.state == "requires_action"


def test_an_attempt_nobody_paid_is_ended_at_the_gateway_when_its_time_is_over(w, owed, rail):
    attempt = start(w, owed)
    looking.look_at_due(now=attempt.expires_at)
    attempt.refresh_from_db()
    assert attempt.state == "cancelled"


def test_a_late_success_counts_from_whatever_state(w, owed, rail):
    attempt = attempting.cancel(actor=w.owner, attempt=start(w, owed), now=later(minutes=1))
    seen = rail.pay(attempt.number)
    attempting.see(attempt=attempt, seen=seen, now=later(minutes=2))
    owed.refresh_from_db()
    assert owed.state == "confirmed"


def test_money_twice_goes_back_once_and_at_once(w, owed, rail):
    attempt = start(w, owed)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-1", now=later(minutes=1))
    seen = rail.pay(attempt.number)
    for _again in range(3):
        attempting.see(attempt=attempt, seen=seen, now=later(minutes=2))
    refund = RefundAttempt.objects.get()
    assert (refund.state, refund.amount_fen, refund.taken_from) == ("succeeded", 96_000, "unapplied")
    assert rail.balance_now() == Money(0)
    assert verification.verify() == []


def test_what_was_paid_otherwise_meanwhile_is_not_collected_a_second_time(w, owed, rail):
    attempt = start(w, owed)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-1", now=later(minutes=1))
    looking.look_at_due(now=later(minutes=1))
    attempt.refresh_from_db()
    assert attempt.state == "cancelled"


def test_only_what_is_left_is_asked_for(w, owed, rail):
    arriving.receive(
        payment=owed, amount=Money(36_000), source="line:1", account="bank:main", actor=w.finance, now=make.NOW
    )
    assert start(w, owed).amount_fen == 60_000


@pytest.mark.parametrize(
    "wrong", [{"amount": Money(95_999), "received": Money(95_999)}, {"currency": "USD"}, {"received": Money(95_999)}]
)
def test_money_that_is_not_as_asked_is_not_booked(w, owed, rail, wrong):
    attempt = start(w, owed)
    rail.pay(attempt.number, **wrong)
    attempt = attempting.look(attempt=attempt, now=later(minutes=1))
    assert attempt.state == "requires_action"
    assert attempt.failure_text
    assert not Arrival.objects.exists()


def test_is_for_the_payer_alone_and_for_what_is_due(w, owed, rail):
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    for stranger in (rival, w.researcher, w.finance):
        with pytest.raises(Forbidden):
            attempting.start(actor=stranger, payment=owed, wanted=CARD, key="attempt-key-1", now=make.NOW)
    with pytest.raises(rail_rules.NoSuchRail):
        start(w, owed, attempting.Wanted("stripe", Method.CARD, ""))
    with pytest.raises(rail_rules.NoSuchRail):
        start(w, owed, attempting.Wanted(scripted.CODE, Method.ALIPAY, ""))
    services.declare(actor=w.owner, payment=owed, bank_reference="ICBC-1", now=make.NOW)
    with pytest.raises(rail_rules.TransferDeclared):
        start(w, owed)
    services.confirm(actor=w.finance, payment=owed, bank_reference="ICBC-1", now=make.NOW)
    with pytest.raises(rail_rules.NothingToPay):
        start(w, owed)


def test_an_advances_attempt_ends_with_its_hold(w, owed, rail):
    Payment.objects.update(due_until=later(minutes=10))
    owed.refresh_from_db()
    assert start(w, owed).expires_at == owed.due_until
    with pytest.raises(rail_rules.TooLate):
        start(w, owed, key="attempt-key-2", now=later(minutes=10))


def test_never_sends_a_payer_where_no_page_is(w, owed, rail):
    attempt = start(w, owed)
    with rail.gateway() as it:
        [seen] = it.payments.values()
    evil = replace(seen, next_action=NextAction(NextKind.REDIRECT, "javascript:alert(1)"))
    assert attempting.see(attempt=attempt, seen=evil, now=make.NOW).next_url == ""
