"""The secret code by a bench, and the errors of checking in. Pure."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Final

from portal.kernel.errors import Conflict, noop

__all__ = ["AHEAD", "EARLY", "BenchBusy", "NoBookingNow", "NotCheckedIn", "code_of", "is_code", "read"]

_ = noop

EARLY: Final = timedelta(minutes=15)
"""How long before its booked start a user may check in at the bench, when nobody is using it."""
AHEAD: Final = timedelta(hours=12)
"""Who stands at a bench before that is told when to come back; a day's notice is in the calendar."""
MAC: Final = 32
"""Hexadecimal signs of the keyed digest: 128 bits, too many to guess."""


class NoBookingNow(Conflict):
    code = "bench.no_booking"
    message = _("贵单位现在没有这台仪器的已确认预约。最早可在预约开始前 15 分钟签到。")


class NotCheckedIn(Conflict):
    code = "bench.not_checked_in"
    message = _("贵单位现在没有在这台仪器上签到。")


class BenchBusy(Conflict):
    code = "bench.busy"
    message = _("这台仪器正在使用中，请等待当前使用结束后再签到。")


def _mac(key: bytes, resource_id: int, serial: int) -> str:
    return hmac.new(key, f"bench:{resource_id}:{serial}".encode(), hashlib.sha256).hexdigest()[:MAC]


def code_of(*, resource_id: int, serial: int, key: bytes) -> str:
    """Return the code of a bench's `serial`-th sign: digits and small letters only, fit for an address."""
    return f"{resource_id}-{serial}-{_mac(key, resource_id, serial)}"


def read(code: str) -> tuple[int, int]:
    """Return (resource, serial) a code names, (0, 0) when it is none. Says nothing of whether it is genuine."""
    parts = code.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts[:2]):
        return 0, 0
    return int(parts[0]), int(parts[1])


def is_code(code: str, *, resource_id: int, serial: int, key: bytes) -> bool:
    """Say whether a code is the present one of a bench, in constant time."""
    return hmac.compare_digest(code.encode(), code_of(resource_id=resource_id, serial=serial, key=key).encode())
