"""A second opinion from a stand-in that is not ours: localstripe, where somebody runs one. Never installed by us (GPL).

``GONGXIANG_LOCALSTRIPE=http://127.0.0.1:8420 pytest tests/adapters/test_localstripe.py``. It knows neither Checkout nor wallets,
ignores idempotency keys and lets more be refunded than was paid, so only what it answers as Stripe does is asked.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import stripe

from integrations.stripe.reading import ATTEMPT
from portal.kernel.money import Money
from tests.adapters.rails import RailBench, client_of, stripe_rail
from vouchers.payments.ports import RailRefused, SeenState

ADDRESS = os.environ.get("GONGXIANG_LOCALSTRIPE", "")
KEY = "sk_test_12345"
S = SeenState


@pytest.fixture
def bench() -> RailBench:
    if not ADDRESS:
        pytest.skip("GONGXIANG_LOCALSTRIPE is not set")
    return RailBench(stripe_rail(KEY, ADDRESS), client_of(KEY, ADDRESS))


def paid(bench: RailBench, card: str = "4242424242424242") -> tuple[str, str]:
    """Pay in the words it knows; return the payment and our number."""
    number = bench.number()
    details: Any = {"number": card, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    method = bench.client.payment_methods.create({"type": "card", "card": details})
    made = bench.client.payment_intents.create(
        {"amount": 12345, "currency": "cny", "metadata": {ATTEMPT: number}, "payment_method": method.id}
    )
    return bench.client.payment_intents.confirm(made.id).id, number


def test_a_payment_is_read_and_given_back_in_parts(bench):
    payment, number = paid(bench)
    seen = bench.rail.fetch(payment)
    assert (seen.state, seen.amount, seen.currency, seen.number) == (S.SUCCEEDED, Money(12345), "CNY", number)
    refund = bench.rail.refund(payment, number="R1", amount=Money(45), reason="", key="R1")
    assert (refund.state, refund.amount, refund.payment_id) == (S.SUCCEEDED, Money(45), payment)
    assert bench.rail.fetch_refund(refund.provider_id).provider_id == refund.provider_id
    assert bench.rail.fetch(payment).refunded == Money(45)


def test_what_is_open_is_given_up_and_what_is_through_stays(bench):
    made = bench.client.payment_intents.create(
        {"amount": 500, "currency": "cny", "metadata": {ATTEMPT: bench.number()}}
    )
    assert bench.rail.cancel(made.id, key="cancel").state is S.CANCELLED
    payment, _number = paid(bench)
    assert bench.rail.cancel(payment, key="cancel").state is S.SUCCEEDED


def test_a_declined_card_and_what_is_not_there_are_refused(bench):
    with pytest.raises(stripe.CardError) as caught:
        paid(bench, "4000000000000341")
    assert caught.value.code == "card_declined"
    with pytest.raises(RailRefused):
        bench.rail.fetch("pi_nothing000000000000000")
