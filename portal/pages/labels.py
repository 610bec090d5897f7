"""Words for codes: what a person reads where a record holds a state, a role or a unit. No page shows a code.

The words are the domain's own (the choices beside each model, the ledger's chart); here they get a tone, and the few
codes without a model get words. ``tests/portal/pages/test_labels.py`` holds the tables against the enums, so that a
new state without words or tone fails the build and not the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext, pgettext_lazy

from portal.kernel.errors import noop
from portal.organisations.models import Organisation
from portal.pages import bank_words, beam_words, document_words, purchase_words, rail_words, reconciling_words
from scheduler.availability.models import Claim
from scheduler.bookings.models import CLOCKS, Booking
from scheduler.bookings.series_preview import UseVerdict
from scheduler.bookings.swap_models import Swap
from scheduler.catalogue.models import Admission, InstrumentFile
from scheduler.conduct.models import Violation
from scheduler.displacements.models import Displacement
from scheduler.disputes.models import Dispute
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.jobs import refunds
from scheduler.jobs.models import Job
from scheduler.limits.models import ClusterAccount
from scheduler.metering.models import QuarantinedRun
from scheduler.resources.models import Instrument, Rate, Resource
from scheduler.samples.models import Custody, Sample, SampleOrder
from scheduler.templates.models import JobTemplateVersion
from scheduler.waitlist.models import WaitlistEntry
from vouchers.banking.models import BankMatch, StatementLine
from vouchers.campaigns.models import Campaign
from vouchers.charges import reasons
from vouchers.charges.models import Charge, ChargeProposal
from vouchers.claims.models import RedemptionClaim
from vouchers.dryruns.models import DryRun, DryRunCase
from vouchers.flags.models import Flag
from vouchers.invoices.models import Fapiao
from vouchers.issuance.models import Application
from vouchers.ledger.chart import ACCOUNT_KINDS, JOURNAL_KINDS
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.offers.models import Offer, Order
from vouchers.payees.models import PayeeAccount
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt
from vouchers.payments.refunding import REASONS
from vouchers.programmes.models import ProgrammeVersion
from vouchers.reconciliation.models import EntryExplanation, GatewayLine
from vouchers.recoveries.models import Recovery
from vouchers.rounds.models import Round, RoundAward
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, PaymentOrderLine, SettlementTerms
from vouchers.settlements.statements import MovementWords
from vouchers.wallets.models import Voucher

__all__ = ["LABELS", "Tone", "label_of"]

_ = noop


class Tone(StrEnum):
    """How a state stands, told by colour and shape beside its words."""

    REST = ""
    OK = "ok"
    """Ended well, or in force."""
    GO = "go"
    """Under way."""
    WAIT = "wait"
    """Somebody or something is awaited."""
    BAD = "bad"
    """Went wrong."""


Words = Mapping[str, tuple[Tone, object]]


def _states(choices: type[TextChoices], *, ok: str = "", go: str = "", wait: str = "", bad: str = "") -> Words:
    """Give each choice its tone; what is not named is at rest. Names are separated by spaces."""
    tones = {
        code: tone
        for tone, codes in ((Tone.OK, ok), (Tone.GO, go), (Tone.WAIT, wait), (Tone.BAD, bad))
        for code in codes.split()
    }
    assert tones.keys() <= set(choices.values), tones.keys() - set(choices.values)
    return {str(choice.value): (tones.get(choice.value, Tone.REST), choice.label) for choice in choices}


def _plain(words: Mapping[str, object]) -> Words:
    return {str(code): (Tone.REST, text) for code, text in words.items()}


WORD_LISTS: Final = (bank_words, beam_words, document_words, purchase_words, rail_words, reconciling_words)
LABELS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "application": _states(
            Application.State,
            ok="issued paid",
            go="decided noticed granted",
            wait="supplement review waiting objection appeal",
            bad="refused",
        ),
        "dry_run": _states(DryRun.State, ok="done", go="running", wait="queued", bad="failed"),
        "shift": _states(DryRunCase.Shift, ok="new more", wait="less", bad="lost"),
        "campaign": _states(Campaign.State, ok="done", go="approved", wait="proposed"),
        "round": _states(Round.State, ok="granted evaluated", go="open noticed decided", wait="closed deciding"),
        "award_order": _states(Round.Order),
        "pool_short": _states(Round.Short),
        "award": _states(RoundAward.Outcome, ok="full", go="less", wait="waits", bad="nothing"),
        "award_why": _states(RoundAward.Why),
        "notice": _states(Notice.State, ok="closed", go="published", wait="draft"),
        "notice_item": _states(NoticeItem.State, ok="granted", go="noticed", wait="objected"),
        "objection": _states(Objection.State, ok="rejected", wait="open", bad="upheld"),
        "voucher": _states(Voucher.State, ok="active", bad="frozen recovered"),
        "programme": _states(ProgrammeVersion.State, ok="published", wait="suspended"),
        "charge": _states(Charge.State, ok="captured", go="held"),
        "purchase": {
            code: (Tone(purchase_words.TONES.get(code, "")), text) for code, text in purchase_words.STANDINGS.items()
        },
        "payment": _states(Payment.State, ok="confirmed", wait="due declared", bad="written_off"),
        "bank_line": _states(StatementLine.State, ok="matched", go="parked", wait="open proposed"),
        "bank_match": _states(BankMatch.State, ok="booked", wait="proposed reversing", bad="refused reversed"),
        **{kind: _plain(words) for one in WORD_LISTS for kind, words in one.PLAIN.items()},
        **{kind: _states(choices, **tones) for kind, (choices, tones) in beam_words.STATES.items()},
        "proposal": _states(ChargeProposal.State, ok="approved", wait="proposed", bad="returned"),
        "proposal_kind": _states(ChargeProposal.Kind),
        "gateway_line": _states(GatewayLine.Kind),
        "explanation": _states(EntryExplanation.State, ok="accepted", wait="proposed", bad="returned"),
        "explanation_kind": _states(EntryExplanation.Kind),
        "bucket": {
            code: (Tone.OK if code == "matched" else Tone.BAD, text) for code, text in reconciling_words.BUCKETS.items()
        },
        "refund_why": _plain(reasons.REFUND_REASONS),
        "write_off_why": _plain(reasons.WRITE_OFF_REASONS),
        "attempt": _states(
            PaymentAttempt.State, ok="succeeded", go="processing", wait="created requires_action unknown", bad="failed"
        ),
        "rail_refund": _states(
            RefundAttempt.State, ok="succeeded", go="created processing", wait="unknown", bad="failed"
        ),
        "rail_notice": _states(PaymentEvent.State, ok="done", go="stored", bad="quarantined"),
        "method": _plain(
            {"checkout": _("在线支付页面"), "card": _("银行卡"), "alipay": _("支付宝"), "wechat_pay": _("微信支付")}
        ),
        "refund_reason": _plain({text: text for text in REASONS.values()}),
        "fapiao": _states(Fapiao.State, ok="issued", go="accepted", wait="requested", bad="declined"),
        "flag": _states(Flag.State, ok="cleared", wait="open", bad="confirmed"),
        "pattern": _states(Flag.Pattern),
        "redemption": _states(
            RedemptionClaim.State,
            ok="settled",
            go="payable batched",
            wait="proposed supplement checking audit approval",
            bad="refused",
        ),
        "mode": _states(RedemptionClaim.Mode),
        "recovery": _states(
            Recovery.State, ok="recovered", go="recovering", wait="proposed open heard decided", bad="written_off"
        ),
        "party": _states(Recovery.Party),
        "settlement": _states(
            SettlementBatch.State, ok="paid reconciled", go="approved exported", wait="draft checked", bad="returned"
        ),
        "payment_order": _states(PaymentOrder.State, ok="answered", go="exported"),
        "order_line": _states(PaymentOrderLine.State, ok="paid paid_late", wait="open", bad="failed returned"),
        "discrepancy": _states(Discrepancy.State, ok="closed", go="explained corrected", wait="open"),
        "discrepancy_kind": _states(Discrepancy.Kind),
        "settlement_cadence": _states(SettlementTerms.Cadence),
        "movement": _states(MovementWords),
        "answer_outcome": _plain({"paid": _("已付款"), "failed": _("未付成")}),
        "payee_account": _states(PayeeAccount.State, ok="in_force", go="verified", wait="proposed checked"),
        "resource": _states(Resource.State, ok="published", go="proposed", wait="suspended returned", bad="withdrawn"),
        "admission": _states(Admission.Outcome, ok="admitted", wait="returned"),
        "claim": _states(Claim.State, ok="confirmed", go="in_use", wait="held"),
        "dispute": _states(Dispute.State, ok="settled", go="accepted", wait="open answered appealed", bad="upheld"),
        "violation": _states(Violation.State, ok="lifted", wait="appealed", bad="counted upheld"),
        "violation_kind": _states(Violation.Kind),
        "standing": {
            "good": (Tone.OK, _("正常")),
            "warned": (Tone.WAIT, _("提醒")),
            "watched": (Tone.WAIT, _("重点审批")),
            "suspended": (Tone.BAD, _("预约已暂停")),
        },
        "session_clock": {code: (Tone.REST, text) for code, text in CLOCKS},
        "clock_source": _plain(
            {
                "manual": _("实验室登记"),
                "bench": _("用户扫码"),
                "meter": _("仪器或联锁装置"),
                "file": _("仪器记录文件"),
            }
        ),
        "clock_role": {"counts": (Tone.GO, _("计费"))},
        "booking": _states(
            Booking.State, ok="confirmed completed", go="in_use", wait="held requested displaced", bad="declined"
        ),
        "waiting": _states(WaitlistEntry.State, ok="booked", go="offered", wait="waiting"),
        "displacement": _states(Displacement.State, ok="moved", wait="open"),
        "swap": _states(Swap.State, ok="accepted", wait="proposed"),
        "use": {
            UseVerdict.FREE.value: (Tone.OK, _("空闲")),
            UseVerdict.CLOSED.value: (Tone.REST, _("不开放")),
            UseVerdict.TAKEN.value: (Tone.WAIT, _("已占用")),
            UseVerdict.QUOTA.value: (Tone.BAD, _("超出配额")),
            UseVerdict.REFUSED.value: (Tone.BAD, _("不能预约")),
        },
        "sample": _states(
            SampleOrder.State,
            ok="reported billed closed",
            go="accepted received queued testing drafted reviewed",
            wait="requested needs_method feasible quoted",
            bad="declined samples_rejected",
        ),
        "engagement": _states(
            Engagement.State, ok="completed closed", go="running", wait="requested quoted", bad="declined stopped"
        ),
        "engagement_quote": _states(EngagementQuote.State, ok="accepted", wait="open", bad="refused"),
        "milestone": _states(Milestone.State, ok="accepted", go="planned", wait="delivered disputed", bad="returned"),
        "sample_unit": _states(SampleOrder.Unit),
        "specimen": _states(Sample.State, ok="held", wait="expected", bad="rejected"),
        "hazard": _states(Sample.Hazard, ok="none"),
        "custody": _states(Custody.Act),
        "job": _states(
            Job.State,
            ok="succeeded",
            go="starting running finishing",
            wait="pending submitting unknown placed queued suspended",
            bad="rejected failed timed_out expired out_of_memory interrupted launch_failed lost",
        ),
        "job_settlement": _states(Job.Settlement, ok="settled", go="adjusted", wait="provisional"),
        "not_billed": _plain(refunds.NOT_BILLED),
        "doubt": _plain(refunds.DOUBTS),
        "quarantine": _states(QuarantinedRun.State, ok="resolved", go="proposed", wait="open"),
        "audit_difference": _plain(
            {
                "seconds": _("计费卡时与集群记账不符"),
                "money": _("计费行与账本不符"),
                "missing": _("集群记账查不到"),
                "unsettled": _("结束一天仍未结算"),
            }
        ),
        "offer": _states(Offer.State, ok="published", wait="suspended"),
        "offer_kind": _states(Offer.Kind),
        "delivery": _states(Offer.Delivery),
        "channel": _states(Offer.Channel),
        "order": _states(
            Order.State,
            ok="completed",
            go="accepted delivering",
            wait="placed delivered",
            bad="declined disputed",
        ),
        "price_unit": _plain(
            {
                "hour": _("小时"),
                "day": pgettext_lazy("unit", "天"),
                "sample": pgettext_lazy("unit", "样品"),
                "test": pgettext_lazy("unit", "次"),
                "card_hour": _("卡时"),
                "core_hour": _("核时"),
                "node_day": _("节点·天"),
                "tb_day": _("TB·天"),
                "gb_day": _("GB·天"),
                "token": _("词元"),
                "million_tokens": _("百万词元"),
                "call": _("次"),
                "record": _("条"),
                "mb": _("兆字节"),
                "item": _("件"),
                "project": _("项"),
                "value": _("元金额"),
            }
        ),
        "tiering": _plain({"whole_volume": _("按总量计档"), "marginal": _("分段计价")}),
        "rounding": _plain({"half_up": _("四舍五入到分"), "down": _("舍去不足一分")}),
        "order_file": _plain(
            {
                "delivery_proof": _("交付凭证"),
                "licence": _("许可文件"),
                "exchange_certificate": _("交易凭证"),
                "bill": _("账单"),
                "usage": _("用量明细"),
                "acceptance_note": _("验收单"),
                "dispute": _("异议材料"),
            }
        ),
        "category": _states(Instrument.Category),
        "resource_kind": _states(Resource.Kind),
        "service_mode": _states(Resource.ServiceMode),
        "source": _states(Instrument.Source),
        "purpose": _states(Instrument.Purpose),
        "running_state": _states(Instrument.RunningState, ok="normal", wait="repair idle", bad="scrapped"),
        "share_mode": _states(Instrument.ShareMode),
        "unit": _states(Rate.Unit),
        "user_class": _states(Rate.UserClass),
        "instrument_file": _states(InstrumentFile.Purpose),
        "organisation": _states(Organisation.Kind),
        "account": _plain({kind: rule.label for kind, rule in ACCOUNT_KINDS.items()}),
        "journal": _plain({kind: rule.label for kind, rule in JOURNAL_KINDS.items()}),
        "calendar": {
            "fresh": (Tone.OK, _("已同步")),
            "stale": (Tone.BAD, _("同步失败")),
        },
        "directive": {
            "agrees": (Tone.OK, _("一致")),
            "conflicts": (Tone.BAD, _("与表单不同")),
            "unsupported": (Tone.WAIT, _("不支持")),
            "invalid": (Tone.BAD, _("看不懂")),
            "overridden": (Tone.REST, _("被后面的覆盖")),
            "late": (Tone.REST, _("位置无效")),
        },
        "template": _states(JobTemplateVersion.State, wait="draft", ok="published"),
        "template_category": {
            "training": (Tone.REST, _("模型训练")),
            "inference": (Tone.REST, _("批量推理")),
            "cfd": (Tone.REST, _("流体仿真")),
            "molecular": (Tone.REST, _("分子模拟")),
            "data": (Tone.REST, _("数据处理")),
            "other": (Tone.REST, _("其他应用")),
        },
        "choice": {"cheapest": (Tone.OK, _("最便宜"))},
        "finding": {
            "ok": (Tone.OK, _("符合")),
            "look": (Tone.WAIT, _("需核对")),
            "missing": (Tone.BAD, _("缺少")),
        },
        "decision": {
            "grant": (Tone.OK, _("符合条件")),
            "reject": (Tone.BAD, _("不符合条件")),
            "supplement": (Tone.WAIT, _("需补充材料")),
            "manual": (Tone.WAIT, _("需人工判断")),
        },
        "allocation": {
            "in_force": (Tone.OK, _("生效中")),
            "coming": (Tone.WAIT, _("未开始")),
            "over": (Tone.REST, _("已到期")),
            "ended": (Tone.REST, _("已终止")),
        },
        "cluster_account": _states(ClusterAccount.State, ok="in_step", wait="new", bad="drifted refused"),
        "health": {
            "well": (Tone.OK, _("运行正常")),
            "away": (Tone.BAD, _("暂时连不上")),
            "stale": (Tone.WAIT, _("状态待更新")),
            "unknown": (Tone.REST, _("尚未检查")),
            "maintenance": (Tone.WAIT, _("维护中，暂停接收")),
        },
        "incident": {"open": (Tone.BAD, _("未恢复")), "closed": (Tone.REST, _("已恢复"))},
        "maintenance": {
            "ahead": (Tone.WAIT, _("将开始")),
            "on": (Tone.GO, _("进行中")),
            "over": (Tone.REST, _("已结束")),
            "called_off": (Tone.REST, _("已取消")),
        },
        "partition": {"open": (Tone.OK, _("接收作业")), "closed": (Tone.REST, _("暂停接收"))},
        "leg": _plain({"voucher": _("券抵扣"), "own": _("企业自付"), "claim": _("申领"), "offset": _("抵扣应退款")}),
        "service": _plain(
            {
                "instrument_use": _("仪器使用"),
                "compute": _("算力"),
                "corpus": _("语料"),
                "data_product": _("数据产品"),
                "model_api": _("模型调用"),
                "model_private": _("模型私有化部署"),
                "agent_service": _("智能体开发"),
                "rd_service": _("研发服务"),
            }
        ),
    }
)


def label_of(kind: str, code: str) -> tuple[Tone, str]:
    """Return (tone, words in the reader's language) of a code. Raises KeyError for a kind or code without words."""
    tone, text = LABELS[kind][str(code)]
    return tone, gettext(str(text))
