"""States of a settlement batch and its errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, noop

__all__ = ["TRANSITIONS", "BatchAction", "BatchState", "Leg", "NothingToSettle", "OwnPayee", "SamePerson"]

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
    """Which part of a charge a line settles: the voucher's, or the own share the platform has collected."""

    VOUCHER = "voucher"
    OWN = "own"


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
    message = _("该单位目前没有可结算的金额：没有新完成的服务，或自付部分尚未到账。")


class OwnPayee(Forbidden):
    code = "settlement.own_payee"
    message = _("您是收款单位的成员，不能审批或支付给本单位的结算。请由其他同事办理。")


class SamePerson(Forbidden):
    code = "settlement.same_person"
    message = _("编制人不能审批自己编制的结算批次。请由另一位同事审批。")
