"""A sandbox payment server for tests: one process per test process, emptied before each test.

``payserver`` is a fixture of `tests/conftest.py`. Its webhooks wait until a test takes them (`PayServer.letters`), or go where
`PayServer.deliver_to` says. What can be ordered is in docs/adapters.md; `PayServer.order` sends any order.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import stripe

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk_test_sandbox0000000000000000"
SECRET = "whsec_sandbox000000000000000000"


class PayServer:
    """A running server. `address` is its API's base, `key` and `secret` what the portal's settings hold."""

    key, secret = KEY, SECRET

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""

    # the process

    def start(self, *options: str) -> PayServer:
        """Start it, or start it again: where there was one before, on its port."""
        self.state.mkdir(parents=True, exist_ok=True)
        told = self.state / "address"
        told.unlink(missing_ok=True)
        port = str(urlsplit(self.address).port or 0)
        command = [sys.executable, "-m", "integrations.local.payserver", "--port", port, "--state", str(self.state)]
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + 20
        while not told.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.state / "log").read_text())
            time.sleep(0.01)
        self.address = json.loads(told.read_text())["address"]
        return self

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        assert self.process
        self.process.kill()
        self.process.wait(20)

    # the API

    @property
    def client(self) -> Any:
        """stripe-python, without retries: what is tried again is the caller's business."""
        return stripe.StripeClient(self.key, base_addresses={"api": self.address}, max_network_retries=0).v1

    # orders

    def order(self, path: str, given: Mapping[str, Any] | None = None, *, method: str = "POST") -> Any:
        """Send an order of the control path; raises AssertionError with what it said where it was refused."""
        parts = urlsplit(self.address)
        link = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=30)
        try:
            body = json.dumps(dict(given or {})) if method != "GET" else None
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
            link.request(method, f"/_sandbox/{path}", body, headers)
            answer = link.getresponse()
            said = json.loads(answer.read())
        finally:
            link.close()
        assert answer.status == 200, said
        return said

    def look(self, path: str) -> Any:
        return self.order(path, method="GET")

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return everything of a kind, oldest first."""
        return self.look(f"objects/{kind}")["objects"]

    def reset(self) -> None:
        """Forget everything; webhooks wait to be taken."""
        self.order("reset")
        self.order("endpoints", {"endpoints": [{"url": "", "secret": self.secret}]})

    def fault(self, fault: str, **more: Any) -> Any:
        """Order a fault of the next request that matches."""
        return self.order("faults", {"fault": fault, **more})

    def webhook(self, webhook: str, **more: Any) -> Any:
        """Order a fault of the next webhook that matches."""
        return self.order("faults", {"webhook": webhook, **more})

    def pay(self, payment: str, **how: Any) -> Any:
        """Do what a payer would on the pages: method, card, outcome."""
        return self.order("pay", {"payment": payment, **how})

    def letters(self, type_: str = "") -> list[dict[str, Any]]:
        """Take the webhooks that wait, in order: `body` and `headers` as they would arrive."""
        found = self.order("deliveries/take")["letters"]
        return [one for one in found if json.loads(one["body"])["type"].startswith(type_)]

    def deliver_to(self, url: str) -> None:
        """Let webhooks from now on go to a server of this machine."""
        self.order("endpoints", {"endpoints": [{"url": url, "secret": self.secret}]})

    def advance(self, seconds: float) -> None:
        """Move the server's clock on."""
        self.order("clock", {"advance_s": seconds})


@contextmanager
def running(state: Path) -> Iterator[PayServer]:
    """Run a server with this state directory."""
    server = PayServer(state).start()
    try:
        yield server
    finally:
        server.stop()
