"""Two holders exchange their times: the states of a proposal, how long it lasts, and what it is refused for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Reason, noop

__all__ = [
    "NEEDS_APPROVAL",
    "OTHER_SIDE",
    "TRANSITIONS",
    "NotSwappable",
    "NothingToSwap",
    "SwapAction",
    "SwapOpen",
    "SwapOver",
    "SwapPrice",
    "SwapState",
    "lasts_until",
]

_ = noop

LASTS: Final = timedelta(hours=48)
"""How long a proposal waits for an answer; never beyond the start of either booking."""


class SwapState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class SwapAction(StrEnum):
    ACCEPT = "accept"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"


S, A = SwapState, SwapAction

TRANSITIONS: Final[Mapping[tuple[SwapState, SwapAction], SwapState]] = MappingProxyType(
    {
        (S.PROPOSED, A.ACCEPT): S.ACCEPTED,
        (S.PROPOSED, A.DECLINE): S.DECLINED,
        (S.PROPOSED, A.WITHDRAW): S.WITHDRAWN,
        (S.PROPOSED, A.LAPSE): S.LAPSED,
    }
)


class NotSwappable(Conflict):
    code = "swap.not_swappable"
    message = _("只有实验室已确认、尚未开始的预约才能交换时段。待确认的预约请直接改期。")


class NothingToSwap(Conflict):
    """One answer for free time, outages, one's own bookings and bookings that cannot be moved: no more is told."""

    code = "swap.nothing_there"
    message = _("那个时间没有可以交换的预约。空闲的时段请直接改期；其他时段请另选。")


class SwapOpen(Conflict):
    code = "swap.open"
    message = _("这次预约已有一个交换提议在等待答复。请先撤回，再提议别的时段。")


class SwapOver(Conflict):
    code = "swap.over"
    message = _("这个交换提议已经失效：已答复、已撤回、已过期，或有一方的预约变了。什么都没有改变。")


class SwapPrice(Conflict):
    code = "swap.price"
    message = _("交换后的价格与您看到的不同，现在是 %(price)s。请核对后再次确认。")


OTHER_SIDE: Final = Reason(
    "swap.other_side",
    _("对方的预约不能改到您的时段。"),
    _("请另选时段。"),
    field="at",
)


NEEDS_APPROVAL: Final = Reason(
    "swap.needs_approval",
    _("换到该时段会超出实验室的限额，须由实验室批准，不能直接交换。"),
    _("请另选时段，或改期到空闲时段由实验室确认。"),
    field="at",
)


def lasts_until(now: datetime, *, starts: Iterable[datetime]) -> datetime:
    """Return when a proposal made at `now` ends by itself, exclusive."""
    return min(now + LASTS, *starts)
