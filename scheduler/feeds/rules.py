"""What a feed is: its document, how much it tells, how far it reaches and how often it may be fetched. Pure."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from portal.kernel.errors import Conflict, Invalid, Unavailable, noop
from portal.kernel.period import Period

__all__ = [
    "HOURLY",
    "MAX_BYTES",
    "MAX_LIVE",
    "FeedKind",
    "FeedPrivacy",
    "FeedRevoked",
    "FeedTooOften",
    "FeedsTooMany",
    "KindNotOffered",
    "PrivacyNotOffered",
    "Use",
    "digest_of",
    "fetched",
    "new_secret",
    "offer_refusal",
    "since",
    "tag",
    "window",
]

_ = noop

BACK: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=180)
HOUR: Final = timedelta(hours=1)
HOURLY: Final = 60
"""Fetches per hour and address. Programs ask every 15 minutes at most; one that asks more is broken."""
MAX_LIVE: Final = 20
"""Addresses in force per instrument or person."""
MAX_BYTES: Final = 2 * 1024 * 1024
SECRET_BYTES: Final = 24


class FeedKind(StrEnum):
    """Which document; never mixed, because subscribing programs stop at a component they do not know."""

    EVENTS = "events"
    FREEBUSY = "freebusy"
    AVAILABILITY = "availability"


class FeedPrivacy(StrEnum):
    """How much is told: only that time is taken, also what for, or everything."""

    BUSY = "busy"
    TITLE = "title"
    FULL = "full"


class FeedRevoked(Conflict):
    """HTTP 410: there was such an address, and it was ended."""

    code = "feed.revoked"
    message = _("这个订阅地址已作废。请向给您地址的人索取新地址。")


class FeedTooOften(Unavailable):
    """HTTP 429. Params: after_s, whole seconds until the next fetch is answered."""

    code = "feed.too_often"
    message = _("这个订阅地址在一小时内已被读取 60 次，请 %(after_s)s 秒后再试。")


class FeedsTooMany(Conflict):
    code = "feed.too_many"
    message = _("最多同时保留 20 个订阅地址。请先作废不再使用的地址。")


class KindNotOffered(Invalid):
    code = "feed.kind"
    message = _("没有这种订阅内容，请从列出的内容中选择。")


class PrivacyNotOffered(Invalid):
    code = "feed.privacy"
    message = _("忙闲信息和开放时间里没有文字，请选择“只显示已占用”。")


@dataclass(frozen=True, slots=True)
class Use:
    """How often an address was fetched in the hour that began at `since`."""

    since: datetime | None
    count: int


def new_secret() -> str:
    """Return a secret of 192 bits, fit for an address."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret. Looking this up takes the same time whether it is found or not."""
    return hashlib.sha256(secret.encode()).hexdigest()


def offer_refusal(kind: FeedKind, privacy: FeedPrivacy, *, of_instrument: bool) -> None:
    """Raises KindNotOffered: only an instrument has opening hours. PrivacyNotOffered: only events have words to tell."""
    if kind is FeedKind.AVAILABILITY and not of_instrument:
        raise KindNotOffered(field="kind")
    if kind is not FeedKind.EVENTS and privacy is not FeedPrivacy.BUSY:
        raise PrivacyNotOffered(field="privacy")


def window(now: datetime, kind: FeedKind) -> Period:
    """Return 30 days back to 180 days ahead, from midnight UTC: one document all day long.

    When an instrument was open is not kept, so opening hours are told from today.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(midnight if kind is FeedKind.AVAILABILITY else midnight - BACK, midnight + AHEAD)


def fetched(use: Use, *, now: datetime) -> Use:
    """Count one more fetch. Raises FeedTooOften beyond 60 in an hour (RFC 6585 §4)."""
    if use.since is None or now - use.since >= HOUR:
        return Use(now, 1)
    if use.count >= HOURLY:
        raise FeedTooOften(after_s=int((use.since + HOUR - now).total_seconds()) + 1)
    return Use(use.since, use.count + 1)


def since(known: datetime | None, *, now: datetime) -> datetime:
    """Return the Last-Modified of a document that differs from the one told since `known`: now, to the second, but later.

    Of two versions within a second the second one is dated a second on, so that no two share a date (RFC 9110 §8.8.2.2).
    """
    found = now.replace(microsecond=0)
    return found if known is None or found > known else known + timedelta(seconds=1)


def tag(parts: Iterable[object]) -> str:
    """Return a strong ETag of everything a document is made of (RFC 9110 §8.8.3)."""
    return f'"{hashlib.sha256(repr(list(parts)).encode()).hexdigest()[:32]}"'
