"""What goes out and what counts as an answer, on a server that says whatever a test wants said, byte by byte."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from integrations.stripe.wire import API_VERSION, KeyRefused, KeySpent, Wire, sdk_version
from portal.kernel.errors import Unavailable
from vouchers.payments.ports import RailRefused

KEY = "sk_test_" + "k" * 24


class Answering(socketserver.ThreadingTCPServer):
    """Answers every request as `said` tells: status, headers, body; `drip_s` is the pause between bytes."""

    daemon_threads = True
    status, headers, body, drip_s = 200, {}, b"{}", 0.0

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def say(self, status: int, body: Any, *, drip_s: float = 0.0, **headers: str) -> None:
        self.status, self.headers, self.drip_s = status, headers, drip_s
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that go away are part of it."""


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        server: Any = self.server
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        server.asked.append({"path": self.path, "headers": dict(self.headers), "body": sent})
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        for at in range(len(server.body)) if server.drip_s else ():
            self.wfile.write(server.body[at : at + 1])
            time.sleep(server.drip_s)
        if not server.drip_s:
            self.wfile.write(server.body)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as answering:
        thread = threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield answering
        answering.shutdown()
        thread.join()


@pytest.fixture
def wire(server: Answering) -> Wire:
    host, port = server.server_address[:2]
    return Wire(KEY, api_base=f"http://{host!s}:{port}", trust_env=False, connect_s=1, read_s=0.6, whole_s=1.0)


def write(wire: Wire, key: str = "key-1") -> Any:
    return wire.write(wire.v1.refunds.create, key=key, payment_intent="pi_1", amount=5)


def refused(code: str, **more: Any) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "code": code, "message": "No.", **more}}


def test_a_write_carries_our_key_and_the_version_and_nothing_about_this_machine(wire, server):
    server.say(200, {"id": "re_1", "object": "refund"})
    assert write(wire)["id"] == "re_1"
    (asked,) = server.asked
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    assert headers["idempotency-key"] == "key-1"
    assert headers["stripe-version"] == API_VERSION == sdk_version()
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-stripe-client-telemetry" not in headers
    assert "platform" not in json.loads(headers["x-stripe-client-user-agent"])
    assert asked["body"] == "payment_intent=pi_1&amount=5"
    with pytest.raises(ValueError, match="key"):
        write(wire, key="")


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        (402, {"error": {"type": "card_error", "code": "card_declined", "message": "Declined."}}, {}, RailRefused),
        (400, refused("parameter_missing"), {}, RailRefused),
        (404, refused("resource_missing"), {}, RailRefused),
        (400, {"error": {"type": "idempotency_error", "message": "Other parameters."}}, {}, KeySpent),
        (500, {"error": {"type": "api_error"}}, {"Idempotent_Replayed": "true"}, KeySpent),
        (401, {"error": {"message": "Invalid API Key"}}, {}, KeyRefused),
        (403, {"error": {"message": "May not"}}, {}, KeyRefused),
        (409, refused("idempotency_key_in_use"), {}, Unavailable),
        (429, refused("rate_limit"), {}, Unavailable),
        (400, refused("rate_limit"), {}, Unavailable),
        (500, {"error": {"type": "api_error"}}, {}, Unavailable),
        (502, b"<html>Bad gateway</html>", {}, Unavailable),
        (302, b"", {"Location": "/elsewhere"}, Unavailable),
        (307, b"{}", {"Location": "http://example.org/"}, Unavailable),
        (200, b"", {}, Unavailable),
        (200, b"[]", {}, Unavailable),
        (200, b'"text"', {}, Unavailable),
        (200, b'{"id": "re_1", ', {}, Unavailable),
        (200, b"\xff\xfe", {}, Unavailable),
        (400, b"[1]", {}, Unavailable),
        (402, b"not json", {}, Unavailable),
    ],
)
def test_each_answer_is_one_of_three(wire, server, status, body, headers, kind):
    server.say(status, body, **headers)
    with pytest.raises((Unavailable, RailRefused)) as caught:
        write(wire)
    assert type(caught.value) is kind
    assert len(server.asked) == 1
    assert KEY not in str(caught.value) + repr(caught.value.__cause__)


def test_a_refusal_keeps_the_gateways_code_and_words(wire, server):
    server.say(400, refused("charge_already_refunded", message="Charge ch_1 has already been refunded."))
    with pytest.raises(RailRefused) as caught:
        write(wire)
    assert caught.value.params == {
        "reason": "charge_already_refunded",
        "text": "Charge ch_1 has already been refunded.",
    }


def test_an_answer_that_drips_has_an_end(wire, server):
    server.say(200, b" " * 200, drip_s=0.05)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        write(wire)
    assert time.monotonic() - began < 3


def test_a_connection_that_is_refused_is_no_answer():
    wire = Wire(KEY, api_base="http://127.0.0.1:9", trust_env=False)
    with pytest.raises(Unavailable):
        write(wire)


def test_a_list_that_never_ends_proves_nothing(wire, server):
    server.say(200, {"object": "list", "data": [{"id": "pi_1", "object": "payment_intent"}], "has_more": True})
    with pytest.raises(Unavailable):
        list(wire.pages(wire.v1.payment_intents.list))
    server.say(200, {"object": "list", "data": [], "has_more": True})
    with pytest.raises(Unavailable):
        list(wire.pages(wire.v1.payment_intents.list))
    server.say(200, {"object": "list", "has_more": False})
    with pytest.raises(Unavailable):
        list(wire.pages(wire.v1.payment_intents.list))
