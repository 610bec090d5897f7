"""States of displaced bookings, what may be chosen, until when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.period import Period

__all__ = [
    "ANSWER_HOURS",
    "LONGEST",
    "TRANSITIONS",
    "AlreadyAnswered",
    "BadAnswerTime",
    "DisplacementAction",
    "DisplacementState",
    "NothingToEnd",
    "OptionGone",
    "OptionKind",
    "OutageOver",
    "OutageTooLong",
    "ReasonMissing",
    "answer_by",
    "check",
    "held_until",
]

_ = noop

ANSWER_HOURS: Final = (1, 24, 72)
"""The shortest time to choose, the time unless said otherwise, the longest: in hours."""
LONGEST: Final = timedelta(days=60)
"""The longest outage declared at once."""


class DisplacementState(StrEnum):
    OPEN = "open"
    MOVED = "moved"
    REFUNDED = "refunded"
    LAPSED = "lapsed"
    """Nobody chose in time: cancelled, all of its money given back."""


class DisplacementAction(StrEnum):
    MOVE = "move"
    REFUND = "refund"
    LAPSE = "lapse"


S, A = DisplacementState, DisplacementAction

TRANSITIONS: Final[Mapping[tuple[DisplacementState, DisplacementAction], DisplacementState]] = MappingProxyType(
    {
        (S.OPEN, A.MOVE): S.MOVED,
        (S.OPEN, A.REFUND): S.REFUNDED,
        (S.OPEN, A.LAPSE): S.LAPSED,
    }
)


class OptionKind(StrEnum):
    """What may be chosen: the same instrument after the outage, one like it of the same lab, or the money back."""

    LATER = "later"
    TWIN = "twin"
    REFUND = "refund"


class ReasonMissing(Invalid):
    code = "outage.reason"
    message = _("请写明停机原因（120 字以内），受影响的预约单位会看到。")


class OutageOver(Invalid):
    code = "outage.over"
    message = _("停机的结束时间已经过去。请填写现在之后的时间。")


class OutageTooLong(Invalid):
    code = "outage.too_long"
    message = _("一次最多申报 %(days)s 天停机。更长的请停止发布该仪器，或分次申报。")


class BadAnswerTime(Invalid):
    code = "outage.answer_hours"
    message = _("答复期限须在 %(least)s 至 %(most)s 小时之间。")


class AlreadyAnswered(Conflict):
    code = "displacement.answered"
    message = _("这次预约的处理方式已经确定，不能再选。")


class OptionGone(Conflict):
    code = "displacement.option_gone"
    message = _("该时段的保留已经到期或被收回。请选择其他方案。")


class NothingToEnd(Conflict):
    code = "outage.ended"
    message = _("这次停机已经结束。")


def check(period: Period, *, hours: int, now: datetime) -> None:
    """Raises OutageOver, OutageTooLong, BadAnswerTime."""
    if period.end <= now:
        raise OutageOver(field="ends_at")
    if period.duration > LONGEST:
        raise OutageTooLong(field="ends_at", days=LONGEST.days)
    if not ANSWER_HOURS[0] <= hours <= ANSWER_HOURS[2]:
        raise BadAnswerTime(field="answer_hours", least=ANSWER_HOURS[0], most=ANSWER_HOURS[2])


def answer_by(*, declared: datetime, hours: int) -> datetime:
    """Return until when somebody may choose, exclusive."""
    return declared + timedelta(hours=hours)


def held_until(period: Period, *, answer_by: datetime) -> datetime:
    """Return until when offered time is held: to the end of the time to choose, no longer than until it begins."""
    return min(answer_by, period.start)
