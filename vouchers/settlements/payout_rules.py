"""States of what is paid to a provider's account with a payment gateway, and its errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Refused, noop

__all__ = [
    "ENDED",
    "RAIL_PAYOUT_TRANSITIONS",
    "PaidOverRail",
    "RailPayoutAction",
    "RailPayoutRefused",
    "RailPayoutState",
    "SentByApprover",
]

_ = noop


class RailPayoutState(StrEnum):
    OPEN = "open"
    """Ordered; whether the gateway has done it is asked until it is known."""
    PAID = "paid"
    FAILED = "failed"
    REVERSED = "reversed"
    """The gateway took all of it back after it was paid."""


class RailPayoutAction(StrEnum):
    PAY = "pay"
    FAIL = "fail"
    REVERSE = "reverse"


S, A = RailPayoutState, RailPayoutAction

RAIL_PAYOUT_TRANSITIONS: Final[Mapping[tuple[RailPayoutState, RailPayoutAction], RailPayoutState]] = MappingProxyType(
    {(S.OPEN, A.PAY): S.PAID, (S.OPEN, A.FAIL): S.FAILED, (S.PAID, A.REVERSE): S.REVERSED}
)


ENDED: Final = (S.FAILED.value, S.REVERSED.value)
"""Of such a one no money is out."""


class RailPayoutRefused(Refused):
    code = "rail_payout.refused"
    message = _("没有经支付机构付款，原因如下。批次没有变化。")


class PaidOverRail(Conflict):
    code = "rail_payout.only"
    message = _("该批次付到收款单位在支付机构的账户，不能登记为银行付款。请经支付机构付款，或作废后重新编制。")


class SentByApprover(Forbidden):
    code = "rail_payout.same_person"
    message = _("审批人不能自己付出这个批次。请由另一位同事经支付机构付款。")
