"""One HTTP exchange with slurmrestd, and what its answer says. The body decides, not the status.

slurmrestd 22.05 answers 200 to an expired token or a database that is down, and 500 to a job it does not know
(tag slurm-22-05-8-1, plugins/openapi). So every answer is read the same way: error number, then text, then status.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import httpx

from integrations.slurm.tokens import TokenSource

__all__ = ["Answer", "Kind", "Lost", "NotReached", "Wire"]

CONNECT_S, READ_S, WRITE_S, POOL_S = 3.0, 30.0, 10.0, 10.0
"""READ_S exceeds twice slurmctld's MessageTimeout (10 s): when the controller is down, one call blocks that long."""

MAX_CONNECTIONS = 8
"""slurmrestd has a hard cap of 124 connections and keeps idle ones for minutes: a small pool, closed soon."""

# slurm/slurm_errno.h, the same from 22.05 to 26.05
NOTHING_FOUND = 9003
HELD = 2042
NO_SUCH_JOB = 2017
ALREADY_DONE = frozenset({2021, 2084})
PERHAPS_TOKEN = frozenset({-1, 5005})
"""What 22.05's controller says to a bad token, and on other occasions too."""
_AUTHENTICATION = frozenset({1007, 6000})
_NO_ANSWER = frozenset({-1, 1001, 1002, 1003, 1800, 1801, 1802, 2027, 5004, 5005, 7000})
_MALFORMED = frozenset({9000, 9001, 9002})


class Kind(StrEnum):
    """What an answer amounts to."""

    FINE = "fine"
    NO_JOB = "no_job"
    REFUSED = "refused"
    """Understood and declined: nothing was done."""
    UNAUTHENTICATED = "unauthenticated"
    """Turned away at the door: nothing was done."""
    NO_ENDPOINT = "no_endpoint"
    """Another version than we think: nothing was done."""
    UNCERTAIN = "uncertain"
    """Something behind slurmrestd did not answer: anything may have been done."""


class NotReached(Exception):
    """No byte of the request was sent."""


class Lost(Exception):
    """The request was sent, or partly; its answer did not come or cannot be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its JSON body ({} when it had none that is an object)."""

    status: int
    body: Mapping[str, Any]
    text: str

    @property
    def errors(self) -> list[tuple[int, str]]:
        """Return (number, words) of each error; the number has three names in 22.05, 0 where there is none."""
        found = []
        for error in self.body.get("errors") or []:
            number = next((error[name] for name in ("error_number", "error_code", "errno") if name in error), 0)
            words = " ".join(str(error[name]) for name in ("description", "error") if error.get(name))
            found.append((int(number), words))
        return found

    @property
    def number(self) -> int:
        """Return the error number that decides: the first that is not merely a remark, 0 when there is none."""
        numbers = [number for number, _words in self.errors if number not in (0, NOTHING_FOUND, HELD)]
        return next((number for number in numbers if number not in _MALFORMED), numbers[0] if numbers else 0)

    @property
    def words(self) -> str:
        """Return the errors in Slurm's own words, for the log and the operator; at most 500 characters."""
        said = "; ".join(f"{number} {words}".strip() for number, words in self.errors)
        return (said or f"HTTP {self.status} {self.text.strip()}")[:500]

    @property
    def ignored(self) -> str:
        """Return Slurm's warnings that it dropped a field of ours ("" when none): from v0.0.40 on that is no error."""
        warnings = self.body.get("warnings")
        said = [str(one.get("description") or one) for one in warnings or [] if isinstance(one, dict)]
        return "; ".join(text for text in said if "ignoring unknown" in text.lower())[:500]

    @property
    def kind(self) -> Kind:
        number = self.number
        if number in _AUTHENTICATION or self.status == 401:
            return Kind.UNAUTHENTICATED
        if number == NO_SUCH_JOB:
            return Kind.NO_JOB
        if number in _NO_ANSWER:
            return Kind.UNCERTAIN
        if 2000 <= number <= 2099 or number in _MALFORMED:
            return Kind.REFUSED
        if number == 0 and not self.body:
            if self.status in (404, 405):
                return Kind.NO_ENDPOINT
            if self.status in (400, 406, 413, 415, 422):
                return Kind.REFUSED
        if number == 0 and self.status == 400:
            return Kind.REFUSED  # 'Unknown key "x"' comes without a number
        unnumbered = any(not one for one, _words in self.errors)
        if number == 0 and not unnumbered and (self.status == 304 or 200 <= self.status < 300):
            return Kind.FINE
        return Kind.UNCERTAIN


class Wire:
    """Talks to one slurmrestd. One pool per process and address, shared by threads, remade after a fork."""

    _pools: ClassVar[dict[tuple[int, str, str], httpx.Client]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, url: str, tokens: TokenSource, *, socket: str = "") -> None:
        self.url, self.tokens, self.socket = url.rstrip("/"), tokens, socket

    @property
    def _client(self) -> httpx.Client:
        key = (os.getpid(), self.url, self.socket)
        with self._lock:
            if key not in self._pools:
                limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=4, keepalive_expiry=5)
                transport = httpx.HTTPTransport(limits=limits, retries=0, trust_env=False, uds=self.socket or None)
                self._pools[key] = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
            return self._pools[key]

    def close(self) -> None:
        """Close this process's connections to the address; the next call opens new ones."""
        with self._lock:
            client = self._pools.pop((os.getpid(), self.url, self.socket), None)
        if client:
            client.close()

    def get(self, path: str, *, user: str, params: Mapping[str, str] | None = None) -> Answer:
        """Read. A lost answer and a token turned away are tried once more. Raises NotReached, Lost, NoToken."""
        try:
            answer = self._send("GET", path, user=user, params=params)
        except Lost:
            answer = self._send("GET", path, user=user, params=params)
        if answer.kind is Kind.UNAUTHENTICATED or answer.number in PERHAPS_TOKEN:
            answer = self._send("GET", path, user=user, params=params, fresh=True)
        return answer

    def glance(self, path: str, *, user: str, params: Mapping[str, str] | None = None, read_s: float = 4) -> Answer:
        """Read once, with a deadline of its own and the token last used. Raises NotReached, Lost, NoToken."""
        return self._send("GET", path, user=user, params=params, read_s=read_s)

    def send(
        self, method: str, path: str, *, user: str, body: Mapping[str, Any] | None = None, repeatable: bool = False
    ) -> Answer:
        """Change something, once. Raises NotReached, Lost, NoToken.

        Whoever was turned away at the door has done nothing: that is tried once more with a fresh token. So is, where
        twice is as good as once (`repeatable`), what an unfit token may have been the reason of.
        """
        answer = self._send(method, path, user=user, body=body)
        if answer.kind is Kind.UNAUTHENTICATED or (repeatable and answer.number in PERHAPS_TOKEN):
            answer = self._send(method, path, user=user, body=body, fresh=True)
        return answer

    def renew(self, user: str) -> None:
        """Forget the token kept for `user`, since it is refused. Raises NoToken."""
        self.tokens.token(user, fresh=True)

    def _send(
        self,
        method: str,
        path: str,
        *,
        user: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        read_s: float | None = None,
        fresh: bool = False,
    ) -> Answer:
        headers = {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": self.tokens.token(user, fresh=fresh)}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, ensure_ascii=False).encode()
        timeout = httpx.Timeout(connect=CONNECT_S, read=read_s or READ_S, write=WRITE_S, pool=POOL_S)
        try:
            response = self._client.request(
                method, self.url + path, params=params, headers=headers, content=content, timeout=timeout
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotReached(f"{type(error).__name__}: {error}") from error
        except httpx.HTTPError as error:
            raise Lost(f"{type(error).__name__}: {error}") from error
        return _read(response)


def _read(response: httpx.Response) -> Answer:
    """Return the answer. Raises Lost when a body that calls itself JSON is not."""
    text = response.text
    if response.status_code == 304 or not text:
        return Answer(response.status_code, {}, "")
    try:
        body = json.loads(text)
    except ValueError:
        if "json" in response.headers.get("content-type", "") or text.lstrip().startswith("{"):
            raise Lost(f"HTTP {response.status_code}, body cut or garbled") from None
        return Answer(response.status_code, {}, text[:500])
    return Answer(response.status_code, body if isinstance(body, dict) else {}, text[:500])
