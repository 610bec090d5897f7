"""States of a settlement batch and its errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "TRANSITIONS",
    "BatchAction",
    "BatchState",
    "Leg",
    "LineSettled",
    "NothingToSettle",
    "OffsetInBatch",
    "OwnPayee",
    "ReasonMissing",
    "SamePerson",
]

_ = noop


class BatchState(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    PAID = "paid"
    DISCARDED = "discarded"


class BatchAction(StrEnum):
    APPROVE = "approve"
    PAY = "pay"
    DISCARD = "discard"


class Leg(StrEnum):
    """What a line settles: a charge's voucher share, its own share that has arrived, an approved claim, or a debt set off."""

    VOUCHER = "voucher"
    OWN = "own"
    CLAIM = "claim"
    OFFSET = "offset"


S, A = BatchState, BatchAction

TRANSITIONS: Final[Mapping[tuple[BatchState, BatchAction], BatchState]] = MappingProxyType(
    {
        (S.DRAFT, A.APPROVE): S.APPROVED,
        (S.DRAFT, A.DISCARD): S.DISCARDED,
        (S.APPROVED, A.PAY): S.PAID,
        (S.APPROVED, A.DISCARD): S.DISCARDED,
    }
)


class NothingToSettle(Conflict):
    code = "settlement.nothing"
    message = _("该单位目前没有可结算的金额：没有新完成的服务，自付部分尚未到账，或申领尚未到付款时间。")


class LineSettled(Conflict):
    code = "settlement.line_gone"
    message = _("该明细已付款或已退回，不能再退回。请刷新页面，查看最新状态。")


class OffsetInBatch(Conflict):
    code = "settlement.offset"
    message = _("该批次含有抵扣款，不能单独退回明细。请作废整个批次后重新编制。")


class ReasonMissing(Invalid):
    code = "settlement.reason"
    message = _("请写明退回原因，相关单位会看到。")


class OwnPayee(Forbidden):
    code = "settlement.own_payee"
    message = _("您是收款单位的成员，不能审批或支付给本单位的结算。请由其他同事办理。")


class SamePerson(Forbidden):
    code = "settlement.same_person"
    message = _("编制人不能审批自己编制的结算批次。请由另一位同事审批。")
