"""Signed requests between portal and agent: Ed25519 (RFC 8032) over method, path, body hash, time and nonce."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["HEADERS", "WINDOW_S", "BadRequest", "Nonces", "headers_for", "verify"]

WINDOW_S = 60
"""How far a request's time may be from the agent's clock, either way."""

TIME, NONCE, SIGNATURE = HEADERS = ("X-Gx-Time", "X-Gx-Nonce", "X-Gx-Signature")
_NONCE = re.compile(r"[0-9a-f]{32}")


class BadRequest(Exception):
    """Not a request of the portal; `code` is one of: unsigned, forged, clock, replayed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _signed(method: str, path: str, body: bytes, at: str, nonce: str) -> bytes:
    return "\n".join(("gx-agent-1", method, path, hashlib.sha256(body).hexdigest(), at, nonce)).encode()


def headers_for(key: Ed25519PrivateKey, method: str, path: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a request, with a nonce of its own."""
    at, nonce = str(int(time.time())), secrets.token_hex(16)
    signature = key.sign(_signed(method, path, body, at, nonce))
    return {TIME: at, NONCE: nonce, SIGNATURE: base64.b64encode(signature).decode()}


def verify(
    key: Ed25519PublicKey, path: str, body: bytes, headers: Mapping[str, str], nonces: Nonces, *, method: str = "POST"
) -> None:
    """Let a request pass once. Raises BadRequest. The nonce is spent only by a rightly signed request."""
    at, nonce, signature = (headers.get(name, "") for name in (TIME, NONCE, SIGNATURE))
    if not (at.isascii() and at.isdecimal() and len(at) < 12 and _NONCE.fullmatch(nonce) and signature):
        raise BadRequest("unsigned")
    try:
        key.verify(base64.b64decode(signature, validate=True), _signed(method, path, body, at, nonce))
    except (InvalidSignature, ValueError):
        raise BadRequest("forged") from None
    if abs(time.time() - int(at)) > WINDOW_S:
        raise BadRequest("clock")
    if not nonces.spend(nonce):
        raise BadRequest("replayed")


class Nonces:
    """Nonces already used, as empty files: shared by the agent's processes, and remembered across its restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def spend(self, nonce: str) -> bool:
        """Use `nonce`; False when it was used before."""
        try:
            os.close(os.open(self.folder / nonce, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def forget(self) -> None:
        """Remove nonces no request within the window can carry any more."""
        oldest = time.time() - 3 * WINDOW_S
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        Path(entry.path).unlink()


def private_key(path: Path) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path}: not an Ed25519 key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError(f"{path}: not an Ed25519 key")
    return key
