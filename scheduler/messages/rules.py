"""What can be told, in which words, and how often a mail about it is tried. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import noop

__all__ = ["ATTEMPTS", "STALE", "WORDINGS", "MessageKind", "Wording", "pause"]

_ = noop

STALE: Final = timedelta(minutes=5)
"""After this a mail in the sending is taken for its worker's last."""
ATTEMPTS: Final = 9
"""Tries before a mail is given up, over some five days (RFC 5321 §4.5.4.1); on the page the message stays."""


class MessageKind(StrEnum):
    SWAP_PROPOSED = "swap_proposed"
    SWAP_ACCEPTED = "swap_accepted"
    SWAP_DECLINED = "swap_declined"
    SWAP_WITHDRAWN = "swap_withdrawn"
    SWAP_LAPSED = "swap_lapsed"
    WAIT_PASSED_OVER = "wait_passed_over"
    ENGAGEMENT_QUOTED = "engagement_quoted"
    ENGAGEMENT_DECLINED = "engagement_declined"
    MILESTONE_DELIVERED = "milestone_delivered"
    MILESTONE_DEEMED = "milestone_deemed"


@dataclass(frozen=True, slots=True)
class Wording:
    """A message's headline and text, templates of its params; `page` is the name of the page it leads to.

    `by_number`: that page is of the thing the message is about.
    """

    headline: str
    text: str
    page: str
    by_number: bool = False


K = MessageKind

WORDINGS: Final[Mapping[MessageKind, Wording]] = MappingProxyType(
    {
        K.SWAP_PROPOSED: Wording(
            _("有单位提议与您交换时段：%(instrument)s"),
            _(
                "您的预约 %(booking)s（%(mine)s）可以换到 %(theirs)s（%(zone)s）。请在 %(until)s 之前答复；"
                "逾期未答复的，提议失效，双方的预约都不变。"
            ),
            "swap",
            by_number=True,
        ),
        K.SWAP_ACCEPTED: Wording(
            _("对方接受了交换时段：%(instrument)s"),
            _("您的预约 %(booking)s 已从 %(mine)s 换到 %(theirs)s（%(zone)s），费用按新的时段重新冻结。"),
            "swap",
            by_number=True,
        ),
        K.SWAP_DECLINED: Wording(
            _("对方没有接受交换时段：%(instrument)s"),
            _("您的预约 %(booking)s 仍是 %(mine)s（%(zone)s）。可以另选时段再提议，或直接改期。"),
            "swap",
            by_number=True,
        ),
        K.SWAP_WITHDRAWN: Wording(
            _("交换时段的提议已撤回：%(instrument)s"),
            _("您的预约 %(booking)s 仍是 %(mine)s（%(zone)s），无须答复。"),
            "swap",
            by_number=True,
        ),
        K.SWAP_LAPSED: Wording(
            _("交换时段的提议已失效：%(instrument)s"),
            _("没有在期限内答复，或有一方的预约变了。您的预约 %(booking)s 没有因此改变。"),
            "swap",
            by_number=True,
        ),
        K.WAIT_PASSED_OVER: Wording(
            _("候补有空位，但暂时不能为您保留：%(instrument)s"),
            _("空位：%(theirs)s（%(zone)s）。候补仍然有效；下列原因消除后，有空位时会为贵单位保留。"),
            "waitlist",
        ),
        K.ENGAGEMENT_QUOTED: Wording(
            _("实验室已报价：%(instrument)s"),
            _("技术服务 %(number)s 有新的报价或变更方案，%(until)s（%(zone)s）前有效。请接受，或说明原因不接受。"),
            "engagement",
            by_number=True,
        ),
        K.ENGAGEMENT_DECLINED: Wording(
            _("实验室不能承接：%(instrument)s"),
            _("技术服务 %(number)s 的需求未被承接，原因见项目页面。没有冻结任何费用。"),
            "engagement",
            by_number=True,
        ),
        K.MILESTONE_DELIVERED: Wording(
            _("有里程碑待验收：%(instrument)s"),
            _(
                "技术服务 %(number)s 的一个里程碑已交付。请在 %(until)s（%(zone)s）之前验收，或说明原因退回；"
                "逾期未答复的，视为验收通过并结算。"
            ),
            "engagement",
            by_number=True,
        ),
        K.MILESTONE_DEEMED: Wording(
            _("里程碑已视为验收并结算：%(instrument)s"),
            _("技术服务 %(number)s 的一个里程碑在约定的期限内没有答复，已按约定视为验收通过并结算。"),
            "engagement",
            by_number=True,
        ),
    }
)


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many tries that did not go through: 5 minutes, then ever longer, 48 hours at most."""
    return min(timedelta(minutes=5 * int(3 ** min(max(attempts - 1, 0), 6))), timedelta(hours=48))
