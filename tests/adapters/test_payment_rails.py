"""What every payment rail promises, whoever is behind it: each test runs against each gateway there is.

The sandbox payment server is always there; with ``GONGXIANG_STRIPE_TEST_KEY`` so is Stripe itself, in test mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_socket

from integrations.stripe.configuring import STRIPE
from integrations.stripe.wire import KeyRefused
from portal.kernel.money import Money
from portal.kernel.period import Period
from tests.adapters.rails import REAL_KEY, RailBench, client_of, stripe_rail
from vouchers.payments.ports import BalanceKind, EventKind, Method, NextKind, RailRefused, SeenState

S = SeenState
GATEWAYS = ["sandbox", *(["stripe"] if REAL_KEY else [])]


@pytest.fixture(params=GATEWAYS)
def bench(request: pytest.FixtureRequest) -> Iterator[RailBench]:
    if request.param == "stripe":
        pytest_socket._remove_restrictions()
        key, base = REAL_KEY, STRIPE
    else:
        server = request.getfixturevalue("payserver")
        key, base = server.key, server.address
    yield RailBench(stripe_rail(key, base), client_of(key, base))


def around(bench: RailBench) -> Period:
    return Period(bench.begun - timedelta(seconds=5), datetime.now(UTC) + timedelta(minutes=5))


def test_a_page_is_opened_read_found_and_closed(bench):
    order = bench.order(Method.CHECKOUT)
    seen = bench.rail.start(order, key=f"{order.number}/start")
    assert (seen.state, seen.number, seen.amount, seen.currency) == (
        S.REQUIRES_ACTION,
        order.number,
        order.amount,
        "CNY",
    )
    assert seen.session_id
    assert seen.next_action is not None
    assert seen.next_action.kind is NextKind.REDIRECT
    assert seen.next_action.url.startswith("http")
    assert seen.next_action.expires_at is not None
    assert abs(seen.next_action.expires_at - order.expires_at) < timedelta(seconds=2)
    assert bench.rail.fetch(seen.provider_id) == seen
    assert bench.rail.find(order.number, since=bench.begun) == seen

    closed = bench.rail.cancel(seen.provider_id, key=f"{order.number}/cancel")
    assert closed.state is S.CANCELLED
    assert bench.rail.fetch(seen.session_id).state is S.CANCELLED
    assert bench.rail.cancel(seen.provider_id, key=f"{order.number}/again").state is S.CANCELLED


@pytest.mark.parametrize(("method", "kind"), [(Method.ALIPAY, NextKind.REDIRECT), (Method.WECHAT_PAY, NextKind.QR)])
def test_a_wallet_is_followed_or_scanned_and_given_up(bench, method, kind):
    order = bench.order(method)
    seen = bench.rail.start(order, key=f"{order.number}/start")
    assert (seen.state, seen.number, seen.amount, seen.currency) == (
        S.REQUIRES_ACTION,
        order.number,
        order.amount,
        "CNY",
    )
    assert seen.method == method.value
    assert seen.next_action is not None
    assert seen.next_action.kind is kind
    assert seen.next_action.url
    assert bench.rail.find(order.number, since=bench.begun) == bench.rail.fetch(seen.provider_id)
    assert bench.rail.cancel(seen.provider_id, key=f"{order.number}/cancel").state is S.CANCELLED


def test_a_card_is_typed_on_a_page_for_cards_alone(bench):
    order = bench.order(Method.CARD)
    seen = bench.rail.start(order, key=f"{order.number}/start")
    assert seen.next_action is not None
    assert seen.next_action.kind is NextKind.REDIRECT
    page = bench.client.checkout.sessions.retrieve(seen.session_id)
    assert page.payment_method_types == ["card"]
    bench.rail.cancel(seen.provider_id, key=f"{order.number}/cancel")


def test_the_same_key_gives_the_first_answer(bench):
    order = bench.order(Method.ALIPAY)
    first = bench.rail.start(order, key=f"{order.number}/start")
    assert bench.rail.start(order, key=f"{order.number}/start") == first
    bench.rail.cancel(first.provider_id, key=f"{order.number}/cancel")


def test_a_key_used_for_something_else_leads_to_what_it_opened(bench):
    order = bench.order(Method.ALIPAY)
    first = bench.rail.start(order, key=f"{order.number}/start")
    dearer = bench.order(Method.ALIPAY, number=order.number, amount=Money(99900))
    assert bench.rail.start(dearer, key=f"{order.number}/start").provider_id == first.provider_id
    bench.rail.cancel(first.provider_id, key=f"{order.number}/cancel")


def test_what_was_never_opened_is_not_found(bench):
    assert bench.rail.find(bench.number(), since=bench.begun) is None


def test_a_payment_through_is_told_whole_and_not_cancelled(bench):
    payment = bench.charge()
    seen = bench.rail.fetch(payment)
    assert (seen.state, seen.received, seen.refunded, seen.method) == (S.SUCCEEDED, Money(12345), Money(0), "card")
    assert bench.rail.cancel(payment, key=f"{payment}/cancel") == seen
    assert bench.rail.find(seen.number, since=bench.begun) == seen


@pytest.mark.parametrize(
    ("card", "code", "words"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", ""),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", ""),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", ""),
    ],
)
def test_a_declined_card_says_why(bench, card, code, words):
    seen = bench.rail.fetch(bench.charge(card))
    assert seen.state is S.FAILED
    assert seen.failure is not None
    assert seen.failure.code == code
    assert words in seen.failure.text
    assert seen.received == Money(0)


def test_a_bank_that_asks_first_sends_the_payer_there(bench):
    seen = bench.rail.fetch(bench.charge("pm_card_authenticationRequired"))
    assert seen.state is S.REQUIRES_ACTION
    assert seen.next_action is not None
    assert seen.next_action.kind is NextKind.REDIRECT


def test_what_was_authorised_is_taken_in_part(bench):
    payment = bench.charge(capture_method="manual")
    assert bench.rail.fetch(payment).state is S.REQUIRES_CAPTURE
    taken = bench.rail.capture(payment, amount=Money(2345), key=f"{payment}/capture")
    assert (taken.state, taken.received) == (S.SUCCEEDED, Money(2345))


def test_refunds_in_part_then_whole_then_no_more(bench):
    payment = bench.charge()
    first, second = bench.number(), bench.number()
    refund = bench.rail.refund(payment, number=first, amount=Money(45), reason="duplicate", key=first)
    assert (refund.state, refund.number, refund.payment_id, refund.amount) == (S.SUCCEEDED, first, payment, Money(45))
    assert bench.rail.refund(payment, number=first, amount=Money(45), reason="duplicate", key=first) == refund
    assert bench.rail.fetch_refund(refund.provider_id) == refund
    assert bench.rail.find_refund(first, payment_id=payment) == refund
    assert bench.rail.find_refund(second, payment_id=payment) is None
    with pytest.raises(RailRefused):
        bench.rail.refund(payment, number=second, amount=Money(12301), reason="", key=f"{second}/much")
    bench.rail.refund(payment, number=second, amount=Money(12300), reason="", key=second)
    assert bench.rail.fetch(payment).refunded == Money(12345)
    with pytest.raises(RailRefused) as caught:
        bench.rail.refund(payment, number=bench.number(), amount=Money(1), reason="", key=f"{second}/more")
    assert caught.value.params["reason"]


def test_balance_and_events_tell_of_it_oldest_first(bench):
    payment = bench.charge()
    refund = bench.rail.refund(payment, number=bench.number(), amount=Money(45), reason="", key=f"{payment}/refund")
    lines = bench.rail.balance(during=around(bench))
    mine = [line for line in lines if line.source in {payment, refund.provider_id}]
    assert {line.kind for line in mine} == {BalanceKind.PAYMENT, BalanceKind.REFUND}
    assert all(line.net == line.amount - line.fee for line in lines)
    assert [line.created_at for line in lines] == sorted(line.created_at for line in lines)
    events = bench.rail.events(during=around(bench))
    assert (EventKind.PAYMENT, payment) in {(event.kind, event.object_id) for event in events}
    assert [event.created_at for event in events] == sorted(event.created_at for event in events)
    assert isinstance(bench.rail.balance_now(), Money)


def test_amount_and_currency_are_told_as_the_gateway_has_them(bench):
    number = bench.number()
    bench.charge(amount=12344, currency="usd", number=number)
    seen = bench.rail.find(number, since=bench.begun)
    assert seen is not None
    assert (seen.amount, seen.currency, seen.number) == (Money(12344), "USD", number)


def test_whose_account_it_is(bench):
    holder = bench.rail.holder()
    assert holder.account.startswith("acct_")
    assert holder.is_expected


def test_what_is_not_there_is_a_plain_no(bench):
    for ask in (bench.rail.fetch, bench.rail.fetch_refund, bench.rail.fetch_dispute):
        with pytest.raises(RailRefused) as caught:
            ask("pi_nothing0000000000000000")
        assert caught.value.params["reason"] == "resource_missing"


def test_a_key_nobody_knows_is_the_operators_business(bench):
    rail: Any = stripe_rail("sk_live_wrong000000000", bench.rail.config.api_base)
    for ask in (rail.balance_now, lambda: rail.start(bench.order(), key=bench.number())):
        with pytest.raises(KeyRefused) as caught:
            ask()
        assert "wrong0000" not in str(caught.value)
        assert "wrong0000" not in repr(caught.value.__cause__)
