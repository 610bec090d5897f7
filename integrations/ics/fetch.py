"""Fetch a calendar from an address a lab typed. Answers ``scheduler.calendars.ports.CalendarFetcher``.

A name is resolved once per connection and the connection goes to the address that was judged, so an answer that changes
in between (DNS rebinding) changes nothing; every redirect is judged anew. Time is one budget for everything, bytes are
counted before and after decompression.
"""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import httpcore
import httpx
from django.conf import settings

from integrations.ics.addresses import is_public
from integrations.ics.refusals import unreachable
from integrations.ics.syntax import MAX_BYTES
from scheduler.calendars.ports import Fetched

__all__ = ["fetch"]

DEADLINE_S = 20.0
"""For one answer: names, connections, redirects, headers and body together."""
CONNECT_S, READ_S = 5.0, 10.0
MAX_REDIRECTS = 3
MAX_HEADERS = 256 * 1024
MAX_URL = 2000
MAX_VALIDATOR = 200
PORTS = (80, 443, *range(1024, 65536))
"""The web's own and those of services of one's own; not mail, not shells."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "Gongxiang-Calendar/1.0"
MAX_RETRY_S = 24 * 3600


class _Bounded(httpcore.NetworkStream):
    """A connection that ends at the deadline and after so many bytes, whatever the other side does."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float, left: int) -> None:
        self._inner, self._deadline, self._left = inner, deadline, left

    def _timeout(self, asked: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return min(asked or left, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, self._timeout(timeout))
        self._left -= len(data)
        if self._left < 0:
            raise unreachable("too_large", limit=MAX_BYTES // 1024 // 1024)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._timeout(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._inner.start_tls(ssl_context, server_hostname, self._timeout(timeout))
        return _Bounded(secured, self._deadline, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Judged(httpcore.NetworkBackend):
    """Connects to public addresses only: resolves a name once, judges every address, connects to one of them."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        error: Exception | None = None
        for address in _resolved(host, port)[:2]:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise httpcore.ConnectTimeout
            try:
                stream = self._inner.connect_tcp(
                    address, port, min(timeout or left, left), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
            else:
                return _Bounded(stream, self._deadline, MAX_BYTES + MAX_HEADERS)
        raise error or httpcore.ConnectError


def _resolved(host: str, port: int) -> list[str]:
    """Return the host's addresses. Raises CalendarUnreachable if there is none or one of them is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise unreachable("unresolved", host=host[:80]) from None
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
    if not all(is_public(address, loopback=settings.CALENDAR_FETCH_LOOPBACK) for address in addresses):
        raise unreachable("private_address")
    return addresses


def fetch(url: str, *, etag: str = "", last_modified: str = "") -> Fetched:
    """Ask an address for its calendar; see ``CalendarFetcher``."""
    deadline = time.monotonic() + DEADLINE_S
    asked = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {name: value for name, value in asked.items() if value}
    address = _address(url)
    try:
        with httpcore.ConnectionPool(
            ssl_context=_trust(), network_backend=_Judged(deadline), max_connections=1, max_keepalive_connections=0
        ) as pool:
            for _hop in range(MAX_REDIRECTS + 1):
                found = _ask(pool, address, headers)
                if isinstance(found, Fetched):
                    return found
                address = found
    except httpcore.TimeoutException:
        raise unreachable("timeout") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
        raise unreachable("connection") from None
    raise unreachable("redirects")


@cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _address(text: str) -> httpx.URL:
    """Read what somebody typed, or where we are sent. Raises CalendarUnreachable."""
    plain = text.strip()
    scheme, mark, rest = plain.partition("://")
    if mark and scheme.lower() in {"webcal", "webcals"}:
        plain = f"https://{rest}"
    if len(plain) > MAX_URL:
        raise unreachable("bad_address")
    try:
        found = httpx.URL(plain)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise unreachable("bad_address") from None
    port = {"http": 80, "https": 443}.get(found.scheme) if found.port is None else found.port
    if found.scheme not in {"http", "https"} or not found.host or found.userinfo or port not in PORTS:
        raise unreachable("bad_address")
    return found


def _ask(pool: httpcore.ConnectionPool, address: httpx.URL, headers: Mapping[str, str]) -> Fetched | httpx.URL:
    """Make one exchange: what was answered, or where we are sent."""
    target = httpcore.URL(scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path)
    sent = {
        "User-Agent": USER_AGENT,
        "Accept": "text/calendar, */*;q=0.5",
        "Accept-Encoding": "gzip",
        "Connection": "close",
        **headers,
    }
    timeouts = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": CONNECT_S}
    with pool.stream("GET", target, headers=list(sent.items()), extensions={"timeout": timeouts}) as response:
        said = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in response.headers}
        if response.status in REDIRECTS and said.get("location"):
            return _onward(address, said["location"])
        known = response.status == 304 and bool(headers)
        if response.status != 200 and not known:
            raise unreachable("status", retry_s=_retry(said.get("retry-after", "")), status=str(response.status))
        return Fetched(
            body=None if known else _body(response.iter_stream(), said.get("content-encoding", "")),
            etag=_validator(said.get("etag", "")) or (headers.get("If-None-Match", "") if known else ""),
            last_modified=_validator(said.get("last-modified", ""))
            or (headers.get("If-Modified-Since", "") if known else ""),
        )


def _onward(address: httpx.URL, location: str) -> httpx.URL:
    """Return where a redirect leads. Raises CalendarUnreachable when that is nowhere, or out of TLS."""
    try:
        found = _address(str(address.join(location)))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise unreachable("redirects") from None
    if address.scheme == "https" and found.scheme != "https":
        raise unreachable("redirects")  # the address may be a secret
    return found


def _body(chunks: Iterable[bytes], encoding: str) -> bytes:
    """Return the whole answer, unpacked. Raises CalendarUnreachable when it is too large, broken or incomplete."""
    coded = encoding.strip().lower()
    if coded not in {"", "identity", "gzip", "x-gzip"}:
        raise unreachable("encoding")
    unpacked = _unpacked(chunks) if "gzip" in coded else iter(chunks)
    body = bytearray()
    for chunk in unpacked:
        body += chunk
        if len(body) > MAX_BYTES:
            raise unreachable("too_large", limit=MAX_BYTES // 1024 // 1024)
    return bytes(body)


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip in pieces of at most 64 KiB, so that a bomb is seen before it has gone off."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not unpacker.eof:
                yield unpacker.decompress(rest, 65536)
                rest = unpacker.unconsumed_tail
        while not unpacker.eof and (last := unpacker.decompress(b"", 65536)):
            yield last
    except zlib.error:
        raise unreachable("encoding") from None
    if not unpacker.eof or unpacker.unused_data:
        raise unreachable("encoding")


def _validator(text: str) -> str:
    """Return an ETag or a date to ask with next time; "" for one that no honest server sends."""
    return text if len(text) <= MAX_VALIDATOR and text.isascii() and text.isprintable() else ""


def _retry(text: str) -> int:
    """Return Retry-After in seconds (RFC 9110 §10.2.3), at most a day; a date is not read."""
    return min(int(text), MAX_RETRY_S) if text.isascii() and text.isdigit() and len(text) < 9 else 0
