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
    RUN_UNMANAGED = "run_unmanaged"
    RUN_QUARANTINED = "run_quarantined"
    LIMITS_DRIFTED = "limits_drifted"
    LIMITS_REFUSED = "limits_refused"
    AUDIT_DIFFERS = "audit_differs"
    CLUSTER_DIFFERS = "cluster_differs"
    JOB_UNRESOLVED = "job_unresolved"
    PAYMENT_ALARM = "payment_alarm"
    ACCOUNT_PROPOSED = "account_proposed"
    ACCOUNT_CHECKED = "account_checked"
    ACCOUNT_VERIFIED = "account_verified"
    ACCOUNT_IN_FORCE = "account_in_force"
    ACCOUNT_REPLACED = "account_replaced"
    ACCOUNT_REJECTED = "account_rejected"
    ACCOUNT_WITHDRAWN = "account_withdrawn"
    SHARE_GIVEN_UP = "share_given_up"
    PREPAID_PLACED = "prepaid_placed"
    PREPAID_AGAIN = "prepaid_again"
    PREPAID_GONE = "prepaid_gone"
    ORDER_ASKED = "order_asked"
    ORDER_PAID = "order_paid"
    ORDER_LAPSED = "order_lapsed"
    ORDER_AGAIN = "order_again"
    ORDER_GONE = "order_gone"
    PROPOSAL_NEWS = "proposal_news"
    BEAM_NEWS = "beam_news"


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
        K.RUN_UNMANAGED: Wording(
            _("有未经平台的运行：%(instrument)s"),
            _(
                "账户 %(account)s 上出现未经平台提交的运行 %(run)s（集群作业号 %(job)s）。已按分区价格计量并列为应付，"
                "不从券中扣除。同一账户一天只通知一次。"
            ),
            "unmanaged_runs",
        ),
        K.RUN_QUARANTINED: Wording(
            _("有运行无法计价：%(instrument)s"),
            _(
                "运行 %(run)s 无法计价，已隔离，费用暂不结算。请一名运维人员提出处理意见，另一名复核。"
                "同一集群一天只通知一次。"
            ),
            "quarantine",
        ),
        K.LIMITS_DRIFTED: Wording(
            _("限额反复被改动：%(instrument)s"),
            _(
                "账户 %(account)s 的限额 24 小时内已 %(times)s 次与平台设定不一致，每次都已恢复。请查明是谁在集群上改动，"
                "或修改平台的设定。"
            ),
            "cluster_limits",
            by_number=True,
        ),
        K.LIMITS_REFUSED: Wording(
            _("限额无法恢复：%(instrument)s"),
            _("集群没有接受账户 %(account)s 的限额，与平台设定仍不一致。请检查记账服务，以及平台账户在集群上的权限。"),
            "cluster_limits",
            by_number=True,
        ),
        K.AUDIT_DIFFERS: Wording(
            _("算力作业三方核对有差异"),
            _(
                "%(since)s – %(until)s（%(zone)s）结算的作业：%(differences)s 处差异，没有应答的集群 %(away)s 个。"
                "容差为零，请逐条查明。"
            ),
            "job_audit",
            by_number=True,
        ),
        K.CLUSTER_DIFFERS: Wording(
            _("三方核对有差异：%(instrument)s"),
            _("贵单位集群上的 %(differences)s 个作业，平台、集群记账与账本不一致：%(jobs)s。请核对集群的记账。"),
            "cluster_health",
            by_number=True,
        ),
        K.JOB_UNRESOLVED: Wording(
            _("作业下落不明：%(instrument)s"),
            _(
                "作业 %(job)s 提交后超过 15 分钟仍未查清下落。平台不会重复提交；请检查集群的控制与记账服务。"
                "其他作业同时下落不明的，不再另行通知。"
            ),
            "cluster_doubts",
            by_number=True,
        ),
        K.ACCOUNT_PROPOSED: Wording(
            _("有人登记了新的收款账户：%(instrument)s"),
            _("账户须经另外两人核对、核验，并过冷静期后才会使用。如果不是贵单位登记的，请立即撤回并联系管理员。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_CHECKED: Wording(
            _("收款账户已核对，等待财务核验：%(instrument)s"),
            _("如果不是贵单位登记的，请立即撤回并联系管理员。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_VERIFIED: Wording(
            _("收款账户已核验，冷静期后开始使用：%(instrument)s"),
            _("冷静期内本单位管理员可以撤回。如果不是贵单位登记的，请立即撤回并联系管理员。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_IN_FORCE: Wording(
            _("收款账户开始使用：%(instrument)s"),
            _("以后审批的结算批次付到这个账户；已审批的批次仍付到原账户。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_REPLACED: Wording(
            _("收款账户已更换，不再使用：%(instrument)s"),
            _("已审批的结算批次仍付到这个账户，其后的付到新账户。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_REJECTED: Wording(
            _("收款账户被退回：%(instrument)s"),
            _("原因见账户页面。请更正后重新登记。"),
            "payee_account",
            by_number=True,
        ),
        K.ACCOUNT_WITHDRAWN: Wording(
            _("收款账户已撤回：%(instrument)s"),
            _("该账户没有启用，现用账户不变。"),
            "payee_account",
            by_number=True,
        ),
        K.SHARE_GIVEN_UP: Wording(
            _("自付款已核销：%(instrument)s"),
            _(
                "%(subject)s 的自付部分 %(amount)s 收不到，经两人审批核销。原因：%(reason)s。没有结算的部分不再付给贵单位。"
            ),
            "charge_proposal",
            by_number=True,
        ),
        K.PREPAID_PLACED: Wording(
            _("预付款已到账：%(instrument)s"),
            _("预约 %(booking)s（%(mine)s，%(zone)s）的预付款已到账，预约已提交。用不完的部分在使用后退还。"),
            "booking",
            by_number=True,
        ),
        K.PREPAID_AGAIN: Wording(
            _("预付款迟到，已重新预约：%(instrument)s"),
            _(
                "预约 %(booking)s 的预付款到账时保留已到期；时段（%(mine)s，%(zone)s）仍空闲，"
                "已按原价重新预约为 %(again)s，款项已用于新预约。"
            ),
            "booking",
            by_number=True,
        ),
        K.PREPAID_GONE: Wording(
            _("预付款到账时预约已失效：%(instrument)s"),
            _(
                "预约 %(booking)s（%(mine)s，%(zone)s）的款项到账时，预约已到期或取消，不能恢复。款项将全额退回，无须申请。"
            ),
            "booking",
            by_number=True,
        ),
        K.ORDER_ASKED: Wording(
            _("请预付订单的自付部分：%(instrument)s"),
            _(
                "订单 %(number)s 的自付部分 %(amount)s 须在 %(until)s（北京时间）前付到，到账后提供单位开始交付。逾期未付的，订单失效，冻结的券额释放。"
            ),
            "order",
            by_number=True,
        ),
        K.ORDER_PAID: Wording(
            _("订单的预付款已到账：%(instrument)s"),
            _("订单 %(number)s 的自付部分 %(amount)s 已到账，提供单位可以开始交付。用不完的部分在验收后退还。"),
            "order",
            by_number=True,
        ),
        K.ORDER_LAPSED: Wording(
            _("订单因未预付而失效：%(instrument)s"),
            _(
                "订单 %(number)s 的自付部分 %(amount)s 没有在 %(until)s（北京时间）前付到，订单已失效，冻结的券额已释放。"
                "迟到的款项会按原价重新下单，不能重新下单的全额退回。"
            ),
            "order",
            by_number=True,
        ),
        K.ORDER_AGAIN: Wording(
            _("预付款迟到，已重新下单：%(instrument)s"),
            _(
                "订单 %(number)s 的款项到账时订单已失效；该服务仍在售，已按不高于原价重新下单为 %(again)s，款项已用于新订单。"
            ),
            "order",
            by_number=True,
        ),
        K.ORDER_GONE: Wording(
            _("预付款到账时订单已失效：%(instrument)s"),
            _("订单 %(number)s 的款项到账时订单已失效或结束，不能恢复。款项将退回，无须申请。"),
            "order",
            by_number=True,
        ),
        K.PROPOSAL_NEWS: Wording(
            _("机时申请有进展：%(instrument)s"), _("机时申请 %(number)s："), "proposal", by_number=True
        ),
        K.BEAM_NEWS: Wording(_("机时有变动：%(instrument)s"), _("机时 %(visit)s："), "visit", by_number=True),
        K.PAYMENT_ALARM: Wording(_("线上支付需要财务处理：%(about)s"), "%(what)s", "rail_desk"),
    }
)


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many tries that did not go through: 5 minutes, then ever longer, 48 hours at most."""
    return min(timedelta(minutes=5 * int(3 ** min(max(attempts - 1, 0), 6))), timedelta(hours=48))
