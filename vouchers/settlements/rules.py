"""States of a settlement batch and its errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "OPEN",
    "OWN_SHARES",
    "PAID",
    "SHOWN_TO_PAYEE",
    "TRANSITIONS",
    "BankLineMissing",
    "BatchAction",
    "BatchState",
    "CheckerIsAnother",
    "Debt",
    "Leg",
    "LineSettled",
    "NotChecked",
    "NothingToSetOff",
    "NothingToSettle",
    "OffsetInBatch",
    "OwnPayee",
    "PaidBefore",
    "Purse",
    "ReasonMissing",
    "ReconciledBySame",
    "SamePerson",
    "SetOffByAnother",
    "ShareNotPaid",
    "WasSent",
    "set_off",
]

_ = noop


class BatchState(StrEnum):
    DRAFT = "draft"
    CHECKED = "checked"
    APPROVED = "approved"
    EXPORTED = "exported"
    """In a payment order that is with the treasury or bank: frozen until it has answered."""
    PAID = "paid"
    RECONCILED = "reconciled"
    RETURNED = "returned"
    """The payee's bank sent the money back after it was paid (退票): it waits until its account was looked at."""
    DISCARDED = "discarded"


class BatchAction(StrEnum):
    CHECK = "check"
    APPROVE = "approve"
    EXPORT = "export"
    RECALL = "recall"
    PAY = "pay"
    FAIL = "fail"
    """The bank did not pay it: everything in it is owed again."""
    RECONCILE = "reconcile"
    UNRECONCILE = "unreconcile"
    """The line of the statement was another's."""
    BOUNCE = "bounce"
    RELEASE = "release"
    """The payee's account was looked at: it is paid anew, by a new payment order."""
    FAIL_AGAIN = "fail_again"
    DISCARD = "discard"


class Leg(StrEnum):
    """What a line settles: a charge's voucher share, its own share that has arrived, an approved claim, or a debt set off."""

    VOUCHER = "voucher"
    OWN = "own"
    CLAIM = "claim"
    OFFSET = "offset"


class Purse(NamedTuple):
    """One of a payee's payable accounts: its kind in the ledger, and whose money it is; `OWN_SHARES` is no programme's."""

    kind: str
    programme: str = ""
    fiscal_year: int = 0


OWN_SHARES: Final = Purse("cash_provider_payable")


class Debt(NamedTuple):
    """What a party owes in one case, of one programme's and year's money; or the part of it that is set off."""

    case: str
    programme: str
    fiscal_year: int
    fen: int


def set_off(debts: Sequence[Debt], payable: Mapping[Purse, int]) -> dict[Debt, Purse]:
    """Return which part of which debt is taken from which purse: in the order given, each from its own money only.

    Never more than is owed, never more than a purse holds; what a purse lacks stays a debt. Source: Civil Code 2020,
    Article 568 (mutual debts of one kind are set off to the amount of the smaller).
    """
    left = dict(payable)
    found: dict[Debt, Purse] = {}
    for debt in debts:
        owed = debt.fen
        for purse in sorted(purse for purse in left if purse[1:] == (debt.programme, debt.fiscal_year)):
            taken = min(owed, left[purse])
            if taken > 0:
                found[debt._replace(fen=taken)] = purse
                left[purse] -= taken
                owed -= taken
    return found


S, A = BatchState, BatchAction

TRANSITIONS: Final[Mapping[tuple[BatchState, BatchAction], BatchState]] = MappingProxyType(
    {
        (S.DRAFT, A.CHECK): S.CHECKED,
        (S.DRAFT, A.APPROVE): S.APPROVED,
        (S.DRAFT, A.DISCARD): S.DISCARDED,
        (S.CHECKED, A.APPROVE): S.APPROVED,
        (S.CHECKED, A.DISCARD): S.DISCARDED,
        (S.APPROVED, A.EXPORT): S.EXPORTED,
        (S.APPROVED, A.PAY): S.PAID,
        (S.APPROVED, A.DISCARD): S.DISCARDED,
        (S.EXPORTED, A.RECALL): S.APPROVED,
        (S.EXPORTED, A.PAY): S.PAID,
        (S.EXPORTED, A.FAIL): S.DISCARDED,
        (S.PAID, A.RECONCILE): S.RECONCILED,
        (S.RECONCILED, A.UNRECONCILE): S.PAID,
        (S.PAID, A.BOUNCE): S.RETURNED,
        (S.RECONCILED, A.BOUNCE): S.RETURNED,
        (S.RETURNED, A.RELEASE): S.APPROVED,
        (S.EXPORTED, A.FAIL_AGAIN): S.RETURNED,
    }
)
OPEN: Final = (S.DRAFT.value, S.CHECKED.value, S.APPROVED.value, S.EXPORTED.value, S.RETURNED.value)
"""Not paid yet, or not any more."""
PAID: Final = (S.PAID.value, S.RECONCILED.value)
SHOWN_TO_PAYEE: Final = (S.APPROVED.value, S.EXPORTED.value, S.RETURNED.value, *PAID)


class NothingToSettle(Conflict):
    code = "settlement.nothing"
    message = _("该单位目前没有可结算的金额：没有新完成的服务，自付部分尚未到账，或申领尚未到付款时间。")


class LineSettled(Conflict):
    code = "settlement.line_gone"
    message = _("该明细已付款或已退回，不能再退回。请刷新页面，查看最新状态。")


class NothingToSetOff(Conflict):
    code = "settlement.nothing_to_set_off"
    message = _("没有可抵扣的欠款：收款单位在本批次的项目和年度内没有待追缴的金额，或已全部列入抵扣。")


class OffsetInBatch(Conflict):
    code = "settlement.offset"
    message = _("该批次含有抵扣款，不能单独退回明细。请作废整个批次后重新编制。")


class WasSent(Conflict):
    code = "settlement.was_sent"
    message = _("该批次曾送交银行，后来撤回，不能再单独退回明细。请作废整个批次后重新编制。")


class SetOffByAnother(Forbidden):
    code = "settlement.set_off_by_another"
    message = _("该批次的抵扣由另一位同事办理过。请由同一人补充抵扣，或作废批次后重新编制。")


class ReasonMissing(Invalid):
    code = "settlement.reason"
    message = _("请写明退回原因，相关单位会看到。")


class ShareNotPaid(Conflict):
    code = "settlement.share_not_paid"
    message = _("自付款 %(numbers)s 已被银行或支付机构收回，不能支付给服务单位。请先退回这些明细。")


class OwnPayee(Forbidden):
    code = "settlement.own_payee"
    message = _("您是收款单位的成员，不能审批或支付给本单位的结算。请由其他同事办理。")


class PaidBefore(Conflict):
    code = "settlement.paid_before"
    message = _("该批次付款后被银行退票，只能重新付款，不能作废或退回明细：抵扣和申领已随首次付款办结。")


class SamePerson(Forbidden):
    code = "settlement.same_person"
    message = _("编制或抵扣过的人不能审批这个结算批次。请由另一位同事审批。")


class CheckerIsAnother(Forbidden):
    code = "settlement.checked_by_same"
    message = _("编制、核对、审批须由不同的人办理。您已办理过其中一步，请由另一位同事办理。")


class NotChecked(Conflict):
    code = "settlement.not_checked"
    message = _("该批次须先经另一人核对，再审批。")


class ReconciledBySame(Forbidden):
    code = "settlement.reconciled_by_same"
    message = _("登记付款的人不能自己对账。请由另一位同事对照银行流水核对。")


class BankLineMissing(Invalid):
    code = "settlement.bank_line"
    message = _("请填写银行流水上的流水号，对账以它为准。")
