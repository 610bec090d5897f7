"""The HTTP server: the API under ``/v1``, the pages people see, the control path under ``/_sandbox``; loopback only."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import struct
import time
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.local.payserver import API_VERSION, control, faults, pages
from integrations.local.payserver.answering import Answer, Asked, answer, pause
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import World

__all__ = ["Server"]

MAX_BODY: Final = 1_000_000
PATIENCE_S: Final = 60


class Cut(Exception):
    """The connection ends here, without an answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "gongxiang-payserver", ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = self._body()
        if body is None:
            return
        if not _is_here(self.headers.get("Host", "")):
            self._send(403, "text/plain", b"this server answers its own machine only\n")
            return
        parts = urlsplit(self.path)
        asked = Asked(
            self.command, parts.path, parts.query, body, {name.lower(): value for name, value in self.headers.items()}
        )
        try:
            if parts.path.startswith("/v1/"):
                self._api(server.world, asked)
            elif parts.path.startswith("/_sandbox/"):
                status, text = control.answer(server.world, server.postman, asked)
                self._send(status, "application/json; charset=utf-8", text.encode())
            else:
                shown = pages.answer(server.world, asked)
                self._send(shown.status, shown.kind, shown.body, shown.headers)
        except Cut:
            self._cut()

    def _body(self) -> str | None:
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdecimal() and int(length) <= MAX_BODY):
            self.send_error(413)
            return None
        raw = self.rfile.read(int(length))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.send_error(400)
            return None

    # the API, with what is ordered to go wrong

    def _api(self, world: World, asked: Asked) -> None:
        fault = faults.next_fault(world.store, asked.method, asked.path)
        name = fault["fault"] if fault else ""
        asked = Asked(asked.method, asked.path, asked.query, asked.body, asked.headers, fault, asked.request)
        pause(fault, "before")
        before = fault is not None and fault.get("phase") == "before"
        if name == "drop_before" or (name == "half_open" and before):
            self._note(world, asked, 0, name)
            self._hang(fault)
            raise Cut
        given = answer(world, asked)
        pause(fault, "after")
        if name == "error" and fault and fault.get("phase") == "after":
            given = Answer(
                int(fault.get("status", 500)), '{"error": {"type": "api_error", "message": "lost"}}', given.request
            )
        self._note(world, asked, given.status, name)
        world.wake.set()
        if name == "drop_after":
            raise Cut
        if name == "half_open":
            self._hang(fault)
            raise Cut
        self._send_answer(asked, given, name)

    def _note(self, world: World, asked: Asked, status: int, fault: str) -> None:
        world.store.run(
            "INSERT INTO asked (request, method, path, key, status, fault, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(asked.request, asked.method, asked.path, asked.key, status, fault, world.time()),
        )

    def _hang(self, fault: Object | None) -> None:
        """Leave the caller waiting, until it goes away or the time is over."""
        if not fault or fault["fault"] != "half_open":
            return
        until = time.monotonic() + float(fault.get("seconds", 30))
        self.connection.settimeout(0.1)
        while time.monotonic() < until:
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _send_answer(self, asked: Asked, given: Answer, fault: str) -> None:
        body = given.body.encode()
        headers = {"Request-Id": given.request, "Stripe-Version": API_VERSION}
        if asked.key:
            headers["Idempotency-Key"] = asked.key
        if given.replayed:
            headers["Idempotent-Replayed"] = "true"
        if fault == "garble":
            body = b"<html>502 Bad Gateway</html>"
        if fault == "truncate":
            self._send(given.status, "application/json", body, headers, send=len(body) // 2)
            raise Cut
        self._send(given.status, "application/json", body, headers)

    def _send(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None, send: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:send])
        self.wfile.flush()

    def _cut(self) -> None:
        """End the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        """Say nothing: the control path lists what was asked."""


def _is_here(host: str) -> bool:
    """Whether the caller names this machine: a page elsewhere must not reach us by a name of its own."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Server(http.server.ThreadingHTTPServer):
    """One thread per connection; acts are one after the other by the store's lock."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, listening: socket.socket, world: World, postman: Any) -> None:
        address = listening.getsockname()
        super().__init__(address[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = address[:2]
        self.server_name, self.server_port = str(address[0]), int(address[1])
        self.world, self.postman = world, postman
        world.address = f"http://{address[0]}:{address[1]}"
        self.server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that went away are no news; anything else is told in the log."""
        import sys

        kind = sys.exc_info()[0]
        if kind is not None and not issubclass(kind, OSError):
            super().handle_error(request, client_address)
