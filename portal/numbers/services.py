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
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('portal_number')")
        (serial,) = cursor.fetchone()
    return f"{prefix}{now.astimezone(PORTAL_ZONE):%y%m}-{serial:06d}"
