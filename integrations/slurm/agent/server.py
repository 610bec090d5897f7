"""HTTPS with client certificates, one forked process per connection, one signed request each."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import socketserver
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from integrations.slurm.agent.beneath import Outside
from integrations.slurm.agent.operations import OPERATIONS, Declined, Failed, Settings
from integrations.slurm.agent.signing import HEADERS, BadRequest, Nonces, verify
from integrations.slurm.signer_keys import Journal

__all__ = ["Agent", "Server"]

MAX_BODY = 1_600_000
"""A mebibyte in base64, and the words around it."""
PATIENCE_S = 15
MAX_PROCESSES = 32


@dataclass(frozen=True, slots=True)
class Agent:
    """What a request is answered with."""

    settings: Settings
    key: Ed25519PublicKey
    clients: frozenset[str]
    """Common names of the client certificates that may ask."""
    nonces: Nonces
    journal: Journal

    def answer(self, path: str, body: bytes, headers: dict[str, str], client: str) -> tuple[int, dict[str, Any]]:
        """Return status and answer. Nothing is looked at before the signature holds."""
        operation, params, status, code, detail = "", {}, 200, "", ""
        answer: dict[str, Any] = {}
        try:
            if client not in self.clients:
                raise BadRequest("client")
            verify(self.key, path, body, headers, self.nonces)
            operation = path.removeprefix("/1/")
            act = OPERATIONS.get(operation) if path.startswith("/1/") else None
            if act is None:
                raise LookupError(operation[:40])
            params = _object(body)
            answer = act(self.settings, params)
        except BadRequest as error:
            status, code = 401, error.code
        except LookupError as error:
            status, code, detail = 404, "operation", str(error)
        except (Declined, Outside) as error:
            status, code, detail = 422, "declined", str(error)
        except (Failed, OSError) as error:
            status, code, detail = 503, "failed", str(error)
        self._note(client, operation, params, code)
        return status, ({"error": code, "detail": detail[:300]} if code else answer)

    def _note(self, client: str, operation: str, params: dict[str, Any], code: str) -> None:
        """Keep who asked what of whose; contents of files are not kept."""
        asked = {name: str(params[name])[:200] for name in ("user", "marker", "path", "qos") if name in params}
        with contextlib.suppress(OSError):
            self.journal.write(client=client, operation=operation[:40], outcome=code or "done", **asked)


def _object(body: bytes) -> dict[str, Any]:
    try:
        params = json.loads(body)
    except (ValueError, RecursionError):
        raise Declined("body: not JSON") from None
    if not isinstance(params, dict):
        raise Declined("body: not an object")
    return params


def _common_name(certificate: Mapping[str, Any]) -> str:
    return next(
        (str(value) for part in certificate.get("subject", ()) for name, value in part if name == "commonName"), ""
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "gx-agent", ""
    timeout = PATIENCE_S

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        assert isinstance(self.connection, ssl.SSLSocket)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and int(length) <= MAX_BODY):
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        client = _common_name(self.connection.getpeercert() or {})
        headers = {name: self.headers.get(name, "") for name in HEADERS}
        status, answer = server.agent.answer(self.path, body, headers, client)
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        """Say nothing here: the journal does."""


class Server(socketserver.ForkingMixIn, socketserver.TCPServer):
    """One process per connection: a fault, or a library that ends its process, takes one request with it."""

    allow_reuse_address = True
    request_queue_size = 64
    max_children = MAX_PROCESSES
    block_on_close = False

    def __init__(self, address: tuple[str, int], agent: Agent, context: ssl.SSLContext) -> None:
        self.agent, self.context, self._forgot_at = agent, context, 0.0
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the child, so that a slow stranger holds up nobody."""
        request.settimeout(PATIENCE_S)
        with (
            contextlib.suppress(ssl.SSLError, TimeoutError, ConnectionError),
            self.context.wrap_socket(request, server_side=True) as safe,
        ):
            super().finish_request(safe, client_address)
            safe.shutdown(socket.SHUT_RDWR)

    def service_actions(self) -> None:
        super().service_actions()
        if time.monotonic() - self._forgot_at > 60:
            self._forgot_at = time.monotonic()
            self.agent.nonces.forget()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        sys.stderr.write(f"agent: {sys.exc_info()[0]}\n")


def context_for(certificate: Path, key: Path, client_authority: Path) -> ssl.SSLContext:
    """TLS 1.3, and nobody without a certificate of our own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_authority)
    return context
