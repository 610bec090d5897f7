"""The server as a process: killed it has lost nothing it acknowledged; what it refuses to be."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
import stripe

from tests.integrations.payserver.orders import intent, session
from tests.payserver import ROOT, SECRET, PayServer, running


def test_killed_in_the_middle_it_has_lost_nothing_acknowledged(tmp_path):
    """Eight callers pay under keys of their own while the server is killed three times; each tries until it is told."""
    with running(tmp_path) as server:
        client, told, stop = server.client, {}, threading.Event()

        def pay(caller):
            number = 0
            while not stop.is_set():
                key, number = f"{caller}-{number}", number + 1
                while key not in told:
                    try:
                        told[key] = intent(client, key=key, metadata={"key": key}).id
                    except (stripe.APIConnectionError, stripe.APIError):
                        time.sleep(0.02)

        callers = [threading.Thread(target=pay, args=(n,)) for n in range(8)]
        for one in callers:
            one.start()
        for _ in range(3):
            time.sleep(0.5)
            server.kill()
            server.start()
        time.sleep(0.3)
        stop.set()
        for one in callers:
            one.join(30)
        paid = [one for one in server.objects("payment_intent") if one["status"] == "succeeded"]
        assert {one["metadata"]["key"]: one["id"] for one in paid} == told
        assert len(paid) == len(server.objects("charge")) == len(server.objects("balance_transaction"))
        assert server.client.balance.retrieve().available[0].amount == sum(
            one["net"] for one in server.objects("balance_transaction")
        )
        assert len(paid) > 10


def test_webhooks_orders_and_clock_outlive_a_kill(tmp_path):
    with running(tmp_path) as server:
        server.reset()
        opened = session(server.client)
        server.advance(3600)
        server.fault("rate_limit", path="nowhere")
        intent(server.client)
        server.kill()
        server.start()
        assert len(server.letters()) == 3
        assert server.look("faults")["faults"][0]["path"] == "nowhere"
        assert server.client.customers.create(params={"name": "x"}).created > time.time() + 3000
        assert server.pay(opened.id)["status"] == "succeeded"


def test_one_state_directory_has_one_server(tmp_path):
    with running(tmp_path):
        assert b"in use" in refused(tmp_path)


def refused(state, *options):
    command = [sys.executable, "-m", "integrations.local.payserver", "--state", str(state), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "sk_live_51Hrealrealreal"], b"live"),
        (["--key", "rk_live_51Hrealrealreal"], b"live"),
        (["--key", "something"], b"sk_test_"),
        (["--host", "0.0.0.0"], b"loopback"),
        (["--webhook", "http://example.com/hook", "--secret", SECRET], b"this machine"),
        (["--webhook", "http://127.0.0.1:8000/hook"], b"secret"),
    ],
)
def test_it_refuses_to_start(tmp_path, options, words):
    said = refused(tmp_path, *options)
    assert words in said
    assert b"51Hrealrealreal" not in said


def test_it_refuses_beside_a_live_key_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GONGXIANG_STRIPE_KEY", "sk_live_51Hrealrealreal")
    assert b"live" in refused(tmp_path)


def test_only_named_keys_are_let_in_where_some_are_named(tmp_path):
    server = PayServer(tmp_path).start("--key", "sk_test_the_only_one_0000")
    try:
        with pytest.raises(stripe.AuthenticationError):
            server.client.balance.retrieve()
        with pytest.raises(AssertionError, match="named keys"):
            server.order("reset")
        server.key = "sk_test_the_only_one_0000"
        assert server.client.balance.retrieve().livemode is False
    finally:
        server.stop()


def raw(server, method, path, body=None, headers=None):
    parts = urlsplit(server.address)
    link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        link.request(method, path, body, headers or {})
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_a_page_elsewhere_reaches_neither_api_nor_orders(payserver):
    status, _said = raw(payserver, "GET", "/_sandbox/health", headers={"Host": "evil.example"})
    assert status == 403
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    intent(payserver.client)
    assert raw(payserver, "POST", "/_sandbox/reset", "x=1", form)[0] == 400
    assert len(payserver.objects("charge")) == 1


def test_bytes_that_are_no_request_do_no_harm(payserver):
    parts = urlsplit(payserver.address)
    for sent in (
        b"\x00\xff" * 50 + b"\r\n\r\n",
        b"POST /v1/refunds HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as link:
            link.sendall(sent)
            link.recv(1000)
    head = {"Authorization": f"Bearer {payserver.key}"}
    for body in ("[=1", "a[b=1", "a[b][=1", "amount=1&amount=2", "metadata=1", "amount[x]=1&currency=cny", "a[[b]]=1"):
        assert raw(payserver, "POST", "/v1/payment_intents", body, head)[0] == 400
    assert raw(payserver, "POST", "/v1/payment_intents", b"\xff=1", head)[0] == 400
    assert payserver.look("health")["ok"]
