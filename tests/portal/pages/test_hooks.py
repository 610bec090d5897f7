"""Where gateways tell us: what is theirs is stored once and answered 200, all else leaves nothing but a line in the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from django.test import Client

from portal.kernel.errors import Unavailable
from portal.pages import hooks
from portal.throttling import within
from vouchers.payments import rails
from vouchers.payments.rail_models import PaymentEvent

WHERE = "/webhooks/payments/stripe"
SECRET = "whsec_" + "s" * 32
CLIENT = Client(enforce_csrf_checks=True)


@pytest.fixture(autouse=True)
def _connected(settings: Any) -> Iterator[None]:
    settings.STRIPE = {
        "key": "sk_test_" + "k" * 24, "webhook_secret": SECRET, "api_base": "http://127.0.0.1:9", "account": "acct_Ours",
        "methods": "checkout", "sandbox": True, "transfers": False,
    }  # fmt: skip
    settings.PAYMENT_RAILS = {"stripe": "integrations.stripe.rail.from_settings"}
    rails._made.cache_clear()
    yield
    rails._made.cache_clear()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def notice(**more: Any) -> bytes:
    thing = {"id": "pi_1", "object": "payment_intent", "amount": 12345}
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": 1_795_752_000}
    return json.dumps({**event, "livemode": False, "data": {"object": thing}, **more}, ensure_ascii=False).encode()


def post(body: bytes, *, secret: str = SECRET, age: timedelta = timedelta(), where: str = WHERE, **more: Any) -> Any:
    at = int((datetime.now(UTC) - age).timestamp())
    header = stripe.WebhookSignature.generate_signature_header(body.decode("utf-8", "replace"), secret, at)
    headers = {"Stripe-Signature": header, **more.pop("headers", {})}
    return CLIENT.post(where, body, content_type="application/json; charset=utf-8", headers=headers, **more)


def test_a_notice_is_stored_as_it_came_and_only_then_answered(db):
    body = notice(note="原样保存 \u00e9")
    answer = post(body)
    assert (answer.status_code, answer.content) == (200, b"stored")
    kept = PaymentEvent.objects.get()
    assert (kept.rail, kept.provider_event_id, kept.kind, kept.object_id) == ("stripe", "evt_1", "payment", "pi_1")
    assert bytes(kept.body) == body
    assert "Set-Cookie" not in answer.headers


def test_one_delivered_again_is_counted(db):
    assert [post(notice()).status_code for _turn in range(3)] == [200, 200, 200]
    assert PaymentEvent.objects.get().deliveries == 3


@pytest.mark.parametrize(
    "how",
    [
        {"secret": SECRET + "x"}, {"age": timedelta(seconds=310)}, {"age": timedelta(seconds=-310)},
        {"headers": {"Stripe-Signature": ""}}, {"headers": {"Stripe-Signature": "t=1,v1=2"}},
    ],
)  # fmt: skip
def test_what_is_not_signed_now_and_by_the_gateway_leaves_a_line_in_the_log(db, log, how):
    assert post(notice(), **how).status_code == 400
    assert not PaymentEvent.objects.exists()
    assert "payment.bad_notice" in log.getvalue()
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize("body", [notice(account="acct_Other"), notice(livemode=True), b"{}", b"", b"\xff", b"[]"])
def test_what_is_signed_and_not_for_us_is_not_kept(db, body):
    assert post(body).status_code == 400
    assert not PaymentEvent.objects.exists()


def test_only_rails_we_have_and_only_posts(db):
    assert post(notice(), where="/webhooks/payments/other").status_code == 404
    assert post(notice(), where="/en/webhooks/payments/stripe").status_code == 404
    assert CLIENT.get(WHERE).status_code == 405
    assert CLIENT.put(WHERE, notice()).status_code == 405
    assert not PaymentEvent.objects.exists()


def test_what_is_too_large_is_not_read(db):
    assert post(notice(note="x" * hooks.MAX_BODY)).status_code == 413
    assert CLIENT.post(WHERE, b"{}", content_type="text/plain", CONTENT_LENGTH=10**9).status_code == 413
    assert not PaymentEvent.objects.exists()


def test_an_address_that_posts_without_end_is_told_to_come_again(db, monkeypatch):
    monkeypatch.setattr(hooks, "PER_MINUTE", 2)
    sender = "203.0.113.77"
    answers = [post(notice(id=f"evt_{turn}"), REMOTE_ADDR=sender) for turn in range(4)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"] == "60"
    assert post(notice(id="evt_other"), REMOTE_ADDR="203.0.113.78").status_code == 200
    assert not within(f"hooks:{sender}", most=2)


def test_a_rail_that_is_set_wrong_says_so_and_leaves_the_pages_alone(db, settings, log):
    settings.STRIPE = {**settings.STRIPE, "webhook_secret": ""}
    rails._made.cache_clear()
    assert post(notice()).status_code == 503
    assert rails.rails() == []
    with pytest.raises(Unavailable):
        rails.rail("stripe")
    assert "portal.E021" in log.getvalue()
    assert settings.STRIPE["key"] not in log.getvalue()


def test_what_could_not_be_stored_comes_again(db, monkeypatch):
    def broken(**_given: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(hooks.inbox, "store", broken)
    patient: Callable[..., Any] = Client(raise_request_exception=False).post
    body = notice()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    answer = patient(WHERE, body, content_type="application/json", headers={"Stripe-Signature": header})
    assert answer.status_code == 500


def test_the_sandbox_is_believed_by_what_it_signs(db, payserver, settings):
    settings.STRIPE = {**settings.STRIPE, "webhook_secret": payserver.secret, "api_base": payserver.address}
    rails._made.cache_clear()
    payserver.webhook("duplicate", type="payment_intent.succeeded", copies=3)
    payserver.webhook("badly_signed", type="charge.succeeded")
    made = payserver.client.payment_intents.create(
        {
            "amount": 100,
            "currency": "cny",
            "allowed_payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://portal.example/",
        }
    )
    told = [
        CLIENT.post(WHERE, one["body"], content_type="application/json", headers={"Stripe-Signature": one["headers"]["Stripe-Signature"]}).status_code
        for one in payserver.letters()
    ]  # fmt: skip
    assert told.count(400) == 1
    kept = PaymentEvent.objects.get(type="payment_intent.succeeded")
    assert (kept.object_id, kept.deliveries) == (made.id, 3)


@pytest.mark.django_db(transaction=True)
def test_the_gateways_own_postman_delivers_over_http(payserver, settings, live_server):
    settings.STRIPE = {**settings.STRIPE, "webhook_secret": payserver.secret, "api_base": payserver.address}
    rails._made.cache_clear()
    payserver.deliver_to(f"{live_server.url}{WHERE}")
    order = {
        "amount": 100,
        "currency": "cny",
        "allowed_payment_method_types": ["card"],
        "payment_method": "pm_card_visa",
    }
    made = payserver.client.payment_intents.create({**order, "confirm": True, "return_url": "https://portal.example/"})
    payserver.order("deliveries/send", {"early": True})
    told = payserver.look("deliveries")["deliveries"]
    assert {one["status"] for one in told} == {200}
    assert PaymentEvent.objects.get(type="payment_intent.succeeded").object_id == made.id
    assert PaymentEvent.objects.count() == len(told)
