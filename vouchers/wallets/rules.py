"""States of vouchers, how long they live, and how much one holder may hold. Pure: no Django, no clock, no I/O."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Invalid, Reason, noop
from portal.kernel.money import Money
from portal.kernel.workdays import Workdays

__all__ = [
    "BEIJING",
    "LOCK_FOR",
    "MOST_FAILURES",
    "TRANSITIONS",
    "AttemptOutcome",
    "CodeLocked",
    "CodeRefused",
    "Life",
    "OnExpiry",
    "OverBeforeIssue",
    "ReasonMissing",
    "VoucherAction",
    "VoucherState",
    "carried_until",
    "holding_refusals",
    "life",
    "months_after",
    "valid_until",
]

_ = noop

BEIJING: Final = ZoneInfo("Asia/Shanghai")
DEFAULT_MONTHS: Final = 12
"""How long a voucher is valid when its programme does not say."""
ONE_DAY: Final = timedelta(days=1)


class VoucherState(StrEnum):
    """Where a voucher stands. That its value is used up is no state: the ledger knows its balance."""

    ACTIVE = "active"
    FROZEN = "frozen"
    EXPIRED = "expired"
    RECOVERED = "recovered"


class VoucherAction(StrEnum):
    FREEZE = "freeze"
    """An investigation: nothing new may be ordered; what is ordered already goes on."""
    UNFREEZE = "unfreeze"
    CARRY = "carry"
    """The rest is carried into the next year's, once."""
    EXPIRE = "expire"
    RECOVER = "recover"
    """A breach was found: whatever is unused is taken back."""


class AttemptOutcome(StrEnum):
    """What came of trying a voucher code. Whoever tried is told only whether it was `shown` or not."""

    SHOWN = "shown"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    FOREIGN = "foreign"
    NOT_USABLE = "not_usable"
    LOCKED = "locked"


MOST_FAILURES: Final = 10
"""Failed tries of one person within `LOCK_FOR`; then every further one is refused until the oldest is an hour old."""
LOCK_FOR: Final = timedelta(hours=1)


class CodeRefused(Conflict):
    """The one answer to every code that cannot be used: unknown, foreign, expired and mistyped look the same."""

    code = "voucher.code_refused"
    message = _("券码无效或暂不可用。请核对后再试，或请持券单位登录平台查看该券状态。")


class CodeLocked(Conflict):
    code = "voucher.code_locked"
    message = _("一小时内核验失败已达 10 次，暂停核验。请一小时后再试。")


S, A = VoucherState, VoucherAction

TRANSITIONS: Final[Mapping[tuple[VoucherState, VoucherAction], VoucherState]] = MappingProxyType(
    {
        (S.ACTIVE, A.FREEZE): S.FROZEN,
        (S.ACTIVE, A.CARRY): S.ACTIVE,
        (S.ACTIVE, A.EXPIRE): S.EXPIRED,
        (S.ACTIVE, A.RECOVER): S.RECOVERED,
        (S.FROZEN, A.UNFREEZE): S.ACTIVE,
        (S.FROZEN, A.CARRY): S.FROZEN,
        (S.FROZEN, A.EXPIRE): S.EXPIRED,
        (S.FROZEN, A.RECOVER): S.RECOVERED,
    }
)
"""Freezing neither shortens nor lengthens a voucher's life: it ends on its day, frozen or not."""


class OnExpiry(StrEnum):
    """What becomes of the unused rest at the end: it returns to the pool, or is carried into the next year's."""

    RETURN = "return"
    CARRY = "carry"


class ReasonMissing(Invalid):
    code = "voucher.reason"
    message = _("请写明原因，持券单位会看到。")


class OverBeforeIssue(Conflict):
    """`last_day` is the day the validity would have ended, in Beijing."""

    code = "voucher.over_before_issue"
    message = _(
        "按合同签订日计算，该券的有效期已于 %(last_day)s 结束，不能发放。请退回申请，或由政策发布人调整有效期。"
    )


def months_after(day: date, months: int) -> date:
    """Return the corresponding day `months` later, or that month's last day where there is none.

    Source: Civil Code, Article 202.
    """
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _end_of(day: date) -> datetime:
    return datetime.combine(day + ONE_DAY, time(), BEIJING)


def valid_until(issued: datetime, *, months: int, workdays: Workdays | None = None) -> datetime:
    """Return the first instant at which a voucher issued at `issued` is no longer valid.

    The day of issue is not counted; a period in months ends on the corresponding day, or on the month's last day
    where there is none, at its midnight in Beijing time. With `workdays`, a last day that is a rest day moves to the
    next working day. Source: Civil Code, Articles 201-203.
    """
    last = months_after(issued.astimezone(BEIJING).date(), months)
    return _end_of(workdays.next_working_day(last) if workdays else last)


@dataclass(frozen=True, slots=True)
class Life:
    """A voucher's time: orders from `valid_from` to before `valid_until`; what was ordered then until `grace_until`."""

    valid_from: datetime
    valid_until: datetime
    grace_until: datetime


def life(
    now: datetime, *, months: int | None, contract_signed: date | None, grace: int, workdays: Workdays | None
) -> Life:
    """Return the life of a voucher issued at `now` for `months` (None = twelve), counted from its contract if given.

    `grace` months follow in which what was ordered in time may still be delivered and claimed, counted from the last
    day. Raises OverBeforeIssue when a period counted from the contract has already passed.
    """
    start = datetime.combine(contract_signed, time(), BEIJING) if contract_signed else now
    ends = valid_until(start, months=DEFAULT_MONTHS if months is None else months, workdays=workdays)
    last_day = ends.astimezone(BEIJING).date() - ONE_DAY
    if ends <= now:
        raise OverBeforeIssue(last_day=last_day.isoformat())
    return Life(now, ends, _end_of(months_after(last_day, grace)) if grace else ends)


def carried_until(valid_until_: datetime, *, fiscal_year: int) -> datetime | None:
    """Return until when an unused rest may be carried: the end of the year after its budget's; None = not at all.

    The value stays in its own budget year's books; only its time is longer, and only once. Source: Budget Law (2018),
    Article 42: carried funds are spent on the same purpose in the following year, and are surplus after two.
    """
    end = datetime(fiscal_year + 2, 1, 1, tzinfo=BEIJING)
    return end if end > valid_until_ else None


def holding_refusals(
    asked: Money, *, held: Money, holding_max: Money | None, per_application_max: Money | None
) -> list[Reason]:
    """Return every ceiling that `asked` would break; None = the programme names none.

    `held` is the unspent value of the holder's live vouchers of the programme. Source: 上海市科技创新券 (a ceiling per
    application and one on what an enterprise holds at a time); the ceilings themselves are each programme's data.
    """
    reasons: list[Reason] = []
    if per_application_max is not None and asked > per_application_max:
        reasons.append(
            Reason(
                "voucher.per_application_max",
                _("每次申领不超过 %(limit)s，本次为 %(asked)s。"),
                _("请减少申领额度。"),
                field="amount",
                params={"limit": str(per_application_max), "asked": str(asked)},
            )
        )
    if holding_max is not None and asked + held > holding_max:
        reasons.append(
            Reason(
                "voucher.holding_max",
                _("同一单位持有的未用额度不超过 %(limit)s，现持有 %(held)s，本次为 %(asked)s。"),
                _("请先使用已有的券，或减少申领额度。"),
                field="amount",
                params={"limit": str(holding_max), "held": str(held), "asked": str(asked)},
            )
        )
    return reasons
