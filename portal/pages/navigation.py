"""Every place the navigation knows: the open row, the work of whoever is signed in by subject, and the account menu."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from portal.kernel.actors import Permission

__all__ = ["NAVIGATION", "SUBJECTS", "Entry"]

P = Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the navigation.

    `group` is where it stands: ``open`` (main row, everybody), ``work`` (second row, signed in), a name of `SUBJECTS` (the
    row below the second while one is at that subject) or ``self`` (account menu). `needs` holds the permissions of which
    one suffices; empty asks only for what the group asks for. `flag` is what the session has to say besides: the dashboard
    looks it up, so that no page asks for it again.
    """

    label: Promise
    url_name: str
    group: str
    needs: frozenset[Permission] = frozenset()
    flag: str = ""


SUBJECTS: dict[str, Promise] = {
    "vouchers": pgettext_lazy("list", "券与申报"),
    "instruments": pgettext_lazy("list", "仪器与实验"),
    "beam": pgettext_lazy("list", "装置机时"),
    "compute": pgettext_lazy("list", "算力"),
    "services": pgettext_lazy("list", "服务订单"),
    "money": pgettext_lazy("list", "资金"),
}
"""What work is divided by, with the words of the second row."""

NAVIGATION: tuple[Entry, ...] = (
    Entry(pgettext_lazy("list", "政策项目"), "programmes", "open"),
    Entry(pgettext_lazy("list", "资格自测"), "eligibility", "open"),
    Entry(pgettext_lazy("list", "仪器预约"), "instruments", "open"),
    Entry(pgettext_lazy("list", "大科学装置"), "facilities", "open"),
    Entry(pgettext_lazy("list", "算力集群"), "clusters", "open"),
    Entry(pgettext_lazy("list", "服务目录"), "offers", "open"),
    Entry(pgettext_lazy("list", "机时征集"), "calls", "open"),
    Entry(pgettext_lazy("list", "公示"), "notices", "open"),
    Entry(pgettext_lazy("list", "工作台"), "dashboard", "work"),
    Entry(
        pgettext_lazy("list", "驾驶舱"),
        "cockpit",
        "work",
        frozenset({P.PROGRAMME_DRAFT, P.PROGRAMME_PUBLISH, P.APPLICATION_REVIEW, P.APPLICATION_APPROVE, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "我的券"), "wallet", "vouchers", frozenset({P.VOUCHER_READ_OWN})),
    Entry(pgettext_lazy("list", "申请"), "applications", "vouchers", frozenset({P.APPLICATION_SUBMIT})),
    Entry(pgettext_lazy("list", "申领"), "claims", "vouchers", frozenset({P.CLAIM_FILE})),
    Entry(pgettext_lazy("list", "券台账"), "voucher_register", "vouchers", frozenset({P.VOUCHER_REGISTER})),
    Entry(pgettext_lazy("list", "核验券码"), "voucher_counter", "vouchers", frozenset({P.VOUCHER_CHECK})),
    Entry(
        pgettext_lazy("list", "申请审核"),
        "review_queue",
        "vouchers",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE}),
    ),
    Entry(
        pgettext_lazy("list", "批次与公示"),
        "rounds_desk",
        "vouchers",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE, P.PROGRAMME_PUBLISH}),
    ),
    Entry(
        pgettext_lazy("list", "申领核查"),
        "claim_desk",
        "vouchers",
        frozenset({P.CLAIM_CHECK, P.CLAIM_APPROVE, P.CLAIM_AUDIT}),
    ),
    Entry(pgettext_lazy("list", "风险提示"), "flags", "vouchers", frozenset({P.FLAG_DECIDE})),
    Entry(
        pgettext_lazy("list", "追回"),
        "recoveries",
        "vouchers",
        frozenset({P.RECOVERY_PROPOSE, P.RECOVERY_DECIDE, P.PAYMENT_CONFIRM}),
    ),
    Entry(pgettext_lazy("list", "预约"), "bookings", "instruments", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "送样"), "samples", "instruments", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "技术服务"), "engagements", "instruments", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "实验室今日"), "lab_today", "instruments", frozenset({P.INSTRUMENT_MANAGE})),
    Entry(
        pgettext_lazy("list", "预约处理"),
        "booking_queue",
        "instruments",
        frozenset({P.BOOKING_DECIDE, P.SESSION_RECORD}),
    ),
    Entry(pgettext_lazy("list", "送样处理"), "sample_queue", "instruments", frozenset({P.BOOKING_DECIDE})),
    Entry(pgettext_lazy("list", "技术服务处理"), "engagement_desk", "instruments", frozenset({P.BOOKING_DECIDE})),
    Entry(pgettext_lazy("list", "计时异议"), "disputes", "instruments", frozenset({P.BOOKING_DECIDE, P.ORDER_RULE})),
    Entry(pgettext_lazy("list", "里程碑裁定"), "milestone_rulings", "instruments", frozenset({P.ORDER_RULE})),
    Entry(pgettext_lazy("list", "本单位仪器"), "my_instruments", "instruments", frozenset({P.INSTRUMENT_MANAGE})),
    Entry(pgettext_lazy("list", "仪器审核"), "admissions", "instruments", frozenset({P.INSTRUMENT_ADMIT})),
    Entry(
        pgettext_lazy("list", "应入网仪器"),
        "instrument_duties",
        "instruments",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE, P.AUDIT_READ}),
    ),
    Entry(pgettext_lazy("list", "机时申请"), "proposals", "beam", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(pgettext_lazy("list", "我的机时"), "beam_offers", "beam", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(pgettext_lazy("list", "到访"), "visits", "beam", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(
        pgettext_lazy("list", "机时报价"),
        "beam_quotes",
        "beam",
        frozenset({P.BOOKING_REQUEST, P.FACILITY_MANAGE, P.FACILITY_DECIDE}),
    ),
    Entry(
        pgettext_lazy("list", "线站值班"),
        "beam_desk",
        "beam",
        frozenset({P.BEAMTIME_RUN, P.BEAMTIME_PLAN, P.FACILITY_MANAGE, P.FACILITY_DECIDE, P.PROPOSAL_CLEAR}),
    ),
    Entry(
        pgettext_lazy("list", "申请受理"),
        "proposal_desk",
        "beam",
        frozenset({P.FACILITY_MANAGE, P.BEAMTIME_PLAN, P.BEAMTIME_RUN, P.FACILITY_DECIDE}),
    ),
    Entry(pgettext_lazy("list", "征集管理"), "call_desk", "beam", frozenset({P.FACILITY_MANAGE})),
    Entry(
        pgettext_lazy("list", "可行性与安全审查"),
        "assessments",
        "beam",
        frozenset({P.PROPOSAL_ASSESS, P.PROPOSAL_CLEAR, P.FACILITY_DECIDE}),
    ),
    Entry(pgettext_lazy("list", "机时评审"), "beam_reviews", "beam", flag="is_panelist"),
    Entry(pgettext_lazy("list", "机时评审组"), "panels", "beam", frozenset({P.FACILITY_MANAGE, P.FACILITY_DECIDE})),
    Entry(
        pgettext_lazy("list", "机时排班"),
        "schedules",
        "beam",
        frozenset({P.BEAMTIME_PLAN, P.BEAMTIME_RUN, P.FACILITY_MANAGE, P.FACILITY_DECIDE}),
    ),
    Entry(
        pgettext_lazy("list", "装置管理"),
        "facility_desk",
        "beam",
        frozenset(
            {
                P.FACILITY_MANAGE,
                P.BEAMTIME_PLAN,
                P.BEAMTIME_RUN,
                P.PROPOSAL_ASSESS,
                P.PROPOSAL_CLEAR,
                P.FACILITY_DECIDE,
            }
        ),
    ),
    Entry(pgettext_lazy("list", "作业"), "jobs", "compute", frozenset({P.JOB_SUBMIT})),
    Entry(
        pgettext_lazy("list", "算力用量"),
        "job_use",
        "compute",
        frozenset({P.JOB_SUBMIT, P.CLUSTER_READ, P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "应用模板"), "job_templates", "compute", frozenset({P.JOB_SUBMIT, P.TEMPLATE_PUBLISH})),
    Entry(pgettext_lazy("list", "算力配额"), "allocations", "compute", frozenset({P.ALLOCATION_MANAGE, P.JOB_SUBMIT})),
    Entry(pgettext_lazy("list", "账户与上限"), "limits", "compute", frozenset({P.ALLOCATION_MANAGE})),
    Entry(
        pgettext_lazy("list", "作业核对"),
        "job_audits",
        "compute",
        frozenset({P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(
        pgettext_lazy("list", "待定价运行"),
        "quarantine",
        "compute",
        frozenset({P.CLUSTER_READ, P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "集群运维"), "cluster_desk", "compute", frozenset({P.CLUSTER_MANAGE})),
    Entry(pgettext_lazy("list", "订单"), "orders", "services", frozenset({P.ORDER_PLACE})),
    Entry(pgettext_lazy("list", "订单处理"), "order_queue", "services", frozenset({P.ORDER_SERVE})),
    Entry(pgettext_lazy("list", "本单位服务"), "my_offers", "services", frozenset({P.OFFER_MANAGE})),
    Entry(pgettext_lazy("list", "券付订单"), "overseen_orders", "services", frozenset({P.ORDER_READ})),
    Entry(pgettext_lazy("list", "订单与付款"), "purchases", "money", frozenset({P.VOUCHER_READ_OWN})),
    Entry(pgettext_lazy("list", "付款"), "payments", "money", frozenset({P.PAYMENT_DECLARE, P.PAYMENT_CONFIRM})),
    Entry(
        pgettext_lazy("list", "单据与发票"),
        "documents",
        "money",
        frozenset({P.INVOICE_REQUEST, P.INVOICE_ISSUE, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "开票申请"), "fapiaos", "money", frozenset({P.INVOICE_ISSUE})),
    Entry(pgettext_lazy("list", "收入"), "income", "money", frozenset({P.SETTLEMENT_READ_OWN})),
    Entry(
        pgettext_lazy("list", "结算"),
        "settlements",
        "money",
        frozenset({P.SETTLEMENT_DRAFT, P.SETTLEMENT_APPROVE, P.SETTLEMENT_PAY, P.SETTLEMENT_READ_OWN}),
    ),
    Entry(pgettext_lazy("list", "收款账户"), "payee_accounts", "money", frozenset({P.PAYEE_MANAGE, P.PAYEE_VERIFY})),
    Entry(pgettext_lazy("list", "线上支付"), "rail_desk", "money", frozenset({P.PAYMENT_CONFIRM})),
    Entry(pgettext_lazy("list", "银行流水"), "bank_lines", "money", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "登记的流水号"), "bank_claims", "money", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "挂账资金"), "unapplied_money", "money", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "对账"), "reconciliation", "money", frozenset({P.LEDGER_READ})),
    Entry(
        pgettext_lazy("list", "退款与核销"), "charge_proposals", "money", frozenset({P.LEDGER_READ, P.CHARGE_REFUND})
    ),
    Entry(pgettext_lazy("list", "审计记录"), "audit", "work", frozenset({P.AUDIT_READ})),
    Entry(pgettext_lazy("list", "单位与成员"), "organisation", "self"),
    Entry(pgettext_lazy("list", "修改密码"), "account_change_password", "self"),
    Entry(pgettext_lazy("list", "双因素认证"), "mfa_index", "self"),
)
"""The whole navigation, in the order shown. Add a line to add a place."""
