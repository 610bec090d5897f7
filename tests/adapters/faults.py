"""A small HTTP proxy that loses, cuts and forges answers on purpose. One request per connection, one thread each."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

Rewrite = Callable[[bytes], bytes]


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path contains `path`."""

    method: str
    path: str
    kind: str
    """drop_before, drop_after, cut, cut_json, status_before, status_after, forge, rewrite, slow, half_open."""
    times: int = 1
    status: int = 502
    body: Any = None
    rewrite: Rewrite | None = None


@dataclass
class Proxy:
    """Listens on `url`, forwards to `upstream` what no fault forbids, and remembers what it saw."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    forwarded: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    bad_every: int = 0
    """Lose the answer to every so manieth reading of jobs; 0 = to none."""
    turns: int = 0
    silent: bool = False
    """Whether somebody still owes an answer to a request that a slow fault met: for a minute, or until the end."""

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                self.close_connection = True
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.answer(self, body)

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the library calls them so

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def count(self, method: str, path: str) -> int:
        return sum(one == method and path in where for one, where in self.forwarded)

    def bad_turn(self) -> str:
        """Return what happens to this reading of jobs: nothing, or every few times the next way to lose an answer."""
        with self.lock:
            self.turns += 1
            if self.turns % self.bad_every:
                return ""
            return ("drop_after", "cut", "cut_json")[self.turns // self.bad_every % 3]

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        fault = self.fault_for(handler.command, handler.path)
        kind = fault.kind if fault else ""
        if kind == "drop_before":
            return
        if fault and kind == "status_before":
            reply(handler, fault.status, b"<html>bad gateway</html>", "text/html")
            return
        if fault and kind == "forge":
            reply(handler, fault.status, json.dumps(fault.body).encode(), "application/json")
            return
        if kind == "slow":
            self.silent = True
            self.over.wait(60)
            self.silent = False
            return
        if fault and fault.rewrite:
            body = fault.rewrite(body)
        if not fault and handler.command == "GET" and "/job" in handler.path and self.bad_every:
            kind = self.bad_turn()
        status, content, content_type = self.forward(handler, body)
        if kind == "half_open":
            self.over.wait(60)  # the line stays open and nothing more comes
            return
        if fault and kind == "status_after":
            reply(handler, fault.status, b"<html>bad gateway</html>", "text/html")
        elif kind == "cut":
            reply(handler, status, content[: len(content) // 2], content_type, claimed=len(content))
        elif kind == "cut_json":
            reply(handler, status, content[: len(content) // 2], content_type)
        elif kind != "drop_after":
            reply(handler, status, content, content_type)

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        with self.lock:
            self.forwarded.append((handler.command, handler.path))
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        if body:
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=40)
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.headers.get("Content-Type", "application/json")
        finally:
            connection.close()


def reply(
    handler: BaseHTTPRequestHandler, status: int, content: bytes, content_type: str, claimed: int | None = None
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(content) if claimed is None else claimed))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(content)
