"""Webhooks as the SDK verifies them, their retries, and everything that can be wrong with them."""

from __future__ import annotations

import http.server
import json
import threading
import time

import pytest
import stripe

from tests.integrations.payserver.orders import intent


@pytest.fixture
def c(payserver):
    return payserver.client


class Ear(http.server.ThreadingHTTPServer):
    """Hears webhooks; answers what `answers` says, then 200."""

    daemon_threads = True

    def __init__(self):
        self.heard, self.answers = [], []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook?a=1"

    def wait(self, count, seconds=10):
        until = time.monotonic() + seconds
        while len(self.heard) < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.heard


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.heard.append((self.path, body, self.headers["Stripe-Signature"]))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def ear(payserver):
    server = Ear()
    payserver.deliver_to(server.url)
    yield server
    server.shutdown()
    server.server_close()


def verified(payserver, letter):
    return stripe.Webhook.construct_event(letter["body"], letter["headers"]["Stripe-Signature"], payserver.secret)


def test_events_are_delivered_signed_as_the_sdk_verifies(payserver, c, ear):
    paid = intent(c, metadata={"名": "值"})
    heard = ear.wait(3)
    assert [path for path, _body, _signature in heard] == ["/hook?a=1"] * 3
    events = [stripe.Webhook.construct_event(body, signature, payserver.secret) for _path, body, signature in heard]
    assert [one.type for one in events] == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert events[-1].data.object.id == paid.id
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(heard[0][1], heard[0][2], "whsec_of_somebody_else")


def test_what_is_not_taken_comes_again(payserver, c, ear):
    ear.answers = [500, 404]
    c.customers.create(params={"name": "企业"})
    heard = ear.wait(3)
    assert len({body for _path, body, _signature in heard}) == 1
    time.sleep(0.1)
    (told,) = payserver.look("deliveries")["deliveries"]
    assert (told["state"], told["tries"], told["status"]) == ("delivered", 3, 200)


def test_nobody_there_is_tried_again_later(payserver, c):
    payserver.deliver_to("http://127.0.0.1:9/hook")
    c.customers.create(params={"name": "企业"})
    until = time.monotonic() + 5
    while payserver.look("deliveries")["deliveries"][0]["tries"] == 0 and time.monotonic() < until:
        time.sleep(0.02)
    told = payserver.look("deliveries")["deliveries"][0]
    assert (told["state"], told["status"]) == ("waiting", 0)
    ear = Ear()
    payserver.order("deliveries/again", {"event": told["event"]})
    payserver.deliver_to(ear.url)
    payserver.order("deliveries/again", {"event": told["event"]})
    assert len(ear.wait(1)) == 1
    ear.shutdown()
    ear.server_close()


def test_what_waits_is_delivered_when_ordered_and_tried_once(payserver, c, ear):
    payserver.webhook("late", type="customer.created", seconds=3_600, times=3)
    for n in range(3):
        c.customers.create(params={"name": str(n)})
    ear.answers = [500]
    assert payserver.order("deliveries/send") == {"tried": 0}
    assert payserver.order("deliveries/send", {"early": True}) == {"tried": 3}
    states = [(one["state"], one["tries"]) for one in payserver.look("deliveries")["deliveries"]]
    assert states[1:] == [("delivered", 1), ("delivered", 1)]


def test_a_test_may_take_the_letters_itself(payserver, c):
    paid = intent(c)
    letters = payserver.letters("payment_intent.succeeded")
    assert [verified(payserver, one).data.object.id for one in letters] == [paid.id]
    assert payserver.letters() == []


def test_duplicates(payserver, c):
    payserver.webhook("duplicate", type="payment_intent.succeeded", copies=5)
    intent(c)
    letters = payserver.letters("payment_intent.succeeded")
    assert len(letters) == 5
    assert len({verified(payserver, one).id for one in letters}) == 1


def test_reordered(payserver, c):
    payserver.webhook("reorder", type="payment_intent", count=2, times=2)
    intent(c)
    types = [json.loads(one["body"])["type"] for one in payserver.letters("payment_intent")]
    assert types == ["payment_intent.succeeded", "payment_intent.created"]


def test_late(payserver, c, ear):
    payserver.webhook("late", type="customer.created", seconds=3 * 86_400)
    c.customers.create(params={"name": "企业"})
    assert ear.wait(1, seconds=0.3) == []
    payserver.advance(3 * 86_400)
    heard = ear.wait(1)
    event = json.loads(heard[0][1])
    signed_at = int(heard[0][2].split(",")[0].removeprefix("t="))
    assert signed_at - event["created"] >= 3 * 86_400


def test_lost(payserver, c):
    payserver.webhook("lost", type="payment_intent.succeeded")
    paid = intent(c)
    assert payserver.letters("payment_intent.succeeded") == []
    assert c.events.list(params={"type": "payment_intent.succeeded"}).data[0].data.object.id == paid.id


@pytest.mark.parametrize("knob", ["badly_signed", "unsigned"])
def test_badly_signed(payserver, c, knob):
    payserver.webhook(knob, type="payment_intent.succeeded")
    intent(c)
    (letter,) = payserver.letters("payment_intent.succeeded")
    with pytest.raises(stripe.SignatureVerificationError):
        verified(payserver, letter)


def test_stamped_in_the_past_the_sdk_refuses_in_the_future_it_does_not(payserver, c):
    payserver.webhook("stamped", type="payment_intent.succeeded", seconds=-400)
    payserver.webhook("stamped", type="charge.succeeded", seconds=400)
    intent(c)
    letters = {json.loads(one["body"])["type"]: one for one in payserver.letters()}
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        verified(payserver, letters["payment_intent.succeeded"])
    future = int(letters["charge.succeeded"]["headers"]["Stripe-Signature"].split(",")[0].removeprefix("t="))
    assert future > time.time() + 300
    assert verified(payserver, letters["charge.succeeded"]).type == "charge.succeeded"


def test_of_another_account_with_another_amount_or_currency(payserver, c):
    payserver.webhook("other_account", type="payment_intent.succeeded", account="acct_other")
    intent(c)
    assert verified(payserver, *payserver.letters("payment_intent.succeeded")).account == "acct_other"
    payserver.webhook("amount_off", type="payment_intent.succeeded", by=-1)
    payserver.webhook("other_currency", type="payment_intent.succeeded", currency="usd")
    paid = intent(c)
    told = verified(payserver, *payserver.letters("payment_intent.succeeded")).data.object
    assert (told.amount, told.amount_received, told.currency) == (12_344, 12_344, "usd")
    assert c.payment_intents.retrieve(paid.id).amount == 12_345


def test_an_event_of_a_type_nobody_knows(payserver):
    payserver.order("events", {"type": "moon.landed", "object": {"id": "moon_1", "object": "moon"}})
    assert verified(payserver, *payserver.letters("moon")).data.object.id == "moon_1"


def test_webhooks_stay_on_this_machine(payserver):
    with pytest.raises(AssertionError, match="loopback"):
        payserver.order("endpoints", {"endpoints": [{"url": "http://example.com/hook", "secret": "whsec_x"}]})
    with pytest.raises(AssertionError, match="secret"):
        payserver.order("endpoints", {"endpoints": [{"url": "http://127.0.0.1:9/", "secret": ""}]})
