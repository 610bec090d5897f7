"""One key, one act: replayed, refused for other parameters, told apart from a twin, forgotten after a day."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.integrations.payserver.orders import intent


@pytest.fixture
def c(payserver):
    return payserver.client


def test_the_same_key_gives_the_same_answer_and_one_payment(payserver, c):
    first, second = intent(c, key="k"), intent(c, key="k")
    assert first.to_dict() == second.to_dict()
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert len(payserver.objects("charge")) == 1


def test_a_decline_is_replayed_too(payserver, c):
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            intent(c, key="k", payment_method="pm_card_chargeDeclined")
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert len(payserver.objects("charge")) == 1


def test_an_over_refund_is_replayed_though_it_would_be_possible_now(payserver, c):
    paid = intent(c, amount=1_000)
    ask = {"payment_intent": paid.id, "amount": 1_000}
    first = c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError):
            c.refunds.create(params=ask, options={"idempotency_key": "r"})
        payserver.order(f"refunds/{first.id}", {"outcome": "failed"})
    assert c.refunds.create(params=ask, options={"idempotency_key": "r2"}).status == "succeeded"


def test_other_parameters_under_a_key_are_an_error(payserver, c):
    intent(c, key="k")
    with pytest.raises(stripe.IdempotencyError) as caught:
        intent(c, key="k", amount=12_346)
    assert (caught.value.http_status, caught.value.error.type) == (400, "idempotency_error")
    with pytest.raises(stripe.IdempotencyError):
        c.customers.create(params={"name": "x"}, options={"idempotency_key": "k"})
    assert len(payserver.objects("payment_intent")) == 1


def test_bad_parameters_are_not_kept_under_the_key(c):
    with pytest.raises(stripe.InvalidRequestError):
        intent(c, key="k", amount=0)
    assert intent(c, key="k").status == "succeeded"


def test_a_key_counts_per_account_and_not_for_reading(c):
    account = c.accounts.create(params={"type": "express"})
    here = c.customers.create(params={"name": "a"}, options={"idempotency_key": "k"})
    there = c.customers.create(params={"name": "b"}, options={"idempotency_key": "k", "stripe_account": account.id})
    assert here.id != there.id
    assert c.customers.list(options={"idempotency_key": "k"}).data[0].id == here.id


def test_a_twin_at_the_same_time_is_told_to_wait(payserver, c):
    payserver.fault("delay", seconds=0.6, path="payment_intents")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(intent, payserver.client, key="k")
        while payserver.look("faults")["faults"]:
            threading.Event().wait(0.01)
        with pytest.raises(stripe.APIError) as caught:
            intent(payserver.client, key="k")
        assert (caught.value.http_status, caught.value.error.code) == (409, "idempotency_key_in_use")
        paid = first.result()
    assert intent(c, key="k").id == paid.id


def test_fifty_at_once_under_one_key_pay_once(payserver):
    def ask(_n):
        try:
            return intent(payserver.client, key="k").id
        except stripe.APIError as error:
            assert error.http_status == 409
            return None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(50)))
    assert len(set(found) - {None}) == 1
    assert len(payserver.objects("charge")) == 1


def test_fifty_at_once_under_fifty_keys_pay_fifty_times(payserver):
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: intent(payserver.client, key=f"k{n}").id, range(50)))
    assert len(set(found)) == len(payserver.objects("charge")) == 50


def test_keys_are_forgotten_after_a_day(payserver, c):
    first = intent(c, key="k")
    payserver.advance(23 * 3600)
    assert intent(c, key="k").id == first.id
    payserver.advance(3601)
    assert intent(c, key="k").id != first.id


def test_a_key_too_long_is_refused(c):
    with pytest.raises(stripe.InvalidRequestError, match="255"):
        intent(c, key="k" * 256)
