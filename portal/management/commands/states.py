"""Print every state machine of the portal from its transition table, as ``docs/states.md`` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import translation

from scheduler.beamtime import rules as beamtime
from scheduler.beamtime.models import BeamQuote, BeamVisit, Compensation, ScheduleDraft
from scheduler.bookings import rules as bookings
from scheduler.bookings import swap_rules as swaps
from scheduler.bookings.models import Booking, CounterOffer
from scheduler.bookings.swap_models import Swap
from scheduler.displacements import rules as displacements
from scheduler.displacements.models import Displacement
from scheduler.engagements import rules as engagements
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.invitations import rules as invitations
from scheduler.invitations.models import CalendarMail
from scheduler.jobfiles import rules as jobfiles
from scheduler.jobfiles.models import JobUpload
from scheduler.jobs import rules as jobs
from scheduler.jobs.models import Job
from scheduler.metering import rules as metering
from scheduler.metering.models import QuarantinedRun
from scheduler.panels import rules as panels
from scheduler.panels.models import Appeal, Grading, Ranking
from scheduler.proposals import rules as beam_proposals
from scheduler.proposals.models import BeamProposal, BeamRequest, TeamMember
from scheduler.resources import rules as resources
from scheduler.resources.models import Resource
from scheduler.samples import rules as samples
from scheduler.samples.models import Sample, SampleOrder
from scheduler.waitlist import rules as waitlist
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from vouchers.banking import rules as banking
from vouchers.banking.models import BankMatch, StatementLine
from vouchers.campaigns import rules as campaigns
from vouchers.campaigns.models import Campaign
from vouchers.charges import proposal_rules as proposals
from vouchers.charges import rules as charges
from vouchers.charges.models import Charge, ChargeProposal
from vouchers.claims import rules as claims
from vouchers.claims.models import RedemptionClaim
from vouchers.dryruns import rules as dryruns
from vouchers.dryruns.models import DryRun
from vouchers.flags import rules as flags
from vouchers.flags.models import Flag
from vouchers.invoices import rules as invoices
from vouchers.invoices.models import Fapiao
from vouchers.issuance import rules as issuance
from vouchers.issuance.models import Application
from vouchers.notices import rules as notices
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.offers import rules as offers
from vouchers.offers.models import Offer, Order
from vouchers.payees import rules as payees
from vouchers.payees.models import PayeeAccount
from vouchers.payments import rail_rules as rails
from vouchers.payments import rules as payments
from vouchers.payments import unapplied_rules as unapplied
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.programmes import states as programmes
from vouchers.programmes.models import ProgrammeVersion
from vouchers.reconciliation import rules as reconciliation
from vouchers.reconciliation.models import EntryExplanation
from vouchers.recoveries import rules as recoveries
from vouchers.recoveries.models import Recovery
from vouchers.rounds import rules as rounds
from vouchers.rounds.models import Round
from vouchers.settlements import order_rules as orders_of_payment
from vouchers.settlements import payout_rules as payouts
from vouchers.settlements import rules as settlements
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, PaymentOrderLine
from vouchers.settlements.payout_models import RailPayout
from vouchers.wallets import rules as wallets
from vouchers.wallets.models import Voucher

MACHINES: tuple[tuple[str, Mapping[tuple[Any, Any], Any], Any], ...] = (
    ("Programme version 政策版本", programmes.TRANSITIONS, ProgrammeVersion.State),
    ("Dry run 试算", dryruns.TRANSITIONS, DryRun.State),
    ("Application 申请", issuance.TRANSITIONS, Application.State),
    ("Campaign 批量发放", campaigns.TRANSITIONS, Campaign.State),
    ("Round 批次", rounds.TRANSITIONS, Round.State),
    ("Notice 公示", notices.TRANSITIONS, Notice.State),
    ("Notice item 公示项", notices.ITEM_TRANSITIONS, NoticeItem.State),
    ("Objection 异议", notices.OBJECTION_TRANSITIONS, Objection.State),
    ("Voucher 券", wallets.TRANSITIONS, Voucher.State),
    ("Instrument 仪器发布", resources.TRANSITIONS, Resource.State),
    ("Booking 预约", bookings.TRANSITIONS, Booking.State),
    ("Waiting 候补", waitlist.TRANSITIONS, WaitlistEntry.State),
    ("Offer of time 候补空位", waitlist.OFFER_TRANSITIONS, WaitlistOffer.State),
    ("Swap 交换时段", swaps.TRANSITIONS, Swap.State),
    ("Displacement 停机改期", displacements.TRANSITIONS, Displacement.State),
    ("Calendar mail 日历邮件", invitations.TRANSITIONS, CalendarMail.State),
    ("Counter-offer 建议时段", bookings.COUNTER_OFFER_TRANSITIONS, CounterOffer.State),
    ("Sample order 送样检测", samples.TRANSITIONS, SampleOrder.State),
    ("Sample 样品", samples.SAMPLE_TRANSITIONS, Sample.State),
    ("Engagement 技术服务项目", engagements.TRANSITIONS, Engagement.State),
    ("Quote of an engagement 项目报价", engagements.QUOTE_TRANSITIONS, EngagementQuote.State),
    ("Milestone 里程碑", engagements.MILESTONE_TRANSITIONS, Milestone.State),
    ("Job 作业", jobs.TRANSITIONS, Job.State),
    ("Job file 作业文件", jobfiles.TRANSITIONS, JobUpload.State),
    ("Run without a price 待定价运行", metering.TRANSITIONS, QuarantinedRun.State),
    ("Proposal for beam time 机时申请", beam_proposals.TRANSITIONS, BeamProposal.State),
    ("Member of a team 课题组成员", beam_proposals.INVITATION_TRANSITIONS, TeamMember.State),
    ("Request of a cycle 周期机时", beam_proposals.REQUEST_TRANSITIONS, BeamRequest.State),
    ("Grading 评分", panels.GRADING_TRANSITIONS, Grading.State),
    ("Ranking 排序", panels.RANKING_TRANSITIONS, Ranking.State),
    ("Appeal 机时申诉", panels.APPEAL_TRANSITIONS, Appeal.State),
    ("Draft of a schedule 排班草案", beamtime.DRAFT_TRANSITIONS, ScheduleDraft.State),
    ("Visit 到访", beamtime.TRANSITIONS, BeamVisit.State),
    ("Compensation 机时补偿", beamtime.COMPENSATION_TRANSITIONS, Compensation.State),
    ("Quote of beam time 机时报价", beamtime.BEAM_QUOTE_TRANSITIONS, BeamQuote.State),
    ("Offer 服务", offers.OFFER_TRANSITIONS, Offer.State),
    ("Order 订单", offers.TRANSITIONS, Order.State),
    ("Charge 费用", charges.TRANSITIONS, Charge.State),
    ("Refund or write-off asked for 退款与核销申请", proposals.PROPOSAL_TRANSITIONS, ChargeProposal.State),
    ("Payment 付款", payments.TRANSITIONS, Payment.State),
    ("Tax invoice 开票申请", invoices.TRANSITIONS, Fapiao.State),
    ("Attempt to pay 支付", rails.ATTEMPT_TRANSITIONS, PaymentAttempt.State),
    ("Refund over a rail 原路退款", rails.REFUND_TRANSITIONS, RefundAttempt.State),
    ("Notice of a gateway 支付通知", rails.EVENT_TRANSITIONS, PaymentEvent.State),
    ("Use of unapplied money 挂账资金处理", unapplied.TRANSITIONS, UnappliedUse.State),
    ("Explanation of a difference 差异说明", reconciliation.EXPLANATION_TRANSITIONS, EntryExplanation.State),
    ("Line of a bank statement 银行流水", banking.LINE_TRANSITIONS, StatementLine.State),
    ("Match of a bank line 核销", banking.MATCH_TRANSITIONS, BankMatch.State),
    ("Flag 风险提示", flags.TRANSITIONS, Flag.State),
    ("Claim 申领", claims.TRANSITIONS, RedemptionClaim.State),
    ("Recovery 追回", recoveries.TRANSITIONS, Recovery.State),
    ("Bank account of a payee 收款账户", payees.TRANSITIONS, PayeeAccount.State),
    ("Settlement batch 结算批次", settlements.TRANSITIONS, SettlementBatch.State),
    ("Payment order 付款指令", orders_of_payment.ORDER_TRANSITIONS, PaymentOrder.State),
    ("Line of a payment order 付款指令明细", orders_of_payment.LINE_TRANSITIONS, PaymentOrderLine.State),
    ("Payout over a gateway 支付机构付款", payouts.RAIL_PAYOUT_TRANSITIONS, RailPayout.State),
    ("Discrepancy 付款差异", orders_of_payment.CASE_TRANSITIONS, Discrepancy.State),
)


def table(transitions: Mapping[tuple[StrEnum, StrEnum], StrEnum], labels: Any) -> str:
    """Return the machine as a Markdown table: one row a state and action."""
    lines = ["| from | action | to |", "|---|---|---|"]
    for (state, action), target in transitions.items():
        lines.append(
            f"| `{state.value}` {labels(state.value).label} | `{action.value}` |"
            f" `{target.value}` {labels(target.value).label} |"
        )
    return "\n".join(lines)


def document() -> str:
    """Return the whole of ``docs/states.md``."""
    parts = [
        "# State machines",
        "Printed by `manage.py states` from the tables in each `rules.py`; a test compares this file with them.",
    ]
    with translation.override("zh-hans"):
        parts += [f"## {title}\n\n{table(transitions, labels)}" for title, transitions, labels in MACHINES]
    return "\n\n".join(parts) + "\n"


class Command(BaseCommand):
    help = "Print every state machine as docs/states.md shows it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(document(), ending="")
