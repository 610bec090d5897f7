"""States of applications and vouchers, validity, and who may decide. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "TRANSITIONS",
    "AmountRaised",
    "ApplicationAction",
    "ApplicationState",
    "NotOpen",
    "SamePerson",
    "VoucherState",
    "valid_until",
]

_ = noop

BEIJING = ZoneInfo("Asia/Shanghai")


class ApplicationState(StrEnum):
    SUPPLEMENT = "supplement"
    SUBMITTED = "submitted"
    REVIEWED = "reviewed"
    ISSUED = "issued"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class ApplicationAction(StrEnum):
    COMPLETE = "complete"
    ENDORSE = "endorse"
    APPROVE = "approve"
    RETURN = "return"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


S, A = ApplicationState, ApplicationAction

TRANSITIONS: Final[Mapping[tuple[ApplicationState, ApplicationAction], ApplicationState]] = MappingProxyType(
    {
        (S.SUPPLEMENT, A.COMPLETE): S.SUBMITTED,
        (S.SUPPLEMENT, A.WITHDRAW): S.WITHDRAWN,
        (S.SUBMITTED, A.ENDORSE): S.REVIEWED,
        (S.SUBMITTED, A.RETURN): S.SUPPLEMENT,
        (S.SUBMITTED, A.REFUSE): S.REFUSED,
        (S.SUBMITTED, A.WITHDRAW): S.WITHDRAWN,
        (S.REVIEWED, A.APPROVE): S.ISSUED,
        (S.REVIEWED, A.REFUSE): S.REFUSED,
        (S.REVIEWED, A.WITHDRAW): S.WITHDRAWN,
    }
)


class VoucherState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"


class SamePerson(Forbidden):
    code = "application.same_person"
    message = _("同一份申请的申请人、初审人和审批人须为不同的人。请由其他同事办理。")


class AmountRaised(Invalid):
    code = "application.amount_raised"
    message = _("审定金额只能小于或等于测算金额 %(limit)s，且须大于零。")


class NotOpen(Conflict):
    code = "programme.not_open"
    message = _("该政策当前不接受申请（未发布、已暂停或已被新版取代）。")


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
