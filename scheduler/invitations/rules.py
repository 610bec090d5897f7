"""When a booking is told to a calendar by mail, as what, and how often a mail is tried. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Invalid, noop

__all__ = [
    "ATTEMPTS",
    "LANGUAGES",
    "STALE",
    "TRANSITIONS",
    "LanguageUnknown",
    "MailAction",
    "MailState",
    "Method",
    "Status",
    "check_language",
    "message_id",
    "method_for",
    "pause",
]

_ = noop

STALE: Final = timedelta(minutes=5)
"""After this a mail in the sending is taken for its worker's last: no worker of ours waits that long for a server."""
ATTEMPTS: Final = 9
"""Tries before a mail is given up: over some five days, as mail servers do themselves (RFC 5321 §4.5.4.1)."""
LANGUAGES: Final = ("zh-hans", "en")


class Status(StrEnum):
    """STATUS of a booking in a calendar (RFC 5545 §3.8.1.11)."""

    TENTATIVE = "TENTATIVE"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"


class Method(StrEnum):
    """What a calendar is asked to do (RFC 5546 §1.4)."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


class MailState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


class MailAction(StrEnum):
    START = "start"
    SUCCEED = "succeed"
    POSTPONE = "postpone"
    FAIL = "fail"
    DROP = "drop"


S, A = MailState, MailAction

TRANSITIONS: Final[Mapping[tuple[MailState, MailAction], MailState]] = MappingProxyType(
    {
        (S.PENDING, A.START): S.SENDING,
        (S.SENDING, A.START): S.SENDING,
        (S.SENDING, A.SUCCEED): S.SENT,
        (S.SENDING, A.POSTPONE): S.PENDING,
        (S.SENDING, A.FAIL): S.FAILED,
        (S.PENDING, A.DROP): S.DROPPED,
        (S.SENDING, A.DROP): S.DROPPED,
    }
)


class LanguageUnknown(Invalid):
    code = "calendar_mail.language"
    message = _("没有这种语言，请选择简体中文或 English。")


def method_for(status: Status, *, known: bool) -> Method | None:
    """Return what to tell about a booking whose time or status changed; None: nothing.

    `known`: whether the recipient's calendar has, or may have, the booking by an earlier mail. A calendar first hears of
    a booking when it is confirmed; from then on of every change, also of a new time the lab has yet to agree to
    (STATUS:TENTATIVE, RFC 5546 §3.2.2). What no mail has told is not cancelled by one.
    """
    if status is Status.CONFIRMED or (known and status is Status.TENTATIVE):
        return Method.REQUEST
    return Method.CANCEL if known and status is Status.CANCELLED else None


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many tries that did not go through: 5 minutes, then ever longer, 48 hours at most."""
    return min(timedelta(minutes=5 * int(3 ** min(max(attempts - 1, 0), 6))), timedelta(hours=48))


def message_id(uid: uuid.UUID, sequence: int, *, recipient: str, domain: str) -> str:
    """Return the Message-ID (RFC 5322 §3.6.4) of what one recipient is told about one version of a booking.

    The same however often the mail is sent, so that of two copies programs show one. The address itself is not in it.
    """
    who = hashlib.sha256(f"{uid}/{recipient.casefold()}".encode()).hexdigest()[:16]
    return f"<{uid}.{sequence}.{who}@{domain}>"


def check_language(language: str) -> str:
    """Return a language mails are written in. Raises LanguageUnknown."""
    if language not in LANGUAGES:
        raise LanguageUnknown(field="language")
    return language
