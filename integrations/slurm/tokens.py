"""Short-lived Slurm tokens (JWT, RFC 7519) for one POSIX user at a time.

Who can sign tokens can be anybody on the cluster, root included. So production signs elsewhere: `Command` asks a
signer with an account, a key and an allow-list of its own. `KeyFile` signs here, with a private RSA key of which the
cluster holds only the public half (``AuthAltParameters=jwks=…``), or, for development only, with the shared key.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import jwt

__all__ = ["Command", "KeyFile", "NoToken", "TokenSource", "source_from"]

LIFETIME_S = 120
"""Longest life of a token minted here; tokens from elsewhere are kept no longer than this either."""

RENEW_BEFORE_S = 45
"""A token this close to its end is not used any more: longer than one call may take (connect 3 s + read 30 s)."""

_USER = re.compile(r"[a-z][a-z0-9_-]{2,31}")
_PRIVILEGED = frozenset({"root", "slurm", "munge", "daemon", "bin", "sys", "nobody", "mysql", "postgres", "sync"})
_FIRST_ORDINARY_UID = 1000


class NoToken(Exception):
    """No token could be had for this user: refused here, or the signer did not answer. Nothing has been sent."""


class TokenSource(Protocol):
    def token(self, user: str, *, fresh: bool = False) -> str:
        """Return a token for `user`, at least 45 s from its end. `fresh` forgets the one kept. Raises NoToken."""


def check_user(user: str) -> None:
    """Refuse names no job may run as. Raises NoToken. A local account below uid 1000 is refused, whatever its name."""
    if not _USER.fullmatch(user) or user in _PRIVILEGED:
        raise NoToken(f"not a user to act for: {user!r}")
    try:
        if pwd.getpwnam(user).pw_uid < _FIRST_ORDINARY_UID:
            raise NoToken(f"{user} is a system account")
    except KeyError:
        return  # the cluster's accounts need not exist where the portal runs


class _Kept:
    """Keeps each user's token until shortly before its end. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def token(self, user: str, *, fresh: bool = False) -> str:
        check_user(user)
        with self._lock:
            kept = self._tokens.get(user)
            if fresh or kept is None or kept[1] - time.time() < RENEW_BEFORE_S:
                kept = self.mint(user)
                self._tokens[user] = kept
            return kept[0]

    def mint(self, user: str) -> tuple[str, float]:
        raise NotImplementedError


class Command(_Kept):
    """Runs ``argv… USER`` (no shell) and takes the last word it prints: ``scontrol token`` style or the bare token."""

    def __init__(self, argv: Sequence[str], timeout_s: float = 10) -> None:
        super().__init__()
        self.argv, self.timeout_s = tuple(argv), timeout_s

    def mint(self, user: str) -> tuple[str, float]:
        try:
            done = subprocess.run(  # noqa: S603 - argv of the operator, a checked name at its end, no shell
                [*self.argv, user], capture_output=True, timeout=self.timeout_s, check=True, text=True
            )
            token = done.stdout.split()[-1].rpartition("=")[2] if "=" in done.stdout[:12] else done.stdout.strip()
            claims = jwt.decode(token, options={"verify_signature": False})
            ends_at = float(claims["exp"])
        except (OSError, subprocess.SubprocessError, jwt.PyJWTError, IndexError, KeyError, ValueError) as error:
            raise NoToken(f"signer: {type(error).__name__}") from error
        if claims.get("sun", claims.get("username")) != user:
            raise NoToken("signer: a token of somebody else")
        return token, min(ends_at, time.time() + LIFETIME_S)


class KeyFile(_Kept):
    """Signs with the key in `path`, read anew for each token so that a rotated key needs no restart."""

    def __init__(self, path: Path, *, algorithm: str, key_id: str = "") -> None:
        super().__init__()
        self.path, self.algorithm, self.key_id = path, algorithm, key_id

    def mint(self, user: str) -> tuple[str, float]:
        now = int(time.time())
        claims = {"sun": user, "iat": now, "exp": now + LIFETIME_S}
        try:
            token = jwt.encode(
                claims,
                self.path.read_bytes(),
                algorithm=self.algorithm,
                headers={"kid": self.key_id} if self.key_id else None,
            )
        except (OSError, ValueError, TypeError, jwt.PyJWTError) as error:
            raise NoToken(f"key: {type(error).__name__}") from error
        return token, now + LIFETIME_S


class SignerSocket(_Kept):
    """Asks the isolated signer (`integrations.slurm.signer`) over its Unix socket: one line of JSON each way."""

    def __init__(self, path: Path, timeout_s: float = 10) -> None:
        super().__init__()
        self.path, self.timeout_s = path, timeout_s

    def mint(self, user: str) -> tuple[str, float]:
        return self._ask(user, LIFETIME_S)

    def shortest(self, user: str) -> str:
        """Return a token that ends after a second: for showing that an expired one is refused."""
        check_user(user)
        return self._ask(user, 1)[0]

    def _ask(self, user: str, ttl: int) -> tuple[str, float]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(self.timeout_s)
                link.connect(str(self.path))
                link.sendall(json.dumps({"user": user, "ttl": ttl}).encode() + b"\n")
                with link.makefile("rb") as answers:
                    answer = json.loads(answers.readline(65_536))
            if "error" in answer:
                raise NoToken(f"signer: {answer['error']}: {answer.get('detail', '')}"[:200])
            token, ends_at = str(answer["token"]), float(answer["expires_at"])
            claims = jwt.decode(token, options={"verify_signature": False})
        except (OSError, jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise NoToken(f"signer: {type(error).__name__}") from error
        if claims.get("sun") != user:
            raise NoToken("signer: a token of somebody else")
        return token, min(ends_at, time.time() + LIFETIME_S)


def source_from(config: Mapping[str, Any], *, default_command: Sequence[str] = ()) -> TokenSource:
    """Choose by what `config` names; exactly one of the four. Raises ValueError otherwise.

    `signer_socket` (path), or `token_command` (list), or `jwks_private_key_file` with `key_id`, or, only beside ``"development": true``,
    `jwt_key_file`. Without any of them, `default_command`. The same choice is the same source, with the tokens it
    keeps, for the life of the process.
    """
    argv = config.get("token_command") or []
    if isinstance(argv, str) or not all(isinstance(word, str) for word in argv):
        raise ValueError("token_command is a list of words")
    names = ("jwks_private_key_file", "key_id", "jwt_key_file")
    private_key, key_id, shared_key = (str(config.get(name) or "") for name in names)
    signer = str(config.get("signer_socket") or "")
    if not (argv or private_key or shared_key or signer):
        argv = default_command
    if sum(map(bool, (argv, private_key, shared_key, signer))) != 1:
        raise ValueError("name one of signer_socket, token_command, jwks_private_key_file, jwt_key_file")
    if signer:
        return _signer(os.getpid(), signer)
    if shared_key and config.get("development") is not True:
        raise ValueError("jwt_key_file signs with the cluster's shared secret: for development only")
    return _source(os.getpid(), tuple(argv), private_key, key_id, shared_key)


@lru_cache(maxsize=64)
def _signer(_process: int, path: str) -> TokenSource:
    return SignerSocket(Path(path))


@lru_cache(maxsize=64)
def _source(_process: int, argv: tuple[str, ...], private_key: str, key_id: str, shared_key: str) -> TokenSource:
    if argv:
        return Command(argv)
    if private_key:
        return KeyFile(Path(private_key), algorithm="RS256", key_id=key_id)
    return KeyFile(Path(shared_key), algorithm="HS256")
