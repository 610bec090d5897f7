"""One exchange with Stripe: our own transport below stripe-python, our own errors above it.

The SDK tries nothing again: a write is tried again by whoever holds its row and its key. What an answer says is told in
three words: done, `RailRefused` (a no for good), `Unavailable` (nobody knows; the same key again, or `find`).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import stripe
import structlog
from stripe._api_version import _ApiVersion

from portal.kernel.errors import Unavailable, noop
from vouchers.payments.ports import RailRefused

__all__ = ["API_VERSION", "KeyRefused", "KeySpent", "Wire", "sdk_version"]

_ = noop
logger = structlog.get_logger(__name__)

API_VERSION: Final = "2026-10-28.endive"
"""What this adapter was written for and sends with every request, whatever the account's default."""
CONNECT_S, READ_S, WHOLE_S = 5.0, 25.0, 40.0
"""Deadlines: to connect, between two bytes, for the whole answer."""
MAX_BODY: Final = 32 * 1024 * 1024
PAGE: Final = 100

stripe.enable_telemetry = False  # what this machine is and how long it waited is nobody's business


class KeyRefused(Unavailable):
    """Stripe does not know the key, or the key may not do this: nothing has happened, and an operator must mend it."""

    code = "payment.rail_key_refused"
    message = _("支付机构不认可本平台的密钥或其权限，请联系平台运营人员；您的款项没有变动。")


class KeySpent(Unavailable):
    """The idempotency key was used with other parameters, or keeps a failure of Stripe's own: only looking tells.

    Stripe keeps the first answer of a key, a 500 too; asking again with it would give that for a day.
    """

    code = "payment.rail_key_spent"


def sdk_version() -> str:
    """Return the API version the installed stripe-python was generated for."""
    return _ApiVersion.CURRENT


class Wire:
    """Requests of one key to one API base."""

    def __init__(
        self,
        key: str,
        *,
        api_base: str,
        trust_env: bool = True,
        connect_s: float = CONNECT_S,
        read_s: float = READ_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self.v1 = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base, "connect": api_base, "files": api_base, "meter_events": api_base},
            max_network_retries=0,
            http_client=Transport(trust_env=trust_env, connect_s=connect_s, read_s=read_s, whole_s=whole_s),
        ).v1

    def read(self, call: Callable[..., Any], *ids: str, **params: Any) -> dict[str, Any]:
        """Ask for something. Raises Unavailable, RailRefused."""
        return self._said(call, ids, params, {})

    def write(self, call: Callable[..., Any], *ids: str, key: str, **params: Any) -> dict[str, Any]:
        """Change something, once per `key`. Raises Unavailable: it may have happened or not; RailRefused: it has not."""
        if not key:
            raise ValueError("a write needs its key")
        return self._said(call, ids, params, {"idempotency_key": key})

    def pages(self, call: Callable[..., Any], **params: Any) -> Iterator[dict[str, Any]]:
        """Return every row of a list, newest first, over all its pages. Raises Unavailable, RailRefused."""
        after: str | None = None
        while True:
            follow = {"starting_after": after} if after else {}
            page = self.read(call, **params, limit=PAGE, **follow)
            rows = page.get("data")
            if not isinstance(rows, list):
                raise Unavailable
            yield from rows
            if not page.get("has_more"):
                return
            last = rows[-1].get("id") if rows else None
            if not last or last == after:
                raise Unavailable  # a list that never ends proves nothing
            after = str(last)

    def _said(
        self, call: Callable[..., Any], ids: tuple[str, ...], params: Mapping[str, Any], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            said = call(*ids, params=dict(params), options=dict(options)).to_dict()
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            raise RailRefused(reason=error.code or "invalid_request", text=error.user_message or "") from error
        except stripe.IdempotencyError as error:
            logger.warning("stripe.key_spent", status=error.http_status, request_id=error.request_id)
            raise KeySpent from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            logger.error("stripe.key_refused", status=error.http_status, request_id=error.request_id)
            raise KeyRefused from error
        except stripe.StripeError as error:
            kind = type(error).__name__
            logger.warning("stripe.unanswered", kind=kind, status=error.http_status, request_id=error.request_id)
            replayed = (error.headers or {}).get("idempotent-replayed") == "true"
            raise (KeySpent if replayed else Unavailable) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # an answer the SDK cannot make anything of
            logger.warning("stripe.garbled", kind=type(error).__name__)
            raise Unavailable from error
        if not isinstance(said, dict):
            raise Unavailable
        return said


class Transport(stripe.HTTPClient):
    """Carry one request: deadlines for the whole of it, no redirects, no retries, whole answers only."""

    name = "httpx"

    def __init__(self, *, trust_env: bool, connect_s: float, read_s: float, whole_s: float) -> None:
        super().__init__()
        self._whole_s = whole_s
        self._http = httpx.Client(
            timeout=httpx.Timeout(connect=connect_s, read=read_s, write=connect_s * 2, pool=connect_s),
            follow_redirects=False,
            trust_env=trust_env,
        )
        weakref.finalize(self, self._http.close)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Send and read to the end. Raises stripe.APIConnectionError for whatever is not a whole answer."""
        until = time.monotonic() + self._whole_s
        body = bytearray()
        try:
            with self._http.stream(method.upper(), url, headers=dict(headers or {}), content=post_data) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY or time.monotonic() > until:
                        raise httpx.ReadTimeout("the answer has no end")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(said) from error  # type: ignore[no-untyped-call]
        return bytes(body), response.status_code, response.headers
