"""States of vouchers and how long they live. Pure: no Django, no clock, no I/O."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

__all__ = ["BEIJING", "VoucherState", "valid_until"]

BEIJING = ZoneInfo("Asia/Shanghai")


class VoucherState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"


def valid_until(issued: datetime, *, months: int) -> datetime:
    """Return the first instant at which a voucher issued at `issued` is no longer valid.

    The day of issue is not counted; a period in months ends on the corresponding day, or on the month's last day
    where there is none, at its midnight in Beijing time. Source: Civil Code, Articles 201-203.
    """
    day = issued.astimezone(BEIJING).date()
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    last = date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
    return datetime.combine(last + timedelta(days=1), time(), BEIJING)
