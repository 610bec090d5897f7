"""Hand out numbers such as ``B2611-000042``."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import connection

PORTAL_ZONE = ZoneInfo("Asia/Shanghai")


def next_number(*, prefix: str, now: datetime) -> str:
    """Return the next number: prefix, year and month in Beijing time, and a serial that never repeats.

    Serials come from one database sequence, so they may have gaps but no duplicates, across all prefixes.
    """
    [number] = next_numbers(prefix=prefix, now=now, count=1)
    return number


def next_numbers(*, prefix: str, now: datetime, count: int) -> list[str]:
    """Return `count` numbers as `next_number` makes them, in one query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('portal_number') FROM generate_series(1, %s)", [count])
        serials = [serial for (serial,) in cursor.fetchall()]
    month = f"{now.astimezone(PORTAL_ZONE):%y%m}"
    return [f"{prefix}{month}-{serial:06d}" for serial in serials]
