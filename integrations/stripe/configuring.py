"""What the operator says of its account with Stripe, and everything that is wrong with it. No wire, no secret in a repr."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from vouchers.payments.ports import Method

__all__ = ["STRIPE", "Config", "Problem", "config_from", "is_loopback", "problems"]

STRIPE: Final = "https://api.stripe.com"
KEY: Final = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]{8,}")
BEGINNINGS: Final = "It begins with sk_live_, rk_live_, sk_test_ or rk_test_."
WHSEC: Final = "The endpoint's signing secret, whsec_…; while one is replaced both, separated by a comma."
SHORTEST_SECRET: Final = 16


@dataclass(frozen=True, slots=True)
class Config:
    """An account with Stripe. `webhook_secrets`: several while one is being replaced.

    `sandbox` says that no real money moves; a test key says so too. `unknown_methods` are words nobody knows.
    """

    key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    api_base: str = STRIPE
    account: str = ""
    methods: tuple[Method, ...] = tuple(Method)
    unknown_methods: tuple[str, ...] = ()
    sandbox: bool = False
    transfers: bool = False

    @property
    def live(self) -> bool:
        """Whether the key moves real money."""
        found = KEY.fullmatch(self.key)
        return bool(found) and found is not None and found.group(2) == "live"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: the number of the check that says it, what is wrong and what to do."""

    id: str
    text: str
    hint: str
    grave: bool = True


def config_from(values: Mapping[str, Any]) -> Config:
    """Read ``settings.STRIPE``; what is wrong with it `problems` says."""
    words = [word.strip() for word in str(values["methods"]).split(",") if word.strip()]
    known = {method.value for method in Method}
    return Config(
        key=str(values["key"]).strip(),
        webhook_secrets=tuple(part.strip() for part in str(values["webhook_secret"]).split(",") if part.strip()),
        api_base=str(values["api_base"]).rstrip("/") or STRIPE,
        account=str(values["account"]).strip(),
        methods=tuple(Method(word) for word in words if word in known),
        unknown_methods=tuple(word for word in words if word not in known),
        sandbox=bool(values["sandbox"]),
        transfers=bool(values["transfers"]),
    )


def problems(config: Config, *, rehearsing: bool, api_version: tuple[str, str]) -> list[Problem]:
    """Return everything that forbids to take money with `config`. `rehearsing`: DEBUG or demonstration data.

    `api_version` is what this adapter was written for and what the installed SDK speaks.
    """
    known = ", ".join(method.value for method in Method)
    shortest = min((len(secret) for secret in config.webhook_secrets), default=0)
    faults = (
        (not KEY.fullmatch(config.key), "E020", "GONGXIANG_STRIPE_KEY is no secret key.", BEGINNINGS),
        (
            not config.webhook_secrets,
            "E021",
            "GONGXIANG_STRIPE_WEBHOOK_SECRET is not set: anybody could say money came.",
            WHSEC,
        ),
        (0 < shortest < SHORTEST_SECRET, "E021", "GONGXIANG_STRIPE_WEBHOOK_SECRET is too short to be one.", WHSEC),
        *_where(config),
        (
            config.live and rehearsing,
            "E025",
            "A live key with DEBUG or demonstration data.",
            "Use a test key until GONGXIANG_DEBUG and GONGXIANG_DEMO are off.",
        ),
        (
            bool(config.unknown_methods) or not config.methods,
            "E026",
            f"GONGXIANG_STRIPE_METHODS: {', '.join(config.unknown_methods) or 'empty'}",
            f"Some of: {known}",
        ),
        (
            bool(config.account) and not re.fullmatch(r"acct_\w+", config.account),
            "E027",
            f"GONGXIANG_STRIPE_ACCOUNT is no account: {config.account!r}",
            "acct_…, as `manage.py payment_rails` shows it.",
        ),
        (
            config.transfers and not config.account,
            "E029",
            "GONGXIANG_STRIPE_TRANSFERS pays providers, but GONGXIANG_STRIPE_ACCOUNT does not say from whose account.",
            "Set GONGXIANG_STRIPE_ACCOUNT to acct_…, as `manage.py payment_rails` shows it, or the transfers to 0.",
        ),
        (
            api_version[0] != api_version[1],
            "E028",
            f"stripe-python speaks API {api_version[1]}, this adapter {api_version[0]}.",
            "Install what requirements/ lock.",
        ),
    )
    found = [Problem(f"portal.{number}", text, hint) for is_so, number, text, hint in faults if is_so]
    if not config.live and not rehearsing and not config.sandbox:
        hint = "Set GONGXIANG_STRIPE_SANDBOX=1 if that is meant."
        found.append(Problem("portal.W029", "The Stripe key is a test key: nobody pays for real.", hint, grave=False))
    if config.sandbox and not rehearsing:
        text = (
            "Payments are a sandbox, and this is neither demo nor debug: services are booked as paid without any money."
        )
        found.append(
            Problem("portal.W030", text, "Take GONGXIANG_STRIPE_SANDBOX out before the portal opens.", grave=False)
        )
    return found


def _where(config: Config) -> tuple[tuple[bool, str, str, str], ...]:
    """Return what may be wrong with where the API is, and with the world it is in."""
    local, stripes = is_loopback(config.api_base), _is_stripes(config.api_base)
    return (
        (
            not local and not stripes,
            "E022",
            f"GONGXIANG_STRIPE_API_BASE is neither Stripe's nor this machine: {config.api_base!r}",
            f"Leave it out for {STRIPE}.",
        ),
        (
            config.live and not stripes,
            "E023",
            "A live key would be sent to another server than Stripe's.",
            "Use a test key.",
        ),
        (
            config.live and config.sandbox,
            "E024",
            "GONGXIANG_STRIPE_SANDBOX is on with a live key.",
            "Real money would move.",
        ),
        (
            local and not config.sandbox,
            "E024",
            "Payments of a server on this machine would count as real.",
            "Set GONGXIANG_STRIPE_SANDBOX=1.",
        ),
    )


def is_loopback(base: str) -> bool:
    """Say whether an address is this machine's own, and nothing but scheme, host and port."""
    parts = _plain(base)
    if parts is None:
        return False
    try:
        return parts[1] == "localhost" or ipaddress.ip_address(parts[1]).is_loopback
    except ValueError:
        return False


def _is_stripes(base: str) -> bool:
    parts = _plain(base)
    return parts is not None and parts[0] == "https" and parts[1].endswith(".stripe.com")


def _plain(base: str) -> tuple[str, str] | None:
    """Return scheme and host of an address that is nothing more."""
    try:
        parts = urlsplit(base)
        whole = f"{parts.scheme}://{parts.netloc}" == base and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    if not whole or parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts.scheme, parts.hostname
