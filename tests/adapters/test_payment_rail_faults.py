"""A payment rail when the way to the gateway is bad, and everything only the sandbox can be made to do.

Whatever happens, what is opened is opened once, what is not known is not guessed, and `find` proves.
"""

from __future__ import annotations

import io
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.stripe.notices import TYPES
from integrations.stripe.rail import StripeRail
from portal.kernel.errors import Unavailable
from portal.kernel.money import Money
from portal.kernel.period import Period
from tests.adapters.rails import RailBench, client_of, stripe_rail
from vouchers.payments.ports import BadEvent, BalanceKind, EventKind, Method, RailRefused, SeenState

S = SeenState


@pytest.fixture
def bench(payserver: Any) -> RailBench:
    rail = stripe_rail(payserver.key, payserver.address, read_s=1.0, whole_s=2.0)
    return RailBench(rail, client_of(payserver.key, payserver.address))


LOST = {
    "drop_before": ({"fault": "drop_before"}, False),
    "drop_after": ({"fault": "drop_after"}, True),
    "slow before": ({"fault": "delay", "seconds": 1.6, "phase": "before"}, True),
    "slow after": ({"fault": "delay", "seconds": 1.6, "phase": "after"}, True),
    "429": ({"fault": "rate_limit"}, False),
    "500 before": ({"fault": "error", "status": 500, "phase": "before"}, False),
    "503 after": ({"fault": "error", "status": 503, "phase": "after"}, True),
    "truncate": ({"fault": "truncate"}, True),
    "garble": ({"fault": "garble"}, True),
    "half open": ({"fault": "half_open", "seconds": 1.6, "phase": "before"}, False),
    "half open after": ({"fault": "half_open", "seconds": 1.6, "phase": "after"}, True),
}
"""Each fault, and whether the act is done in the end."""


@pytest.fixture(params=LOST)
def lost(request: pytest.FixtureRequest) -> tuple[dict[str, Any], bool]:
    return LOST[request.param]


def settled(payserver: Any, kind: str, wanted: int) -> int:
    """Return how many objects of a kind there are, once a slow request has had its time."""
    for _turn in range(60):
        if (count := len(payserver.objects(kind))) >= wanted:
            return count
        threading.Event().wait(0.05)
    return len(payserver.objects(kind))


def test_a_lost_answer_to_a_start_is_one_payment(bench, payserver, lost):
    fault, done = lost
    order = bench.order(Method.ALIPAY)
    payserver.order("faults", {**fault, "method": "POST", "path": "/v1/payment_intents$"})
    with pytest.raises(Unavailable):
        bench.rail.start(order, key=order.number)
    assert settled(payserver, "payment_intent", int(done)) == int(done)
    found = bench.rail.find(order.number, since=bench.begun)
    assert (found is not None) is done
    seen = bench.rail.start(order, key=order.number)
    assert seen.number == order.number
    assert [one["metadata"]["gongxiang_attempt"] for one in payserver.objects("payment_intent")] == [order.number]
    again = bench.rail.find(order.number, since=bench.begun)
    assert again is not None
    assert again.provider_id == seen.provider_id


def test_a_lost_answer_to_a_page_is_one_page(bench, payserver, lost):
    fault, done = lost
    order = bench.order(Method.CHECKOUT)
    payserver.order("faults", {**fault, "method": "POST", "path": "/v1/checkout/sessions$"})
    with pytest.raises(Unavailable):
        bench.rail.start(order, key=order.number)
    assert settled(payserver, "checkout.session", int(done)) == int(done)
    seen = bench.rail.start(order, key=order.number)
    assert len(payserver.objects("checkout.session")) == 1
    assert bench.rail.find(order.number, since=bench.begun) == seen


def test_a_lost_answer_to_a_refund_is_one_refund(bench, payserver, lost):
    fault, done = lost
    payment, number = bench.charge(), bench.number()

    def ask() -> Any:
        return bench.rail.refund(payment, number=number, amount=Money(45), reason="", key=number)

    payserver.order("faults", {**fault, "method": "POST", "path": "/v1/refunds$"})
    with pytest.raises(Unavailable):
        ask()
    assert settled(payserver, "refund", int(done)) == int(done)
    assert (bench.rail.find_refund(number, payment_id=payment) is not None) is done
    assert ask() == bench.rail.find_refund(number, payment_id=payment)
    assert bench.rail.fetch(payment).refunded == Money(45)


def test_a_lost_answer_to_a_cancel_a_capture_or_a_transfer_is_done_once(bench, payserver):
    order = bench.order(Method.WECHAT_PAY)
    opened = bench.rail.start(order, key=order.number)
    held = bench.charge(capture_method="manual")
    account = bench.client.accounts.create({"type": "express", "country": "HK"}).id
    bench.charge(amount=50_000)
    payserver.advance(30 * 86_400)
    acts: list[tuple[str, Callable[[], Any]]] = [
        ("cancel", lambda: bench.rail.cancel(opened.provider_id, key="c").state),
        ("capture", lambda: bench.rail.capture(held, amount=Money(100), key="k").received),
        (
            "transfers$",
            lambda: bench.rail.transfer(number="T1", destination=account, amount=Money(500), key="t").amount,
        ),
    ]
    for path, act in acts:
        payserver.fault("drop_after", method="POST", path=path)
        with pytest.raises(Unavailable):
            act()
    assert [act() for _path, act in acts] == [S.CANCELLED, Money(100), Money(500)]
    assert len(payserver.objects("transfer")) == 1
    found = bench.rail.find_transfer("T1", since=bench.begun)
    assert found is not None
    assert (found.number, found.destination, found.amount) == ("T1", account, Money(500))
    assert bench.rail.find_transfer("T2", since=bench.begun) is None


def test_reading_that_fails_proves_nothing(bench, payserver, lost):
    fault, _done = lost
    order = bench.order(Method.ALIPAY)
    seen = bench.rail.start(order, key=order.number)
    payserver.order("faults", {**fault, "method": "GET", "path": "/v1/payment_intents$"})
    with pytest.raises(Unavailable):
        bench.rail.find(order.number, since=bench.begun)
    payserver.order("faults", {**fault, "method": "GET", "path": "/v1/payment_intents/"})
    with pytest.raises(Unavailable):
        bench.rail.fetch(seen.provider_id)


def test_a_failure_the_key_keeps_is_looked_behind(bench, payserver):
    """Stripe keeps a 500 of its own under the key for a day: asking again gives it again, only looking tells."""
    order = bench.order(Method.ALIPAY)
    payserver.fault("stored_error", method="POST", path="/v1/payment_intents$")
    for _turn in range(2):
        with pytest.raises(Unavailable):
            bench.rail.start(order, key=order.number)
    assert bench.rail.find(order.number, since=bench.begun) is None
    bench.charge(number=order.number)
    assert bench.rail.start(order, key=order.number).state is S.SUCCEEDED


def test_the_same_key_at_the_same_time_opens_one(bench, payserver):
    order = bench.order(Method.ALIPAY)
    payserver.fault("delay", method="POST", path="/v1/payment_intents$", seconds=0.5, phase="during")
    told: list[Any] = []

    def ask() -> None:
        try:
            told.append(bench.rail.start(order, key=order.number).provider_id)
        except Unavailable:
            told.append(None)

    threads = [threading.Thread(target=ask) for _one in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(payserver.objects("payment_intent")) == 1
    assert len({one for one in told if one}) <= 1
    assert bench.rail.start(order, key=order.number).provider_id == payserver.objects("payment_intent")[0]["id"]


def test_after_a_day_the_key_is_forgotten_and_find_remembers(bench, payserver):
    order = bench.order(Method.ALIPAY)
    payserver.fault("drop_after", method="POST", path="/v1/payment_intents$")
    with pytest.raises(Unavailable):
        bench.rail.start(order, key=order.number)
    payserver.advance(25 * 3600)
    found = bench.rail.find(order.number, since=bench.begun)
    assert found is not None

    twin = bench.rail.start(order, key=order.number)
    assert twin.provider_id != found.provider_id
    payserver.pay(found.provider_id)
    best = bench.rail.find(order.number, since=bench.begun)
    assert best is not None
    assert (best.provider_id, best.state) == (found.provider_id, S.SUCCEEDED)


def test_what_is_looked_for_is_found_behind_the_first_page(bench, payserver):
    order = bench.order(Method.ALIPAY)
    seen = bench.rail.start(order, key=order.number)
    for _one in range(104):
        bench.client.payment_intents.create(
            {"amount": 100, "currency": "cny", "allowed_payment_method_types": ["card"]}
        )
    found = bench.rail.find(order.number, since=bench.begun)
    assert found is not None
    assert found.provider_id == seen.provider_id
    payserver.fault("truncate", method="GET", path="/v1/payment_intents$", skip=1)
    with pytest.raises(Unavailable):
        bench.rail.find(order.number, since=bench.begun)


def test_a_balance_of_many_pages_sums_up_to_what_is_there(bench, payserver):
    payments = [bench.charge(amount=1_000 + turn) for turn in range(55)]
    for turn, payment in enumerate(payments[:50]):
        bench.rail.refund(payment, number=f"R{turn}", amount=Money(turn + 1), reason="", key=f"R{turn}")
    payserver.order("fees", {"amount": 7})
    lines = bench.rail.balance(
        during=Period(bench.begun - timedelta(seconds=2), datetime.now(UTC) + timedelta(minutes=1))
    )
    assert len(lines) == 106
    assert len({line.provider_id for line in lines}) == 106
    assert sum(line.net.fen for line in lines) == bench.rail.balance_now().fen
    assert [line.source for line in lines if line.kind is BalanceKind.PAYMENT] == payments
    assert {line.kind for line in lines} == {BalanceKind.PAYMENT, BalanceKind.REFUND, BalanceKind.FEE}
    payserver.fault("drop_before", method="GET", path="/v1/balance_transactions", skip=1)
    with pytest.raises(Unavailable):
        bench.rail.balance(during=Period(bench.begun - timedelta(seconds=2), datetime.now(UTC) + timedelta(minutes=1)))


# what payers do


@pytest.mark.parametrize("method", ["card", "alipay", "wechat_pay"])
def test_a_payer_chooses_on_the_page(bench, payserver, method):
    order = bench.order(Method.CHECKOUT)
    page = bench.rail.start(order, key=order.number)
    payserver.pay(page.session_id, method=method)
    seen = bench.rail.fetch(page.provider_id)
    assert (seen.state, seen.method, seen.received, seen.number) == (S.SUCCEEDED, method, order.amount, order.number)
    assert seen.provider_id.startswith("pi_")
    assert seen.session_id == page.session_id
    assert bench.rail.find(order.number, since=bench.begun) == seen
    by_id = bench.rail.fetch(seen.provider_id)
    assert (by_id.state, by_id.number, by_id.received) == (S.SUCCEEDED, order.number, order.amount)
    assert bench.rail.cancel(page.provider_id, key="late").state is S.SUCCEEDED


def test_a_card_declined_on_the_page_may_be_followed_by_another(bench, payserver):
    order = bench.order(Method.CARD)
    page = bench.rail.start(order, key=order.number)
    intent = payserver.pay(page.session_id, card="pm_card_visa_chargeDeclinedInsufficientFunds")["id"]
    for seen in (bench.rail.fetch(page.session_id), bench.rail.fetch(intent)):
        assert (seen.state, seen.provider_id, seen.session_id) == (S.REQUIRES_ACTION, intent, page.session_id)
        assert seen.failure is not None
        assert seen.failure.code == "card_declined"
        assert seen.next_action is not None
    payserver.pay(page.session_id, card="pm_card_unionpay")
    assert bench.rail.fetch(intent).state is S.SUCCEEDED


def test_a_page_with_a_payment_on_it_is_closed_by_the_payments_id_too(bench, payserver):
    order = bench.order(Method.CARD)
    page = bench.rail.start(order, key=order.number)
    intent = payserver.pay(page.session_id, card="pm_card_visa_chargeDeclined")["id"]
    assert bench.rail.cancel(intent, key="cancel").state is S.CANCELLED
    assert bench.rail.fetch(page.session_id).state is S.CANCELLED
    assert bench.rail.fetch(intent).state is S.CANCELLED


def test_a_bank_asks_on_the_page(bench, payserver):
    order = bench.order(Method.CARD)
    page = bench.rail.start(order, key=order.number)
    payserver.pay(page.session_id, card="pm_card_threeDSecure2Required", outcome="left")
    assert bench.rail.fetch(page.session_id).state is S.REQUIRES_ACTION
    payserver.pay(page.session_id, card="pm_card_threeDSecure2Required")
    assert bench.rail.fetch(page.session_id).state is S.SUCCEEDED


@pytest.mark.parametrize("method", [Method.ALIPAY, Method.WECHAT_PAY])
@pytest.mark.parametrize(
    ("outcome", "state"), [("succeeded", S.SUCCEEDED), ("processing", S.PROCESSING), ("failed", S.FAILED)]
)
def test_wallets_end_as_their_payer_decides(bench, payserver, method, outcome, state):
    order = bench.order(method)
    opened = bench.rail.start(order, key=order.number)
    payserver.pay(opened.provider_id, outcome=outcome)
    seen = bench.rail.fetch(opened.provider_id)
    assert seen.state is state
    assert (seen.failure is not None) is (state is S.FAILED)


def test_a_page_closes_by_itself(bench, payserver):
    order = bench.order(Method.CHECKOUT)
    page = bench.rail.start(order, key=order.number)
    payserver.advance(2 * 3600 + 60)
    assert bench.rail.fetch(page.provider_id).state is S.CANCELLED


def test_a_hold_of_minutes_gets_a_page_of_at_least_half_an_hour(bench):
    order = bench.order(Method.CHECKOUT, expires_at=datetime.now(UTC) + timedelta(minutes=10))
    page = bench.rail.start(order, key=order.number)
    assert page.next_action is not None
    assert page.next_action.expires_at is not None
    assert page.next_action.expires_at - datetime.now(UTC) > timedelta(minutes=29)
    assert bench.rail.start(order, key=order.number) == page
    assert bench.rail.cancel(page.provider_id, key="cancel").state is S.CANCELLED


def test_refunds_take_their_time_and_may_come_back(bench, payserver):
    payment = bench.charge()
    payserver.order("refunds", {"mode": "pending"})
    refund = bench.rail.refund(payment, number="R1", amount=Money(100), reason="", key="R1")
    assert refund.state is S.PROCESSING
    payserver.order(f"refunds/{refund.provider_id}", {"outcome": "succeeded"})
    assert bench.rail.fetch_refund(refund.provider_id).state is S.SUCCEEDED
    payserver.order(f"refunds/{refund.provider_id}", {"outcome": "failed"})
    failed = bench.rail.fetch_refund(refund.provider_id)
    assert failed.state is S.FAILED
    assert failed.failure is not None


def test_a_dispute_takes_the_money_and_gives_it_back_when_won(bench, payserver):
    payment = bench.charge()
    opened = payserver.order("disputes", {"payment_intent": payment, "amount": 5_000, "reason": "fraudulent"})
    seen = bench.rail.fetch_dispute(opened["id"])
    assert (seen.payment_id, seen.amount, seen.state) == (payment, Money(5_000), "needs_response")
    assert (seen.withdrawn, seen.is_over, seen.reason) == (True, False, "fraudulent")
    assert seen.answer_by is not None
    payserver.order(f"disputes/{opened['id']}", {"outcome": "won"})
    won = bench.rail.fetch_dispute(opened["id"])
    assert (won.withdrawn, won.is_over, won.state) == (False, True, "won")
    lost = payserver.order("disputes", {"payment_intent": bench.charge()})
    payserver.order(f"disputes/{lost['id']}", {"outcome": "lost"})
    assert (bench.rail.fetch_dispute(lost["id"]).withdrawn, bench.rail.fetch_dispute(lost["id"]).is_over) == (
        True,
        True,
    )
    kinds = [
        line.kind
        for line in bench.rail.balance(
            during=Period(bench.begun - timedelta(seconds=2), datetime.now(UTC) + timedelta(minutes=1))
        )
    ]
    assert kinds.count(BalanceKind.DISPUTE) == 3


def test_money_is_passed_on_where_the_operator_has_connect(bench, payserver):
    account = bench.client.accounts.create({"type": "express", "country": "HK"}).id
    with pytest.raises(RailRefused) as caught:
        bench.rail.transfer(number="T0", destination=account, amount=Money(100), key="T0")
    assert caught.value.params["reason"] == "balance_insufficient"
    bench.charge(amount=100_000)
    payserver.advance(30 * 86_400)
    seen = bench.rail.transfer(number="T1", destination=account, amount=Money(100), key="T1")
    assert (seen.number, seen.destination, seen.amount, seen.currency) == ("T1", account, Money(100), "CNY")
    without = stripe_rail(payserver.key, payserver.address, transfers=False)
    with pytest.raises(RailRefused):
        without.transfer(number="T2", destination=account, amount=Money(100), key="T2")
    assert len(payserver.objects("transfer")) == 1


# notices


def read(rail: StripeRail, letter: dict[str, Any], *, now: datetime | None = None) -> Any:
    return rail.read_event(letter["body"].encode(), letter["headers"], now=now or datetime.now(UTC))


def test_every_notice_of_the_gateway_is_read(bench, payserver):
    payment = bench.charge()
    bench.rail.refund(payment, number="R1", amount=Money(1), reason="", key="R1")
    payserver.order("disputes", {"payment_intent": bench.charge()})
    order = bench.order(Method.CHECKOUT)
    page = bench.rail.start(order, key=order.number)
    bench.rail.cancel(page.provider_id, key="cancel")
    events = [read(bench.rail, letter) for letter in payserver.letters()]
    kinds = {(event.kind, event.object_id.split("_")[0]) for event in events}
    assert kinds == {
        (EventKind.PAYMENT, "pi"), (EventKind.PAYMENT, "cs"), (EventKind.REFUND, "re"), (EventKind.DISPUTE, "du"),
    }  # fmt: skip
    listed = bench.rail.events(
        during=Period(bench.begun - timedelta(seconds=2), datetime.now(UTC) + timedelta(minutes=1))
    )
    wanted = {event.id for event in events if event.type in TYPES}
    assert len(wanted) >= 6
    assert {event.id for event in listed} == wanted


def test_repeated_and_turned_round_notices_keep_their_ids(bench, payserver):
    payserver.webhook("duplicate", type="payment_intent.succeeded", copies=3)
    payserver.webhook("reorder", type="charge.", count=2, times=2)
    bench.charge()
    bench.charge()
    events = [read(bench.rail, letter) for letter in payserver.letters()]
    told = [event.id for event in events if event.type == "payment_intent.succeeded"]
    assert len(told) == 4
    assert len(set(told)) == 2


@pytest.mark.parametrize(
    ("webhook", "more"),
    [
        ("badly_signed", {}), ("unsigned", {}), ("other_account", {"account": "acct_Stranger"}),
        ("stamped", {"seconds": -400}), ("stamped", {"seconds": 400}), ("stamped", {"seconds": 365 * 86_400}),
    ],
)  # fmt: skip
def test_notices_that_are_not_for_us_are_refused(bench, payserver, webhook, more):
    payserver.webhook(webhook, type="payment_intent.succeeded", **more)
    bench.charge()
    (letter,) = payserver.letters("payment_intent.succeeded")
    with pytest.raises(BadEvent):
        read(bench.rail, letter)


def test_a_late_notice_is_signed_when_it_is_sent(bench, payserver):
    """Stripe signs anew at each delivery: what is late is told in time of then, and the same event."""
    payserver.webhook("late", type="payment_intent.succeeded", seconds=3600)
    payment = bench.charge()
    (letter,) = payserver.letters("payment_intent.succeeded")
    assert read(bench.rail, letter).object_id == payment
    with pytest.raises(BadEvent):
        read(bench.rail, letter, now=datetime.now(UTC) + timedelta(hours=1))


def test_a_notice_that_lies_about_the_amount_changes_nothing_that_is_fetched(bench, payserver):
    payserver.webhook("amount_off", type="payment_intent.succeeded", by=-1)
    payment = bench.charge()
    (letter,) = payserver.letters("payment_intent.succeeded")
    assert json.loads(letter["body"])["data"]["object"]["amount"] == 12344
    hinted = read(bench.rail, letter).object_id
    assert hinted == payment
    assert bench.rail.fetch(hinted).amount == Money(12345)


# secrets


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_log_names_what_went_wrong_and_no_secret(bench, payserver, log):
    order = bench.order(Method.ALIPAY, title="未公开配方")
    for fault in ("drop_after", "error", "garble", "rate_limit"):
        payserver.fault(fault, method="POST", path="/v1/payment_intents$")
        with pytest.raises(Unavailable):
            bench.rail.start(order, key=f"{order.number}/{fault}")
    written = log.getvalue()
    assert "stripe.unanswered" in written
    for hidden in (payserver.key, payserver.secret, "_secret_", "未公开配方", "Bearer"):
        assert hidden not in written


def test_random_faults_on_a_whole_life_end_in_one_payment_and_one_refund(bench, payserver):
    """A hundred lives would take minutes; twelve with a seed of their own each show the same."""
    for seed in range(12):
        draw = random.Random(seed)
        order, refund = bench.order(Method.ALIPAY), f"R{seed}"

        def patiently(act: Callable[[], Any]) -> Any:
            for _turn in range(8):
                try:
                    return act()
                except Unavailable:
                    continue
            raise AssertionError("never")

        for _fault in range(3):
            payserver.fault(
                draw.choice(["drop_before", "drop_after", "truncate", "rate_limit"]),
                method=draw.choice(["GET", "POST"]),
                path="/v1/",
            )
        opened = patiently(lambda order=order: bench.rail.start(order, key=order.number))
        payserver.pay(opened.provider_id)
        paid = patiently(lambda opened=opened: bench.rail.fetch(opened.provider_id))
        assert paid.state is S.SUCCEEDED
        back = patiently(
            lambda paid=paid, refund=refund: bench.rail.refund(
                paid.provider_id, number=refund, amount=Money(5), reason="", key=refund
            )
        )
        assert (
            patiently(lambda paid=paid, refund=refund: bench.rail.find_refund(refund, payment_id=paid.provider_id))
            == back
        )
    assert len(payserver.objects("payment_intent")) == 12
    assert len(payserver.objects("refund")) == 12
