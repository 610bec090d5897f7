"""What needs a second person: refunds above a threshold, refunds by finance, own shares given up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "PROPOSAL_TRANSITIONS",
    "ChargeProposalKind",
    "EvidenceMissing",
    "InBatch",
    "NotLongDue",
    "NotProposed",
    "NothingDue",
    "OwnProposal",
    "Party",
    "ProposalAction",
    "ProposalNoteMissing",
    "ProposalOpen",
    "ProposalState",
    "may_be_given_up_at",
    "needs_second_person",
]

_ = noop


class ChargeProposalKind(StrEnum):
    REFUND = "refund"
    WRITE_OFF = "write_off"


class ProposalState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    RETURNED = "returned"
    """Sent back with a reason by who may approve, or taken back by who asked."""


class ProposalAction(StrEnum):
    APPROVE = "approve"
    RETURN = "return"


PROPOSAL_TRANSITIONS: Final[Mapping[tuple[ProposalState, ProposalAction], ProposalState]] = MappingProxyType(
    {
        (ProposalState.PROPOSED, ProposalAction.APPROVE): ProposalState.APPROVED,
        (ProposalState.PROPOSED, ProposalAction.RETURN): ProposalState.RETURNED,
    }
)


class OwnProposal(Forbidden):
    code = "charge.own_proposal"
    message = _("提出人不能批准自己提出的退款或核销。请由另一位同事批准。")


class Party(Forbidden):
    code = "charge.party"
    message = _("您属于这笔费用的付款单位或服务单位，不能以财务身份提出或批准。请由其他财务人员办理。")


class ProposalOpen(Conflict):
    code = "charge.proposal_open"
    message = _("这笔费用已有一份申请 %(number)s 等待批准。请先批准或退回它。")


class NotProposed(Conflict):
    code = "charge.not_proposed"
    message = _("这份申请已有结果，不能再办理。请刷新页面查看。")


class ProposalNoteMissing(Invalid):
    code = "charge.proposal_note"
    message = _("请写明退回的原因，提出人会看到。")


class EvidenceMissing(Invalid):
    code = "charge.evidence"
    message = _("请写明依据，例如裁定书文号、催收记录编号或注销公告。")


class NothingDue(Conflict):
    code = "charge.nothing_due"
    message = _("这笔费用没有待付的自付款，没有可核销的金额。")


class InBatch(Conflict):
    """A batch that is not paid yet holds the share: giving it up would leave the provider's part of it behind."""

    code = "charge.share_in_batch"
    message = _("这笔自付部分已编入尚未付款的结算批次。请先把该明细退回，再申请核销。")


class NotLongDue(Conflict):
    """`days` is how long a share must be due, `from_` the day from which it may be given up."""

    code = "charge.not_long_due"
    message = _(
        "自付款到期（或款项被收回后重新到期）满 %(days)s 天仍未支付才能申请核销，这一笔最早在 %(from_)s。请先催收。"
    )


def needs_second_person(amount_fen: int, *, refunded_fen: int, limit_fen: int) -> bool:
    """Say whether a refund needs one: by all that was refunded of the charge, so that cutting it up changes nothing."""
    return refunded_fen + amount_fen > limit_fen


def may_be_given_up_at(due_since: datetime, *, days: int) -> datetime:
    """Return from when an own share may be given up."""
    return due_since + timedelta(days=days)
