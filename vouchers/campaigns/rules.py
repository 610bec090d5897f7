"""States of campaigns, their bounds and their refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "BATCH",
    "MOST",
    "TRANSITIONS",
    "CampaignAction",
    "CampaignState",
    "NoRecipients",
    "NotApproved",
    "NotForCampaigns",
    "SamePerson",
    "TooManyRecipients",
    "UnknownRecipients",
    "batches",
]

_ = noop
T = TypeVar("T")

BATCH: Final = 1_000
"""Most vouchers of one batch: one transaction and one journal each, so that the pool is locked for moments only."""
MOST: Final = 200_000
"""Most recipients of one campaign."""


class CampaignState(StrEnum):
    """Where a campaign stands. Its vouchers are issued, batch by batch, while it is `approved`."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    DONE = "done"
    WITHDRAWN = "withdrawn"


class CampaignAction(StrEnum):
    APPROVE = "approve"
    WITHDRAW = "withdraw"
    FINISH = "finish"
    """The last batch is issued."""


S, A = CampaignState, CampaignAction
TRANSITIONS: Final[Mapping[tuple[CampaignState, CampaignAction], CampaignState]] = MappingProxyType(
    {
        (S.PROPOSED, A.APPROVE): S.APPROVED,
        (S.PROPOSED, A.WITHDRAW): S.WITHDRAWN,
        (S.APPROVED, A.FINISH): S.DONE,
    }
)


class SamePerson(Forbidden):
    code = "campaign.same_person"
    message = _("批量发放的提出人和批准人须为不同的人。请由其他同事批准。")


class NoRecipients(Invalid):
    code = "campaign.no_recipients"
    message = _("请至少列出一个领券单位。")


class TooManyRecipients(Invalid):
    code = "campaign.too_many"
    message = _("一次至多批量发放 %(limit)s 张券，请分几次提出。")


class UnknownRecipients(Invalid):
    code = "campaign.unknown_recipients"
    message = _("名单中有 %(count)s 个统一社会信用代码不是本平台登记的企业：%(first)s。请核对名单后重新提出。")


class NotForCampaigns(Conflict):
    code = "campaign.not_for_campaigns"
    message = _("只有免申即享、先到先得、不设公示期并发放券的政策项目可以批量发放。请改为逐件办理。")


class NotApproved(Conflict):
    code = "campaign.not_approved"
    message = _("这次批量发放尚未批准或已撤回，不能发券。")


def batches(recipients: Sequence[T], *, size: int) -> list[Sequence[T]]:
    """Cut the recipients into batches of `size`, in order; the last may be smaller."""
    return [recipients[at : at + size] for at in range(0, len(recipients), size)]
