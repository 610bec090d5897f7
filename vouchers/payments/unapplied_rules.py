"""States of what is done with money that pays nothing, and why it is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "ACTIVE",
    "TRANSITIONS",
    "MoreThanUnapplied",
    "NotApplied",
    "NotDoubted",
    "NotFree",
    "NotProposed",
    "OtherPayer",
    "SecondPerson",
    "UseAction",
    "UseKind",
    "UseState",
]

_ = noop


class UseKind(StrEnum):
    """What unapplied money is used for."""

    APPLIED = "applied"
    """It pays another payment of its payer."""
    RETURNED = "returned"
    """It goes back to its payer by bank transfer."""


class UseState(StrEnum):
    PROPOSED = "proposed"
    """It is to pay a payment, from the limit on: a second person decides. Nothing else uses it meanwhile."""
    ASKED = "asked"
    """Finance has said that it goes back; the line of the bank's statement is awaited."""
    DONE = "done"
    UNDONE = "undone"


class UseAction(StrEnum):
    CONFIRM = "confirm"
    REFUSE = "refuse"
    DO = "do"
    DROP = "drop"
    UNDO = "undo"


_S, _A = UseState, UseAction
TRANSITIONS: Final[Mapping[tuple[UseState, UseAction], UseState]] = MappingProxyType(
    {
        (_S.PROPOSED, _A.CONFIRM): _S.DONE,
        (_S.PROPOSED, _A.REFUSE): _S.UNDONE,
        (_S.ASKED, _A.DO): _S.DONE,
        (_S.ASKED, _A.DROP): _S.UNDONE,
        (_S.DONE, _A.UNDO): _S.UNDONE,
    }
)
ACTIVE: Final = (UseState.PROPOSED.value, UseState.ASKED.value, UseState.DONE.value)


class NotFree(Conflict):
    """What a gateway brought goes back by itself; what was used or promised is not free any more."""

    code = "payment.not_free"
    message = _("这笔来款没有可用的挂账金额：已用于付款、已退回、正在退回，或由支付机构原路退回。")


class NotApplied(Conflict):
    code = "payment.not_applied"
    message = _("这笔挂账资金没有用于这笔付款，或已经撤销。请刷新页面查看最新状态。")


class NotDoubted(Conflict):
    code = "payment.not_doubted"
    message = _("还没有人提出撤销。请先由一位同事写明原因提出，再由另一位同事复核。")


class NotProposed(Conflict):
    code = "payment.use_not_proposed"
    message = _("没有待复核的用款方案，或已经办理。请刷新页面查看最新状态。")


class SecondPerson(Forbidden):
    code = "payment.use_same_person"
    message = _("达到限额的用款须由另一位同事复核，不能与提出的人相同。")


class OtherPayer(Invalid):
    code = "payment.other_payer"
    message = _("挂账资金只能用于同一单位的待付款项；这笔款项的付款单位不同。")


class MoreThanUnapplied(Conflict):
    """`left` is what may go back to the payer by bank."""

    code = "payment.more_than_unapplied"
    message = _("该单位可由银行退回的挂账资金是 %(left)s，少于 %(amount)s。经支付机构来的部分由原路退回，不在其中。")
