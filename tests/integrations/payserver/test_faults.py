"""Every fault does what it says, and no more than it was ordered to."""

from __future__ import annotations

import time

import pytest
import stripe

from tests.integrations.payserver.orders import intent


@pytest.fixture
def c(payserver):
    return payserver.client


def charges(payserver):
    return len(payserver.objects("charge"))


def test_dropped_before_nothing_was_done(payserver, c):
    payserver.fault("drop_before")
    with pytest.raises(stripe.APIConnectionError):
        intent(c, key="k")
    assert charges(payserver) == 0
    assert intent(c, key="k").status == "succeeded"


def test_dropped_after_all_was_done_and_the_key_tells_it(payserver, c):
    payserver.fault("drop_after")
    with pytest.raises(stripe.APIConnectionError):
        intent(c, key="k")
    assert charges(payserver) == 1
    assert len(payserver.letters("payment_intent.succeeded")) == 1
    told = intent(c, key="k")
    assert (told.status, told.last_response.headers["Idempotent-Replayed"]) == ("succeeded", "true")
    assert charges(payserver) == 1


def test_a_limit_of_rate_does_nothing(payserver, c):
    payserver.fault("rate_limit")
    with pytest.raises(stripe.RateLimitError) as caught:
        intent(c, key="k")
    assert (caught.value.http_status, charges(payserver)) == (429, 0)
    assert intent(c, key="k").status == "succeeded"


def test_an_error_before_the_act_is_not_kept(payserver, c):
    payserver.fault("error", status=503)
    with pytest.raises(stripe.APIError) as caught:
        intent(c, key="k")
    assert (caught.value.http_status, charges(payserver)) == (503, 0)
    assert intent(c, key="k").status == "succeeded"


def test_an_error_after_the_act_hides_that_it_happened(payserver, c):
    payserver.fault("error", phase="after")
    with pytest.raises(stripe.APIError):
        intent(c, key="k")
    assert charges(payserver) == 1
    assert intent(c, key="k").status == "succeeded"
    assert charges(payserver) == 1


def test_a_kept_error_is_what_the_key_answers_for_ever(payserver, c):
    payserver.fault("stored_error")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            intent(c, key="k")
    assert charges(payserver) == 0
    assert intent(c, key="k2").status == "succeeded"


@pytest.mark.parametrize("fault", ["truncate", "garble"])
def test_a_broken_answer_is_no_answer_but_the_act_stands(payserver, c, fault):
    payserver.fault(fault)
    with pytest.raises(stripe.StripeError):
        intent(c, key="k")
    assert charges(payserver) == 1
    assert intent(c, key="k").status == "succeeded"


@pytest.mark.parametrize(("phase", "done"), [("before", 0), ("after", 1)])
def test_a_half_open_connection_never_answers(payserver, phase, done):
    payserver.fault("half_open", phase=phase, seconds=5)
    impatient = stripe.StripeClient(
        payserver.key,
        base_addresses={"api": payserver.address},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=0.5),
    ).v1
    began = time.monotonic()
    with pytest.raises(stripe.APIConnectionError):
        intent(impatient, key="k")
    assert 0.4 < time.monotonic() - began < 4
    assert charges(payserver) == done


@pytest.mark.parametrize("phase", ["before", "during", "after"])
def test_a_delay_is_as_long_as_ordered(payserver, c, phase):
    payserver.fault("delay", seconds=0.4, phase=phase)
    began = time.monotonic()
    assert intent(c).status == "succeeded"
    assert time.monotonic() - began >= 0.4


def test_a_fault_meets_only_what_it_names_as_often_as_it_says(payserver, c):
    payserver.fault("rate_limit", method="POST", path="refunds$", times=2, skip=1)
    paid = intent(c)
    c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    c.refunds.list()
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    assert payserver.look("faults")["faults"] == []
    told = [(one["path"], one["status"], one["fault"]) for one in payserver.look("asked")["asked"]]
    assert told.count(("/v1/refunds", 429, "rate_limit")) == 2


def test_a_fault_without_end_is_taken_back(payserver, c):
    order = payserver.fault("rate_limit", times=0)
    for _ in range(3):
        with pytest.raises(stripe.RateLimitError):
            c.balance.retrieve()
    payserver.order(f"faults/{order['id']}", method="DELETE")
    assert c.balance.retrieve().livemode is False


def test_sdk_retries_find_what_was_done(payserver):
    payserver.fault("drop_after", times=2)
    patient = stripe.StripeClient(payserver.key, base_addresses={"api": payserver.address}, max_network_retries=3).v1
    assert intent(patient).status == "succeeded"
    assert charges(payserver) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"fault": "nonsense"},
        {"fault": "delay", "webhook": "late"},
        {"fault": "delay", "seconds": "long"},
        {"fault": "delay", "phase": "never"},
        {"fault": "delay", "path": "("},
        {"fault": "delay", "colour": "red"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(payserver, wrong):
    with pytest.raises(AssertionError, match="error"):
        payserver.order("faults", wrong)
    assert payserver.look("faults")["faults"] == []
