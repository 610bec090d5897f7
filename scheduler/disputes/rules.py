"""States of a dispute, its deadlines, and the grounds on which an act is refused. Pure.

Source: Civil Code 2020, Articles 509 (performance as agreed) and 582 (a lower price for what falls short); that nobody
decides on an own answer is the portal's four-eyes rule for every correction of public money.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.workdays import Workdays

__all__ = [
    "ANSWER_DAYS",
    "TRANSITIONS",
    "DisputeAction",
    "DisputeState",
    "deadline",
    "is_over",
]

_ = noop

ANSWER_DAYS: Final = 5
"""In how many workdays the lab answers; after that the department may decide without."""
NOTE: Final = 400


class DisputeState(StrEnum):
    """`accepted`: the organisation is right; `upheld`: the charge stands."""

    OPEN = "open"
    ANSWERED = "answered"
    ACCEPTED = "accepted"
    UPHELD = "upheld"
    APPEALED = "appealed"
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"


class DisputeAction(StrEnum):
    ANSWER = "answer"
    ACCEPT = "accept"
    UPHOLD = "uphold"
    APPEAL = "appeal"
    SETTLE = "settle"
    WITHDRAW = "withdraw"


S, A = DisputeState, DisputeAction

TRANSITIONS: Final[Mapping[tuple[DisputeState, DisputeAction], DisputeState]] = MappingProxyType(
    {
        (S.OPEN, A.ANSWER): S.ANSWERED,
        (S.OPEN, A.WITHDRAW): S.WITHDRAWN,
        (S.OPEN, A.ACCEPT): S.ACCEPTED,
        (S.OPEN, A.UPHOLD): S.UPHELD,
        (S.ANSWERED, A.ACCEPT): S.ACCEPTED,
        (S.ANSWERED, A.UPHOLD): S.UPHELD,
        (S.ANSWERED, A.WITHDRAW): S.WITHDRAWN,
        (S.UPHELD, A.APPEAL): S.APPEALED,
        (S.UPHELD, A.SETTLE): S.SETTLED,
        (S.APPEALED, A.ACCEPT): S.ACCEPTED,
        (S.APPEALED, A.UPHOLD): S.UPHELD,
        (S.APPEALED, A.WITHDRAW): S.WITHDRAWN,
        (S.ACCEPTED, A.SETTLE): S.SETTLED,
    }
)


class NothingToDispute(Conflict):
    code = "dispute.nothing"
    message = _("这次预约还没有结算，或没有收取费用，没有可以提出异议的计时。")


class TooLate(Conflict):
    code = "dispute.too_late"
    message = _("异议期已过：结算后 %(days)s 个工作日内可以提出异议。仍有疑问的，请联系实验室退款。")


class AlreadyDisputed(Conflict):
    code = "dispute.twice"
    message = _("这次预约已经提出过异议，每次使用只处理一次。")


class NoteMissing(Invalid):
    code = "dispute.note"
    message = _("请写明理由（400 字以内），对方会看到。")


class BadTime(Invalid):
    """`most` are the minutes charged."""

    code = "dispute.time"
    message = _("应计时长须少于已收费的 %(most)s 分钟，且不小于零。")


class SamePerson(Forbidden):
    code = "dispute.same_person"
    message = _("作出答复的人不能自己裁定。请由本单位另一位负责人，或主管部门裁定。")


class NotAnswered(Conflict):
    code = "dispute.not_answered"
    message = _("须先由本单位一人答复，再由另一人裁定；已请主管部门裁定的，由主管部门裁定。")


class NotYet(Conflict):
    code = "dispute.not_yet"
    message = _("答复期限还没有到，主管部门可在 %(until)s 之后直接裁定。")


class Involved(Forbidden):
    code = "dispute.involved"
    message = _("您是其中一方单位的成员，不能裁定这一异议。")


def deadline(calendar: Workdays, since: datetime, *, days: int, zone: str = "Asia/Shanghai") -> datetime:
    """Return the end of the last of `days` workdays after the day of `since`, exclusive, in `zone`.

    Source: Civil Code 2020, Articles 201 and 203: the day something happens on does not count, the last day ends at
    midnight.
    """
    local = ZoneInfo(zone)
    last = calendar.add_working_days(since.astimezone(local).date(), days)
    return datetime.combine(last + timedelta(days=1), time(), local).astimezone(UTC)


def is_over(until: datetime | None, *, now: datetime) -> bool:
    """Say whether a deadline has passed."""
    return until is not None and now >= until
