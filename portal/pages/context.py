"""The shell every page shares: names, languages, and the navigation this actor may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse, translate_url
from django.utils.functional import Promise
from django.utils.translation import get_language, pgettext_lazy

from portal.kernel.actors import Actor, Permission
from portal.pages.templatetags.show import bilingual

__all__ = ["NAVIGATION", "Entry", "Link", "shell"]

P = Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the navigation.

    `group` is where it stands: ``open`` (main row, everybody), ``work`` (second row, signed in) or ``self`` (account
    menu). `needs` holds the permissions of which one suffices; empty asks only for what the group asks for. `flag` is what
    the session has to say besides: the dashboard looks it up, so that no page asks for it again.
    """

    label: Promise
    url_name: str
    group: str
    needs: frozenset[Permission] = frozenset()
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    current: str
    """``page`` (this very page), ``true`` (a page below it) or empty: the value of ``aria-current``."""


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
    Entry(pgettext_lazy("list", "我的券"), "wallet", "work", frozenset({P.VOUCHER_READ_OWN})),
    Entry(pgettext_lazy("list", "申请"), "applications", "work", frozenset({P.APPLICATION_SUBMIT})),
    Entry(pgettext_lazy("list", "预约"), "bookings", "work", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "送样"), "samples", "work", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "技术服务"), "engagements", "work", frozenset({P.BOOKING_REQUEST})),
    Entry(pgettext_lazy("list", "机时"), "visits", "work", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(
        pgettext_lazy("list", "线站值班"),
        "beam_desk",
        "work",
        frozenset({P.BEAMTIME_RUN, P.BEAMTIME_PLAN, P.FACILITY_MANAGE, P.FACILITY_DECIDE, P.PROPOSAL_CLEAR}),
    ),
    Entry(pgettext_lazy("list", "机时申请"), "proposals", "work", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(
        pgettext_lazy("list", "申请受理"),
        "proposal_desk",
        "work",
        frozenset({P.FACILITY_MANAGE, P.BEAMTIME_PLAN, P.BEAMTIME_RUN, P.FACILITY_DECIDE}),
    ),
    Entry(pgettext_lazy("list", "征集管理"), "call_desk", "work", frozenset({P.FACILITY_MANAGE})),
    Entry(pgettext_lazy("list", "作业"), "jobs", "work", frozenset({P.JOB_SUBMIT})),
    Entry(
        pgettext_lazy("list", "算力用量"),
        "job_use",
        "work",
        frozenset({P.JOB_SUBMIT, P.CLUSTER_READ, P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(
        pgettext_lazy("list", "作业核对"),
        "job_audits",
        "work",
        frozenset({P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(
        pgettext_lazy("list", "待定价运行"),
        "quarantine",
        "work",
        frozenset({P.CLUSTER_READ, P.AUDIT_READ, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "应用模板"), "job_templates", "work", frozenset({P.JOB_SUBMIT, P.TEMPLATE_PUBLISH})),
    Entry(pgettext_lazy("list", "算力配额"), "allocations", "work", frozenset({P.ALLOCATION_MANAGE, P.JOB_SUBMIT})),
    Entry(pgettext_lazy("list", "账户与上限"), "limits", "work", frozenset({P.ALLOCATION_MANAGE})),
    Entry(pgettext_lazy("list", "订单"), "orders", "work", frozenset({P.ORDER_PLACE})),
    Entry(pgettext_lazy("list", "订单与付款"), "purchases", "work", frozenset({P.VOUCHER_READ_OWN})),
    Entry(pgettext_lazy("list", "付款"), "payments", "work", frozenset({P.PAYMENT_DECLARE, P.PAYMENT_CONFIRM})),
    Entry(pgettext_lazy("list", "线上支付"), "rail_desk", "work", frozenset({P.PAYMENT_CONFIRM})),
    Entry(
        pgettext_lazy("list", "单据与发票"),
        "documents",
        "work",
        frozenset({P.INVOICE_REQUEST, P.INVOICE_ISSUE, P.LEDGER_READ}),
    ),
    Entry(pgettext_lazy("list", "开票申请"), "fapiaos", "work", frozenset({P.INVOICE_ISSUE})),
    Entry(pgettext_lazy("list", "银行流水"), "bank_lines", "work", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "登记的流水号"), "bank_claims", "work", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "挂账资金"), "unapplied_money", "work", frozenset({P.BANK_MATCH, P.BANK_APPROVE})),
    Entry(pgettext_lazy("list", "申领"), "claims", "work", frozenset({P.CLAIM_FILE})),
    Entry(
        pgettext_lazy("list", "申请审核"),
        "review_queue",
        "work",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE}),
    ),
    Entry(
        pgettext_lazy("list", "申领核查"),
        "claim_desk",
        "work",
        frozenset({P.CLAIM_CHECK, P.CLAIM_APPROVE, P.CLAIM_AUDIT}),
    ),
    Entry(pgettext_lazy("list", "券台账"), "voucher_register", "work", frozenset({P.VOUCHER_REGISTER})),
    Entry(pgettext_lazy("list", "集群运维"), "cluster_desk", "work", frozenset({P.CLUSTER_MANAGE})),
    Entry(pgettext_lazy("list", "核验券码"), "voucher_counter", "work", frozenset({P.VOUCHER_CHECK})),
    Entry(
        pgettext_lazy("list", "追回"),
        "recoveries",
        "work",
        frozenset({P.RECOVERY_PROPOSE, P.RECOVERY_DECIDE, P.PAYMENT_CONFIRM}),
    ),
    Entry(pgettext_lazy("list", "风险提示"), "flags", "work", frozenset({P.FLAG_DECIDE})),
    Entry(
        pgettext_lazy("list", "批次与公示"),
        "rounds_desk",
        "work",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE, P.PROGRAMME_PUBLISH}),
    ),
    Entry(pgettext_lazy("list", "实验室今日"), "lab_today", "work", frozenset({P.INSTRUMENT_MANAGE})),
    Entry(pgettext_lazy("list", "预约处理"), "booking_queue", "work", frozenset({P.BOOKING_DECIDE, P.SESSION_RECORD})),
    Entry(pgettext_lazy("list", "计时异议"), "disputes", "work", frozenset({P.BOOKING_DECIDE, P.ORDER_RULE})),
    Entry(pgettext_lazy("list", "里程碑裁定"), "milestone_rulings", "work", frozenset({P.ORDER_RULE})),
    Entry(pgettext_lazy("list", "送样处理"), "sample_queue", "work", frozenset({P.BOOKING_DECIDE})),
    Entry(pgettext_lazy("list", "技术服务处理"), "engagement_desk", "work", frozenset({P.BOOKING_DECIDE})),
    Entry(pgettext_lazy("list", "订单处理"), "order_queue", "work", frozenset({P.ORDER_SERVE})),
    Entry(pgettext_lazy("list", "本单位服务"), "my_offers", "work", frozenset({P.OFFER_MANAGE})),
    Entry(pgettext_lazy("list", "券付订单"), "overseen_orders", "work", frozenset({P.ORDER_READ})),
    Entry(pgettext_lazy("list", "本单位仪器"), "my_instruments", "work", frozenset({P.INSTRUMENT_MANAGE})),
    Entry(pgettext_lazy("list", "仪器审核"), "admissions", "work", frozenset({P.INSTRUMENT_ADMIT})),
    Entry(
        pgettext_lazy("list", "应入网仪器"),
        "instrument_duties",
        "work",
        frozenset({P.APPLICATION_REVIEW, P.APPLICATION_APPROVE, P.AUDIT_READ}),
    ),
    Entry(pgettext_lazy("list", "我的机时"), "beam_offers", "work", frozenset({P.PROPOSAL_SUBMIT})),
    Entry(
        pgettext_lazy("list", "机时排班"),
        "schedules",
        "work",
        frozenset({P.BEAMTIME_PLAN, P.BEAMTIME_RUN, P.FACILITY_MANAGE, P.FACILITY_DECIDE}),
    ),
    Entry(
        pgettext_lazy("list", "机时报价"),
        "beam_quotes",
        "work",
        frozenset({P.BOOKING_REQUEST, P.FACILITY_MANAGE, P.FACILITY_DECIDE}),
    ),
    Entry(
        pgettext_lazy("list", "装置管理"),
        "facility_desk",
        "work",
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
    Entry(pgettext_lazy("list", "收入"), "income", "work", frozenset({P.SETTLEMENT_READ_OWN})),
    Entry(
        pgettext_lazy("list", "结算"),
        "settlements",
        "work",
        frozenset({P.SETTLEMENT_DRAFT, P.SETTLEMENT_APPROVE, P.SETTLEMENT_PAY, P.SETTLEMENT_READ_OWN}),
    ),
    Entry(pgettext_lazy("list", "收款账户"), "payee_accounts", "work", frozenset({P.PAYEE_MANAGE, P.PAYEE_VERIFY})),
    Entry(pgettext_lazy("list", "对账"), "reconciliation", "work", frozenset({P.LEDGER_READ})),
    Entry(pgettext_lazy("list", "退款与核销"), "charge_proposals", "work", frozenset({P.LEDGER_READ, P.CHARGE_REFUND})),
    Entry(pgettext_lazy("list", "审计记录"), "audit", "work", frozenset({P.AUDIT_READ})),
    Entry(pgettext_lazy("list", "机时评审"), "beam_reviews", "work", flag="is_panelist"),
    Entry(
        pgettext_lazy("list", "可行性与安全审查"),
        "assessments",
        "work",
        frozenset({P.PROPOSAL_ASSESS, P.PROPOSAL_CLEAR}),
    ),
    Entry(pgettext_lazy("list", "机时评审组"), "panels", "work", frozenset({P.FACILITY_MANAGE, P.FACILITY_DECIDE})),
    Entry(pgettext_lazy("list", "单位与成员"), "organisation", "self"),
    Entry(pgettext_lazy("list", "修改密码"), "account_change_password", "self"),
    Entry(pgettext_lazy("list", "双因素认证"), "mfa_index", "self"),
)
"""The whole navigation, in the order shown. Add a line to add a place."""


def _links(group: str, actor: Actor | None, request: HttpRequest) -> Iterator[Link]:
    path = request.path
    for entry in NAVIGATION:
        if entry.flag and not (actor and getattr(request, "session", {}).get(entry.flag)):
            continue
        if entry.group != group or (group != "open" and actor is None):
            continue
        if entry.needs and (actor is None or not entry.needs & actor.permissions):
            continue
        url = reverse(entry.url_name)
        current = "page" if path == url else "true" if path.startswith(url) else ""
        yield Link(str(entry.label), url, current)


def _acting(request: HttpRequest, actor: Actor | None) -> str:
    """Say who acts for whom in the reader's language; the actor's own label is what records keep."""
    if actor is None:
        return ""
    for member in getattr(request, "memberships", ()):
        if member.organisation_id == actor.organisation_id:
            return f"{request.user} · {bilingual(member.organisation)}"
    return actor.label


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return ``shell``: what ``base.html`` needs and every page may use.

    ``request.actor`` is absent on error pages raised before the middleware ran and None for an anonymous visitor;
    both see the open navigation only. ``shell.base`` is what a form page extends: the bare dialog when htmx fetched
    it into ``#dialog``, the whole page otherwise.
    """
    actor: Actor | None = getattr(request, "actor", None)
    language = get_language() or settings.LANGUAGE_CODE
    other = "en" if language == "zh-hans" else "zh-hans"
    in_dialog = request.headers.get("HX-Target") == "dialog"
    here = request.get_full_path() if request.method in {"GET", "HEAD"} else request.path
    return {
        "shell": {
            "site": settings.SITE_NAME[language],
            "department": settings.DEPARTMENT[language],
            "phone": settings.CONTACT_PHONE,
            "demo": settings.DEMO,
            "lang": "zh-Hans" if language == "zh-hans" else "en",
            "other_lang": "en" if language == "zh-hans" else "zh-Hans",
            "other_name": "English" if other == "en" else "中文",
            "other_url": translate_url(here, other),
            "base": "parts/dialog.html" if in_dialog else "base.html",
            "actor": actor,
            "acting": _acting(request, actor),
            "open": list(_links("open", actor, request)),
            "work": list(_links("work", actor, request)),
            "self": list(_links("self", actor, request)),
        }
    }
