"""One of everything, and every write of the API with the roles that may do it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection, transaction
from django.test import override_settings

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.workdays import rules as workday_rules
from portal.workdays import services as workdays
from portal.workdays.models import CalendarDay
from scheduler.allocations import rules as allocation_rules
from scheduler.allocations import services as allocations
from scheduler.availability import deviations
from scheduler.availability.models import Closure, SpecialOpening
from scheduler.availability.patterns import Special
from scheduler.availability.rules import Audience
from scheduler.benches import services as benches
from scheduler.bookings.models import Booking
from scheduler.calendars import services as calendars
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.clusters.models import Incident, OrphanJob
from scheduler.conduct import rules as conduct_rules
from scheduler.conduct import services as conduct
from scheduler.conduct.models import Violation
from scheduler.displacements import services as displacements
from scheduler.disputes import services as disputes
from scheduler.disputes.models import Dispute
from scheduler.feeds import services as feeds
from scheduler.feeds.models import FeedToken
from scheduler.feeds.rules import FeedKind, FeedPrivacy
from scheduler.maintenance import services as maintenance
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.metering.models import QuarantinedRun, UnmanagedRun
from scheduler.quotas import rules as quota_rules
from scheduler.quotas import services as quotas
from scheduler.quotas.models import QuotaRule
from scheduler.ratings import services as ratings
from scheduler.ratings.models import Rating
from scheduler.resources.models import Cluster, Partition, Resource
from scheduler.waitlist import services as waitlist
from scheduler.waitlist.models import WaitlistEntry
from tests import beam, make
from tests.beam_writes import BEAM_ROLES, BEAM_WRITES, beam_things
from tests.calling import CONTRACT, Answer, Caller, Write, zoned
from tests.scheduler.calendars.writing import calendar
from tests.scheduler.templates import catalogue
from tests.vouchers.banking.sheets import csv_file, row
from tests.vouchers.claims import making as claims
from tests.vouchers.offers import goods
from tests.vouchers.payees import making as accounts
from tests.vouchers.reconciliation import scripted
from tests.vouchers.settlements import ordered
from vouchers.banking import importing
from vouchers.banking import services as banking
from vouchers.banking.models import BankClaim, BankMatch, MatchPart, StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.charges import proposing, refunding
from vouchers.charges.models import Charge
from vouchers.claims import deciding
from vouchers.claims.models import RedemptionClaim
from vouchers.evidence.rules import Upload
from vouchers.flags import services as flags
from vouchers.flags.models import Flag
from vouchers.flags.rules import Pattern
from vouchers.invoices import rules as invoice_rules
from vouchers.invoices import services as invoices
from vouchers.issuance import assigning
from vouchers.issuance.models import Recusal
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.notices import objecting
from vouchers.notices import services as notices
from vouchers.notices.models import Objection
from vouchers.payments import arriving
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt
from vouchers.programmes import drafts
from vouchers.programmes.models import ProgrammeDraft
from vouchers.reconciliation import explaining
from vouchers.reconciliation import services as reconciliation
from vouchers.reconciliation.models import EntryExplanation
from vouchers.reconciliation.rules import ExplanationKind
from vouchers.recoveries import collecting
from vouchers.recoveries import services as recoveries
from vouchers.recoveries.models import Recovery
from vouchers.settlements import closing
from vouchers.settlements import services as settlements

PERIOD = {"starts_at": zoned(make.slot(days=5).start), "ends_at": zoned(make.slot(days=5).end)}
INSTRUMENT = {"name": "透射电镜", "category": "analytical", "city": "杭州"}


FIRM = "owner researcher"
LATER = zoned(make.slot(days=3).start)
WEEKLY = {"first": "2026-12-02", "start": "15:00", "minutes": 60, "frequency": "weekly", "count": 2}
OFFER = {
    "kind": "corpus",
    "title": "问答语料",
    "description": "设备故障问答。",
    "licence": "仅限内部研发。",
    "delivery": "download",
}
SAMPLES = {
    "instrument": "{sampled}",
    "title": "电解液",
    "wanted": "测酸度",
    "samples": [{"label": "S-1", "hazards": ["none"]}],
}
ENGAGEMENT = {
    "instrument": "{served}",
    "title": "中试",
    "description": "放大配方",
    "wanted": "样品",
    "wanted_by": "2026-12-20",
}
PLAN = {
    "milestones": [{"name": "小试", "deliverable": "报告", "due_on": "2026-12-20", "price": {"yuan": "900"}}],
}
WAIT = {
    "instrument": "{instrument}",
    "duration_s": 7200,
    "since": zoned(make.slot().start),
    "until": zoned(make.slot(days=9).end),
    "title": "观察",
}
ITEM = {"code": "record", "name": "语料", "unit": "record", "tiers": [{"price_yuan": "0.5"}]}
LINES = [{"code": "record", "quantity": "100"}]
USAGE = {"day": "2026-11-25", "reference": "a-1", "code": "record", "quantity": "1"}
CLAIM = {
    "amount": {"yuan": "100"},
    "voucher": "{claim_voucher}",
    "lines": [{"what": "语料", "amount": {"yuan": "100"}, "base": {"yuan": "200"}, "invoice": "25440001"}],
}
WRITES = (
    Write(
        "POST /programmes",
        "officer",
        {"document": json.loads(make.programme_file(code="n-2026")), "budget": {"yuan": "1"}, "fiscal_year": 2026},
    ),
    Write(
        "PUT /programmes/{programme}/versions/1/fair-review",
        "publisher",
        {
            "reviewer": "市场监管局",
            "reviewed_on": "2026-11-01",
            "document_number": "公审 1 号",
            "opinion": "未发现影响公平竞争的内容。",
        },
    ),
    Write("POST /programmes/{programme}/versions/1/publish", "publisher"),
    Write("POST /programmes/{programme}/versions/1/suspend", "publisher"),
    Write("POST /programmes/{programme}/versions/1/resume", "publisher"),
    Write("POST /programme-drafts", "officer", {"programme": "{programme}"}),
    Write("PUT /programme-drafts/1", "officer", {"document": {"code": "half-written"}, "revision": 1}),
    Write("POST /programme-drafts/1/finish", "officer", {"revision": 1, "budget": {"yuan": "1"}, "fiscal_year": 2026}),
    Write("DELETE /programme-drafts/1", "officer"),
    Write(
        "POST /dry-runs",
        "officer publisher",
        {
            "programme": "{programme}",
            "past": {"programme": "{programme}", "starts": "2026-01-01", "ends": "2026-12-31"},
        },
    ),
    Write("POST /programmes/{programme}/assess", "owner", {"contract": CONTRACT}),
    Write("POST /applications", "owner", {"programme": "test-shared-2026", "contract": CONTRACT}),
    Write("POST /applications/{application}/complete", "owner", {"stated": {}}),
    Write("POST /applications/{application}/withdraw", "owner"),
    Write("POST /applications/{application}/pass", "reviewer", {}),
    Write("POST /applications/{application}/return", "reviewer", {"note": "补充"}),
    Write("POST /applications/{application}/refuse", "reviewer", {"note": "不符"}),
    Write(
        "PUT /workdays", "publisher", {"date": "2027-01-01", "is_working": False, "name": "元旦", "source": "国办通知"}
    ),
    Write("DELETE /workdays/1", "publisher"),
    Write("POST /rounds", "publisher", {"programme": "{programme}"}),
    Write("POST /rounds/{round}/close", "publisher"),
    Write("POST /rounds/{round}/propose", "reviewer", {}),
    Write("POST /rounds/{round}/reject", "approver", {"note": "再核"}),
    Write("POST /rounds/{round}/confirm", "approver"),
    Write("POST /rounds/{round}/evaluate", "publisher", {"note": "执行率 100%"}),
    Write("POST /notices", "reviewer", {"programme": "{programme}"}),
    Write("POST /notices/{notice}/publish", "approver"),
    Write("POST /notices/{notice}/discard", "reviewer"),
    Write(
        "POST /notices/{notice}/objections",
        "officer publisher reviewer approver finance finance_approver auditor third keeper lab_owner operator owner researcher seller",
        {"position": 1, "name": "张三", "contact": "138-0000-0000", "text": "该单位与服务方为同一实际控制人。"},
    ),
    Write("POST /objections/{objection}/decide", "approver", {"verdict": "reject", "reason": "不属实"}),
    Write("POST /offers", "seller", OFFER),
    Write("PUT /offers/{offer}", "seller", OFFER),
    Write("POST /offers/{offer}/prices", "seller", {"items": [ITEM]}),
    Write("POST /offers/{offer}/publish", "seller"),
    Write("POST /offers/{offer}/suspend", "seller"),
    Write("POST /offers/{offer}/withdraw", "seller"),
    Write("POST /offers/{offer}/quote", FIRM, {"lines": LINES}),
    Write("POST /orders", FIRM, {"offer": "{offer}", "lines": LINES, "purpose": "微调"}),
    Write("POST /orders/{order}/accept", "seller"),
    Write("POST /orders/{order}/decline", "seller", {"note": "排期已满"}),
    Write("POST /orders/{order}/cancel", FIRM, {}),
    Write("POST /orders/{order}/begin", "seller"),
    Write("POST /orders/{order}/deliver", "seller", {}),
    Write("POST /orders/{order}/approve", FIRM),
    Write("POST /orders/{order}/ruling", "approver", {"note": "按合格部分计"}),
    Write("POST /orders/{order}/dispute", FIRM, {"note": "内容不全"}),
    Write("POST /orders/{order}/give-up", "seller", {"note": "无法交付"}),
    Write("POST /orders/{order}/usage", "seller", {"lines": [USAGE]}),
    Write("POST /orders/{order}/usage/imports/1/withdraw", "seller"),
    Write("POST /applications/{application}/recheck", "reviewer", {"sound": True}),
    Write(
        "POST /programmes/{programme}/grants",
        "reviewer",
        {"credit_code": "{credit_code}", "contract": CONTRACT, "stated": {}},
    ),
    Write("POST /applications/drafts", "owner", {"programme": "test-shared-2026"}),
    Write("PUT /applications/{application}/contract", "owner", CONTRACT),
    Write("PUT /applications/{application}/facts", "owner", {"stated": {}}),
    Write("POST /applications/{application}/sign", "owner"),
    Write("POST /applications/{application}/submit", "owner"),
    Write("POST /applications/{application}/appeal", "owner", {"note": "合同属实"}),
    Write("POST /applications/{application}/appeal/admit", "approver", {"note": "受理"}),
    Write("POST /applications/{application}/appeal/ask", "approver", {"reason": "请补充验收单"}),
    Write("POST /applications/{application}/appeal/dismiss", "approver", {"note": "驳回"}),
    Write("POST /applications/{application}/recuse", "reviewer approver", {"reason": "亲属任职"}),
    Write("POST /applications/{application}/reassign", "approver", {"reason": "出差"}),
    Write("POST /applications/recusals", "reviewer approver", {"credit_code": "{credit_code}", "reason": "亲属"}),
    Write("POST /applications/recusals/1/lift", "approver", {"reason": "登记有误"}),
    Write("POST /vouchers/{voucher}/freeze", "approver", {"reason": "核查中"}),
    Write("POST /vouchers/{voucher}/unfreeze", "approver", {"reason": "核查完毕"}),
    Write("POST /vouchers/{voucher}/code", "owner"),
    Write(
        "POST /vouchers/look-up",
        "owner researcher keeper lab_owner operator seller",
        {"code": "AAAA", "service": "compute"},
    ),
    Write(
        "POST /charges/{charge}/refund",
        "keeper lab_owner seller finance",
        {"amount": {"yuan": "1"}, "reason": "测试失败"},
    ),
    Write(
        "POST /charges/{charge}/write-off",
        "finance",
        {"reason_code": "dissolved", "reason": "已注销", "evidence": "注销公告"},
    ),
    Write("POST /charge-proposals/{charge-proposal}/approve", "finance_approver keeper lab_owner seller"),
    Write(
        "POST /charge-proposals/{charge-proposal}/return",
        "finance_approver keeper lab_owner seller",
        {"note": "请先协商"},
    ),
    Write("POST /payments/{payment}/pay-back", "finance", {"bank_reference": "ICBC-9"}),
    Write("POST /payments/{payment}/declare", "owner", {"bank_reference": "ICBC-1"}),
    Write("POST /payments/{payment}/confirm", "finance", {"bank_reference": "ICBC-1"}),
    Write("POST /payments/{payment}/return", "finance", {"note": "未到账"}),
    Write("POST /payees/accounts/{account}/check", "lab_owner finance finance_approver"),
    Write("POST /payees/accounts/{account}/verify", "finance finance_approver"),
    Write("POST /payees/accounts/{account}/reject", "finance finance_approver", {"reason": "与证明不符"}),
    Write("POST /payees/accounts/{account}/withdraw", "lab_owner"),
    Write("POST /payments/{payment}/attempts/1/cancel", "owner"),
    Write("POST /payment-rails/attempts/{attempt}/look", "finance"),
    Write("POST /payment-rails/refunds/{refund}/retry", "finance"),
    Write("POST /payment-rails/refunds/{refund}/look", "finance"),
    Write("POST /payment-rails/refunds/{refund}/pay-by-bank", "finance", {"bank_reference": "ICBC-9"}),
    Write("POST /payment-rails/notices/1/release", "finance"),
    Write("POST /payment-rails/notices/1/ignore", "finance", {"reason": "测试数据"}),
    Write(
        "POST /documents/charges/{charge}", "owner researcher keeper lab_owner finance finance_approver auditor seller"
    ),
    Write("PUT /fapiao/buyer", "owner", {"title": "甲公司", "credit_code": "{firm_code}"}),
    Write("PUT /fapiao/tax", "keeper lab_owner seller", {"rate": "6"}),
    Write("POST /fapiao", "owner", {"charge": "{charge}", "buyer": {"title": "甲公司", "credit_code": "{firm_code}"}}),
    Write("POST /fapiao/{fapiao}/withdraw", "owner"),
    Write("POST /fapiao/{fapiao}/accept", "keeper lab_owner seller"),
    Write("POST /fapiao/{fapiao}/decline", "keeper lab_owner seller", {"reason": "抬头有误"}),
    Write(
        "POST /fapiao/{fapiao}/issue",
        "keeper lab_owner seller",
        {"number": "26332000000000000001", "issued_on": "2026-11-25", "amount": {"yuan": "480"}},
    ),
    Write(
        "POST /fapiao/{fapiao}/reissue",
        "keeper lab_owner seller",
        {"reason": "抬头有误", "buyer": {"title": "甲公司", "credit_code": "{firm_code}"}},
    ),
    Write("POST /banking/lines/1/match", "finance", {"parts": [{"kind": "payment", "target": "{payment}"}]}),
    Write("POST /banking/lines/1/park", "finance"),
    Write("POST /banking/unapplied/1/apply", "finance", {"payment": "{payment}"}),
    Write("POST /banking/unapplied/1/confirm", "finance finance_approver", {"payment": "{payment}"}),
    Write("POST /banking/unapplied/1/refuse", "finance finance_approver", {"payment": "{payment}"}),
    Write("POST /banking/unapplied/1/send-back", "finance"),
    Write("POST /banking/unapplied/1/keep", "finance"),
    Write("POST /banking/unapplied/1/doubt", "finance", {"payment": "{payment}", "note": "附言填错"}),
    Write("POST /banking/unapplied/1/undo", "finance finance_approver", {"payment": "{payment}"}),
    Write("POST /banking/claims/1/doubt", "finance", {"note": "抄错一位", "right": "ICBC-9"}),
    Write("POST /banking/claims/1/stand", "finance finance_approver"),
    Write("POST /banking/claims/1/release", "finance finance_approver"),
    Write("POST /banking/matches/1/confirm", "finance finance_approver"),
    Write("POST /banking/matches/1/refuse", "finance finance_approver", {"note": "不是这笔"}),
    Write("POST /banking/matches/1/doubt", "finance", {"note": "附言填错"}),
    Write("POST /banking/matches/1/stand", "finance finance_approver"),
    Write("POST /banking/matches/1/reverse", "finance finance_approver"),
    Write("POST /settlements", "finance", {"payee": "{credit_code}"}),
    Write("POST /settlements/{batch}/lines/1/reject", "finance finance_approver", {"reason": "账号有误"}),
    Write("POST /claims", "owner", CLAIM),
    Write("PUT /claims/{claim}", "owner", CLAIM),
    Write("POST /claims/{claim}/file", "owner"),
    Write("POST /claims/{claim}/withdraw", "owner"),
    Write("POST /claims/{claim}/check", "reviewer", {}),
    Write("POST /claims/{claim}/find", "third", {"note": "x"}),
    Write("POST /claims/{claim}/approve", "approver", {}),
    Write("POST /claims/{claim}/return", "reviewer", {"note": "补充"}),
    Write("POST /claims/{claim}/recheck", "approver", {"note": "再核"}),
    Write("POST /claims/{claim}/refuse", "approver", {"note": "不符"}),
    Write("POST /claims/{claim}/confirm", "reviewer"),
    Write("POST /claims/runs", "finance", {"programme": "{programme}"}),
    Write("POST /recoveries", "reviewer", {"breach": "虚报", "voucher": "{claim_voucher}"}),
    Write("POST /recoveries/reassess", "reviewer", {"claim": "{paid_claim}", "items": {"compute": {"yuan": "1"}}}),
    Write("POST /recoveries/{recovery}/accept", "reviewer"),
    Write("POST /recoveries/{recovery}/hear", "reviewer", {"text": "单位陈述"}),
    Write(
        "POST /recoveries/{recovery}/decide",
        "reviewer approver",
        {"receivable": {"yuan": "0"}, "reason": "属实"},
    ),
    Write("POST /recoveries/{recovery}/confirm", "approver"),
    Write("POST /recoveries/{recovery}/return", "approver", {"text": "再议"}),
    Write("POST /recoveries/{recovery}/drop", "reviewer approver", {"text": "无误"}),
    Write("POST /recoveries/{recovery}/receive", "finance", {"amount": {"yuan": "1"}, "bank_reference": "B-1"}),
    Write("POST /recoveries/{recovery}/ask-write-off", "finance", {"text": "已注销"}),
    Write("POST /recoveries/{recovery}/write-off", "finance_approver"),
    Write("POST /settlements/{batch}/approve", "finance_approver"),
    Write("POST /settlements/{batch}/check", "finance_approver"),
    Write("POST /settlements/{batch}/payouts", "finance"),
    Write("POST /settlements/{batch}/reconcile", "finance finance_approver", {"bank_line": "B-1"}),
    Write("POST /payment-orders", "finance", {"batches": ["{batch}"], "format": "bank-csv"}),
    Write("POST /payment-orders/formats", "finance_approver", {"definition": {"code": "x"}}),
    Write("POST /payment-orders/terms", "finance_approver", {"cadence": "monthly"}),
    Write("POST /payment-orders/{payment-order}/cancel", "finance_approver", {"reason": "未送银行"}),
    Write("POST /discrepancies/{discrepancie}/explain", "finance finance_approver", {"text": "银行手续费"}),
    Write(
        "POST /discrepancies/{discrepancie}/correct",
        "finance finance_approver",
        {"text": "实付", "outcome": "paid"},
    ),
    Write("POST /discrepancies/{discrepancie}/return", "finance finance_approver"),
    Write("POST /discrepancies/{discrepancie}/close", "finance finance_approver"),
    Write("POST /settlements/{batch}/pay", "finance", {"bank_reference": "TR-1"}),
    Write("POST /settlements/{batch}/discard", "finance"),
    Write("POST /settlements/{batch}/release", "finance finance_approver", {"text": "户名已更正"}),
    Write("POST /settlements/{batch}/set-off", "finance"),
    Write("POST /settlements/years/2025/propose", "finance"),
    Write("POST /settlements/years/2025/approve", "finance_approver"),
    Write("POST /settlements/years/2025/return", "finance finance_approver", {"reason": "尚未核对"}),
    Write("POST /reconciliation/pull", "finance", {}),
    Write("POST /reconciliation/months/2025/1/propose", "finance", {"note": "已说明"}),
    Write("POST /reconciliation/months/2025/1/approve", "finance_approver"),
    Write("POST /reconciliation/months/2025/1/return", "finance finance_approver", {"reason": "尚未核对"}),
    Write(
        "POST /reconciliation/explanations",
        "finance",
        {
            "rail": "stripe",
            "day": "2026-11-25",
            "entry": "payment:pi_nobody",
            "kind": "manual",
            "reason": "后台人工收款",
        },
    ),
    Write("POST /reconciliation/explanations/1/accept", "finance_approver"),
    Write("POST /reconciliation/explanations/1/return", "finance finance_approver", {"note": "请写明单据"}),
    Write("POST /reconciliation/explanations/1/undo", "finance finance_approver", {"note": "查明是另一笔"}),
    Write("POST /flags/1/decide", "reviewer approver", {"action": "clear", "reason": "已核对"}),
    Write("POST /instruments", "keeper", INSTRUMENT),
    Write("PUT /instruments/{instrument}", "keeper", INSTRUMENT),
    Write("PUT /instruments/{instrument}/rate", "keeper", {"amount": {"yuan": "1"}}),
    Write("POST /instruments/{instrument}/prices", "keeper", {"unit": "day", "amount": {"yuan": "1"}}),
    Write("PUT /instruments/{instrument}/hours", "keeper", {"hours": []}),
    Write("POST /instruments/{instrument}/publish", "keeper"),
    Write("POST /instruments/{instrument}/suspend", "keeper"),
    Write("POST /instruments/{instrument}/closures", "keeper", {**PERIOD, "reason": "检修"}),
    Write("DELETE /instruments/{instrument}/closures/1", "keeper"),
    Write("POST /instruments/{instrument}/special-openings", "keeper", PERIOD),
    Write("DELETE /instruments/{instrument}/special-openings/1", "keeper"),
    Write("PUT /instruments/{instrument}/terms", "keeper", {}),
    Write(
        "POST /instruments/{instrument}/qualifications",
        "keeper",
        {"organisation": "{credit_code}", "since": "2026-11-25", "until": "2027-11-24"},
    ),
    Write(
        "POST /instruments/{instrument}/qualifications/suspend",
        "keeper",
        {"organisation": "{credit_code}", "note": "未按规程操作"},
    ),
    Write(
        "POST /instruments/{instrument}/certificates",
        "keeper",
        {"certificate": "JZ-9", "since": "2026-11-25", "until": "2027-11-24"},
    ),
    Write("POST /quotas", "keeper", {"name": "每周", "measure": "hours", "amount": 40}),
    Write("DELETE /quotas/1", "keeper"),
    Write("POST /feeds", "keeper", {"label": "门户", "kind": "freebusy", "instrument": "{instrument}"}),
    Write("POST /feeds/1/revoke", "keeper"),
    Write("POST /operators", "keeper", {"name": "周工", "city": "杭州"}),
    Write("PUT /operators/{operator}/hours", "keeper", {"hours": []}),
    Write("POST /operators/{operator}/absences", "keeper", {**PERIOD, "reason": "年假"}),
    Write(
        "PUT /operators/{operator}/skills/{instrument}",
        "keeper",
        {"since": "2027-01-01", "until": "2027-12-31"},
    ),
    Write("DELETE /operators/{operator}/skills/{instrument}", "keeper"),
    Write("POST /instruments/{instrument}/calendars/1/poll", "keeper", {}),
    Write("DELETE /instruments/{instrument}/calendars/1", "keeper"),
    Write("POST /instruments/{instrument}/maintenance", "keeper", PERIOD),
    Write("DELETE /instruments/{instrument}/maintenance/1", "keeper"),
    Write("POST /bookings/quote", FIRM, {**PERIOD, "instrument": "{instrument}"}),
    Write("POST /bookings", FIRM, {**PERIOD, "instrument": "{instrument}", "title": "观察"}),
    Write("POST /bookings/hold", FIRM, {**PERIOD, "instrument": "{instrument}", "title": "观察"}),
    Write("POST /bookings/{booking}/place", FIRM),
    Write("POST /bookings/{booking}/cancel", FIRM),
    Write("POST /bookings/{booking}/move/quote", FIRM, PERIOD),
    Write("POST /bookings/{booking}/move", FIRM, PERIOD),
    Write("POST /bookings/{booking}/move/undo", FIRM),
    Write("POST /bookings/{booking}/counter-offer", "keeper", {**PERIOD, "note": "检修"}),
    Write("POST /bookings/{booking}/counter-offer/accept", FIRM),
    Write("POST /bookings/{booking}/counter-offer/refuse", FIRM),
    Write("POST /bookings/{booking}/release-rest", FIRM),
    Write("POST /instruments/{instrument}/outages/preview", "keeper", PERIOD),
    Write("POST /instruments/{instrument}/outages", "keeper", {**PERIOD, "reason": "真空泵故障"}),
    Write("POST /outages/{outage}/end", "keeper"),
    Write("POST /bookings/{booking}/reword", FIRM, {"title": "失效分析"}),
    Write("PUT /calendar-mails", FIRM, {"wanted": False}),
    Write("POST /swaps/quote", FIRM, {"booking": "{wished}", "at": LATER}),
    Write("POST /swaps", FIRM, {"booking": "{wished}", "at": LATER, "price": {"yuan": "960"}}),
    Write("POST /swaps/{swap}/accept", FIRM, {"price": {"yuan": "960"}}),
    Write("POST /swaps/{swap}/end", FIRM),
    Write("POST /series/quote", FIRM, {**WEEKLY, "instrument": "{instrument}"}),
    Write("POST /series", FIRM, {**WEEKLY, "instrument": "{instrument}", "title": "每周观察"}),
    Write("POST /series/{series}/confirm", "keeper"),
    Write("POST /series/{series}/decline", "keeper", {"note": "检修"}),
    Write("POST /series/{series}/cancel-from", FIRM, {"booking": "{repeated}"}),
    Write("POST /waitlist", FIRM, WAIT),
    Write(
        "POST /messages/seen",
        f"{FIRM} leader grader lab_owner operator auditor finance finance_approver office planner",
    ),
    Write("POST /waitlist/1/accept", FIRM),
    Write("POST /waitlist/1/refuse", FIRM),
    Write("POST /waitlist/1/withdraw", FIRM),
    Write("POST /bookings/{booking}/confirm", "keeper"),
    Write("POST /bookings/{booking}/decline", "keeper", {"note": "检修"}),
    Write("POST /bookings/{booking}/no-show", "keeper"),
    Write("POST /bookings/{booking}/session/start", "keeper", {}),
    Write("POST /bookings/{booking}/session/finish", "keeper", {}),
    Write(
        "POST /bookings/{booking}/readings",
        "keeper",
        {"started_at": PERIOD["starts_at"], "ended_at": PERIOD["ends_at"]},
    ),
    Write("PUT /instruments/{instrument}/charge-terms", "keeper", {"clock": "metered"}),
    Write("PUT /instruments/{instrument}/payment-terms", "keeper", {"collect": "before"}),
    Write("PUT /conduct/rule", "keeper", {}),
    Write("POST /bookings/{booking}/violations", "keeper", {"kind": "other", "note": "未清理"}),
    Write("POST /conduct/violations/1/appeal", FIRM, {"note": "属误记"}),
    Write("POST /conduct/violations/1/decide", "keeper", {"lift": True, "note": "属误记"}),
    Write("POST /disputes", FIRM, {"booking": "{booking}", "used_s": 60, "reason": "多计"}),
    Write("POST /disputes/{dispute}/answer", "keeper lab_owner", {"note": "属实", "counted_s": 60}),
    Write("POST /disputes/{dispute}/decide", "keeper lab_owner approver", {"note": "属实"}),
    Write("POST /disputes/{dispute}/appeal", FIRM, {"note": "不服"}),
    Write("POST /disputes/{dispute}/withdraw", FIRM),
    Write("POST /engagements", FIRM, ENGAGEMENT),
    Write("POST /engagements/{engagement}/quote", "keeper", PLAN),
    Write("POST /engagements/{engagement}/accept", FIRM, {"version": 1, "price": {"yuan": "1"}}),
    Write("POST /engagements/{engagement}/refuse", FIRM, {"note": "太贵"}),
    Write("POST /engagements/{engagement}/decline", "keeper", {"note": "无设备"}),
    Write("POST /engagements/{engagement}/cancel", FIRM, {}),
    Write("POST /engagements/{engagement}/stop", f"{FIRM} keeper", {"note": "方向调整"}),
    Write("POST /engagements/{engagement}/milestones/1/return", FIRM, {"note": "缺数据"}),
    Write("POST /engagements/{engagement}/milestones/1/accept", FIRM),
    Write(
        "POST /engagements/{engagement}/milestones/2/rule", "approver", {"note": "部分符合", "amount": {"yuan": "1"}}
    ),
    Write("POST /engagements/{engagement}/milestones/1/dispute", f"{FIRM} keeper", {"note": "已按约交付"}),
    Write("POST /samples", FIRM, SAMPLES),
    Write("POST /samples/{sample}/answer", "keeper", {"feasibility": "can"}),
    Write("POST /samples/{sample}/quote", "keeper", {"unit": "test", "unit_price": {"yuan": "9"}, "quantity": 1}),
    Write("POST /samples/{sample}/accept", FIRM, {"price": {"yuan": "600"}}),
    Write("POST /samples/{sample}/cancel", FIRM, {}),
    Write("POST /samples/{sample}/samples/1", "keeper", {"act": "receive"}),
    Write("POST /samples/{sample}/resend", FIRM, {}),
    Write("POST /samples/{sample}/queue", "keeper"),
    Write("POST /samples/{sample}/start", "keeper"),
    Write("POST /samples/{sample}/review", "keeper"),
    Write("POST /samples/{sample}/send-back", "keeper", {"note": "单位有误"}),
    Write("POST /samples/{sample}/issue", "keeper"),
    Write("POST /samples/{sample}/retest", FIRM, {"note": "偏差过大"}),
    Write("POST /samples/{sample}/bill", f"{FIRM} keeper"),
    Write("POST /ratings", FIRM, {"booking": "{booking}", "stars": 5}),
    Write("POST /ratings/1/answer", "keeper", {"answer": "谢谢"}),
    Write("POST /benches", "keeper", {"instrument": "{instrument}"}),
    Write("POST /benches/{bench}/check-in", FIRM),
    Write("POST /benches/{bench}/check-out", FIRM),
    Write(
        "POST /jobs/quote",
        FIRM,
        {"cluster": "{cluster}", "partition": "gpu", "cards": 1, "time_limit_s": 60, "script": "#!/bin/bash\n"},
    ),
    Write(
        "POST /jobs",
        FIRM,
        {
            "cluster": "{cluster}",
            "partition": "gpu",
            "cards": 1,
            "time_limit_s": 60,
            "script": "#!/bin/bash\n",
            "title": "试算",
        },
    ),
    Write("POST /jobs/{job}/cancel", FIRM),
    Write("POST /jobs/{job}/tasks/0/cancel", FIRM),
    Write(
        "POST /jobs/directives",
        FIRM,
        {"cluster": "{cluster}", "partition": "gpu", "time_limit_s": 60, "script": "#!/bin/bash\n#SBATCH -n 2\n"},
    ),
    Write("POST /job-templates", f"{FIRM} operator", {"document": catalogue.document("counted")}),
    Write("POST /job-templates/{job-template}/publish", "operator", {"version": 1}),
    Write("POST /job-templates/{job-template}/render", f"{FIRM} operator", {"values": {}}),
    Write("POST /job-templates/{job-template}/withdraw", "operator", {"version": 1}),
    Write("POST /jobs/choices", FIRM, {"cards": 1, "time_limit_s": 60}),
    Write("POST /job-files", FIRM, {"name": "data.bin", "size": 6}),
    Write("DELETE /job-files/{job-file}", FIRM),
    Write("POST /job-secrets", FIRM, {"name": "token", "value": "x"}),
    Write("DELETE /job-secrets/{job-secret}", "researcher"),
    Write(
        "POST /allocations",
        "officer operator",
        {
            "name": "四季度算力",
            "credit_code": "{firm_code}",
            "card_hours": 100,
            "cluster": "{cluster}",
            "partition": "gpu",
            "period": PERIOD,
        },
    ),
    Write("PUT /allocations/{allocation}", "operator", {"cards": 4, "until": zoned(make.slot(days=60).start)}),
    Write("POST /allocations/{allocation}/end", "operator"),
    Write("PUT /clusters/{cluster}/limits", "operator", {"mode": "off"}),
    Write("POST /clusters/{cluster}/limits/apply", "operator"),
    Write("POST /clusters/{cluster}/accounts", "operator", {"credit_code": "{firm_code}"}),
    Write("PUT /clusters/{cluster}/incidents/1/note", "operator", {"note": "交换机重启"}),
    Write("POST /clusters/{cluster}/jobs/{job}/act", "operator", {"act": "retry"}),
    Write("POST /clusters/{cluster}/orphans/1/take-off", "operator"),
    Write("POST /compute/quarantine/1/propose", "operator", {"count": 1, "reason": "集群漏记了卡数"}),
    Write("POST /compute/quarantine/1/approve", "operator"),
    Write("POST /compute/quarantine/1/reject", "operator"),
    Write("POST /clusters/{cluster}/credentials/test", "operator"),
    Write("POST /clusters/{cluster}/rotation", "operator", {"new_key": "2027-a"}),
    Write("POST /clusters/{cluster}/rotation/steps", "operator", {"step": "created"}),
    Write("POST /clusters/{cluster}/maintenance", "operator", {**PERIOD, "reason": "更换交换机"}),
    Write("POST /clusters/{cluster}/maintenance/1/finish", "operator"),
    Write("POST /clusters/{cluster}/maintenance/1/call-off", "operator"),
    Write(
        "PUT /clusters/{cluster}/partitions/1",
        "operator",
        {"max_cards": 1, "max_cpus": 8, "max_memory_mb": 16000, "max_time_s": 3600, "is_open": False},
    ),
    Write("POST /clusters/{cluster}/partitions/1/prices", "operator", {"amount": {"yuan": "8.00"}}),
    *BEAM_WRITES,
)


@dataclass(frozen=True)
class Things:
    """One of everything, by the placeholder that stands for it, and a caller of every role."""

    numbers: dict[str, str]
    callers: dict[str, Caller]

    def fill(self, text: str) -> str:
        for name, number in self.numbers.items():
            text = text.replace(f"{{{name}}}", number)
        return text

    def attempt(self, role: str, write: Write) -> Answer:
        method, path = self.fill(write.operation).split()
        body = json.loads(self.fill(json.dumps(write.body)))
        caller = self.callers[role]
        if method == "DELETE":
            return caller.delete(path)
        if method == "PUT":
            return caller.put(path, body)
        return caller.post(path, body, key=f"role-{role}-key")


ROLES = (
    *("officer", "publisher", "reviewer", "approver", "finance", "finance_approver", "auditor", "third"),
    *("keeper", "lab_owner", "operator", "owner", "researcher", "seller"),
    *BEAM_ROLES,
)


def _operated(w: make.World, cluster: Cluster) -> None:
    """Give a cluster one of everything its operator may act on; its second partition is called 1."""
    Partition.objects.create(cluster=cluster, name="1", label="第二分区", max_cards=1)
    cluster.capabilities |= {"features": ["arrays", "tasks"], "max_array_size": 1001}
    cluster.save()
    Incident.objects.create(pk=1, cluster=cluster, kind="away", opened_at=make.NOW, closed_at=make.NOW)
    seen = {"first_seen_at": make.NOW, "last_seen_at": make.NOW, "submitted_at": make.NOW}
    OrphanJob.objects.create(pk=1, cluster=cluster, cluster_job_id="9", marker="zj" + "a" * 26, **seen)
    strange = UnmanagedRun.objects.create(
        number="U1",
        cluster=cluster,
        cluster_job_id="11",
        submitted_at=make.NOW,
        account="e-1",
        state="succeeded",
        raw_state="COMPLETED",
        doubt="allocation_unknown",
        first_seen_at=make.NOW,
        observed_at=make.NOW,
    )
    QuarantinedRun.objects.create(pk=1, cluster=cluster, unmanaged=strange, doubt=strange.doubt, opened_at=make.NOW)
    begins = make.slot(days=9)
    window = maintenance.announce(actor=w.operator, cluster=cluster, period=begins, reason="升级", now=make.NOW)
    MaintenanceWindow.objects.filter(pk=window.pk).update(id=1)


def _objection(w: make.World) -> Objection:
    """Return an objection the world's approver had no part in."""
    approver = make.actor(w.department, make.roles.Role.APPROVER)
    version = make.programme(w, code="noticed-2026", notice={"min_working_days": 5})
    case = make.passed(w, make.application(w, version, number="HT-3"))
    make.passed(w, case, by=approver)
    notice = notices.draft(actor=w.reviewer, version=version, now=make.NOW)
    notices.publish(actor=approver, notice=notice, now=make.NOW)
    statement = objecting.Statement("李四", "139-0000-0000", "申报材料与事实不符，请予核查。")
    return objecting.file(item=notice.items.get(), statement=statement, key="objection-1", now=make.NOW)


def _recovery(w: make.World, claim: RedemptionClaim) -> Recovery:
    """Return a case that is being collected, with a write-off asked for."""
    breach = recoveries.Breach(text="虚报用量", claim=claim)
    case = recoveries.open_case(actor=w.reviewer, breach=breach, now=make.NOW)
    recoveries.hear(actor=w.reviewer, recovery=case, note="属实", now=make.NOW)
    ruling = recoveries.Ruling(receivable=Money(50000), reason="属实")
    recoveries.decide(actor=w.reviewer, recovery=case, ruling=ruling, now=make.NOW)
    recoveries.confirm(actor=w.approver, recovery=case, now=make.NOW)
    return collecting.ask_write_off(actor=w.finance, recovery=case, reason="已注销", now=make.NOW)


def _waiting(w: make.World) -> None:
    """Let the enterprise wait for time, as entry 1."""
    asked = waitlist.Asked(make.instrument(w), make.slot(days=3), timedelta(hours=2), "观察")
    entry = waitlist.join(actor=w.researcher, asked=asked, now=make.NOW)
    WaitlistEntry.objects.filter(pk=entry.pk).update(id=1)


def _fapiao(w: make.World) -> str:
    """Return the number of a request for a tax invoice."""
    charge = Charge.objects.filter(state="captured").latest("pk")
    buyer = invoice_rules.Buyer(w.enterprise.name, w.enterprise.credit_code)
    return invoices.request(actor=w.owner, charge=charge, buyer=buyer, now=make.NOW).number


def _outage(w: make.World) -> str:
    """Return the number of an outage."""
    failed = make.instrument(w)
    said = displacements.Declared(make.slot(days=30), "电源故障")
    outage = displacements.declare(actor=w.keeper, resource=failed, declared=said, now=make.NOW, key="outage-1")
    return outage.number


def _violation(w: make.World, used: Booking) -> None:
    """Count a violation at a booking of the lab's, under a rule that held when it began."""
    conduct.set_rule(actor=w.keeper, thresholds=conduct_rules.Thresholds(), now=make.NOW)
    made = conduct.record_violation(
        actor=w.keeper, booking=used, kind=conduct_rules.ViolationKind.DAMAGE, note="探头破损", now=used.ends_at
    )
    Violation.objects.filter(pk=made.pk).update(id=1)


def _allocation(w: make.World, partition: Partition) -> str:
    """Return the number of a grant of computing to come."""
    period = make.slot(days=50)
    amounts = allocation_rules.Amounts(card_s=36_000, cards=None)
    wanted = allocations.Wanted("一月算力", w.enterprise, amounts, period, partition=partition)
    return allocations.grant(actor=w.operator, wanted=wanted, now=make.NOW, key="allocation-1").number


def _railed(payment: Payment) -> dict[str, str]:
    """Give a payment an attempt, a refund that failed and, as 1, a notice in quarantine, of a rail that is not set up."""
    times = {"created_at": make.NOW, "asked_by": "x"}
    row = {"payment": payment, "rail": "stripe", "method": "card", "amount_fen": 100, "expires_at": make.NOW}
    attempt = PaymentAttempt.objects.create(number="1", state="failed", **row, **times)
    refund = RefundAttempt.objects.create(
        number="B2611-1",
        attempt=attempt,
        payment=payment,
        amount_fen=1,
        state="failed",
        taken_from="due",
        key="b",
        **times,
    )
    seen = {"kind": "payment", "type": "x", "object_id": "x", "body": b"", "occurred_at": make.NOW}
    PaymentEvent.objects.create(
        pk=1, rail="stripe", provider_event_id="1", state="quarantined", received_at=make.NOW, **seen
    )
    return {"attempt": attempt.number, "refund": refund.number}


def _excess(payment: Payment) -> None:
    """Let one fen too much have come by bank for a payment, as arrival 1."""
    row = {"rail": "bank", "account": "bank:main", "arrived_at": make.NOW, "recorded_by": "x", "source": "line:1"}
    Arrival.objects.create(pk=1, payment=payment, amount_fen=1, applied_fen=0, **row)
    with connection.cursor() as cursor:  # in a new database the next arrival would be 1 as well
        cursor.execute("SELECT nextval(pg_get_serial_sequence('payment_arrival', 'id'))")
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key="arrival:line:1",
            operations=[TransferOp(arriving.in_account("bank:main"), arriving.unapplied_account(payment), 1)],
            actor="x",
            source_type="payment",
            source_id=payment.number,
        )
    )


def _dispute(w: make.World, resource: Resource) -> Dispute:
    """Return an open dispute over the time of a use."""
    used = make.measured(w, make.booking(w, resource, period=make.slot(days=3)))
    return disputes.open_dispute(actor=w.researcher, booking=used, claimed_s=60, reason="多计", now=used.ends_at)


def _unmatched(w: make.World) -> None:
    """Let a gateway report what is nobody's, and a person, as 1, say what it is."""
    rail = scripted.ScriptedRail(code="stripe")
    rail.line(BalanceKind.PAYMENT, 4_200, "pi_nobody")
    reconciliation.pull(rail=rail, during=scripted.window(), actor=w.finance, now=make.NOW)
    with override_settings(EXPLAIN_APPROVAL_FEN=1):
        said = explaining.explain(
            actor=w.finance,
            rail="stripe",
            day=make.NOW.date(),
            entry="payment:pi_nobody",
            kind=ExplanationKind.MANUAL,
            reason="x",
            now=make.NOW,
        )
    EntryExplanation.objects.filter(pk=said.pk).update(id=1)


def _statement(w: make.World) -> None:
    """Take a bank statement of two lines: money of nobody, and a fee somebody has to confirm."""
    upload = Upload("a.csv", csv_file([row("A1", "10.00", name="某公司"), row("A2", "-5.00", name="", memo="手续费")]))
    account = importing.main_account(now=make.NOW)
    importing.import_file(actor=w.finance, account=account, upload=upload, now=make.NOW)
    StatementLine.objects.filter(reference="A1").update(id=1)
    known = BankClaim.objects.order_by("pk").first()
    if known is None:
        # Numbered by the sequence first, so that a later one does not meet it.
        known = BankClaim.objects.create(reference="M1", subject="in:P2611-000001", claimed_at=make.NOW)
    BankClaim.objects.filter(pk=known.pk).update(id=1)
    fee = StatementLine.objects.select_related("account").get(reference="A2")
    with override_settings(BANK_TWO_PERSON_FEN=1):
        parts = [Part(PartKind.FEE, 500)]
        made = banking.match(actor=Actor.system("bank-matching"), line=fee, parts=parts, now=make.NOW)
    with transaction.atomic():  # the reference is checked at the end
        BankMatch.objects.filter(pk=made.pk).update(id=1)
        MatchPart.objects.filter(match_id=made.pk).update(match_id=1)


def _past_one() -> None:
    """Let every sequence start past 1: that number is for the things the writes name by it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname || '.' || sequencename FROM pg_sequences WHERE coalesce(last_value, 1) < 1000"
        )
        for (name,) in cursor.fetchall():
            cursor.execute("SELECT setval(%s, 1000)", [name])


def everything(w: make.World) -> Things:
    """Build one of everything, each in a state in which something can still be done with it."""
    _past_one()
    version = make.programme(w)
    voucher, resource, partition = make.voucher(w, version), make.instrument(w), make.partition(w)
    calendars.import_calendar(actor=w.keeper, resource=resource, name="组内", raw=calendar(), now=make.NOW)
    CalendarImport.objects.all().delete()
    ExternalCalendar.objects.update(id=1)
    used = make.measured(w, make.booking(w, resource, pay_with=voucher))
    swap = make.swap(w, make.instrument(w))
    repeated = make.booked_series(w, make.instrument(w))
    _violation(w, used)
    _waiting(w)
    rated = ratings.rate_booking(actor=w.researcher, booking=used, stars=5, comment="", now=make.NOW)
    Rating.objects.filter(pk=rated.pk).update(id=1)
    sampled = make.instrument(w, modes=("self", "sample"))
    served = make.instrument(w, modes=("self", "technical"))
    engagement = make.planned(w, make.engagement(w, served))
    make.delivered(w, engagement)
    make.disputed(w, engagement, 2)
    closed = deviations.close(actor=w.keeper, resource=resource, period=make.slot(days=20), reason="检修", now=make.NOW)
    Closure.objects.filter(pk=closed.pk).update(id=1)
    person = make.operator(w, resource)
    special = Special(make.slot(days=21, start="22:00", end="23:00"), Audience.EVERYBODY)
    opened = deviations.open_specially(actor=w.keeper, resource=resource, special=special, reason="加开", now=make.NOW)
    SpecialOpening.objects.filter(pk=opened.pk).update(id=1)
    feed = feeds.Wanted(label="门户", kind=FeedKind.FREEBUSY, privacy=FeedPrivacy.BUSY, resource=resource)
    token, _secret = feeds.issue(actor=w.keeper, wanted=feed, now=make.NOW)
    FeedToken.objects.filter(pk=token.pk).update(id=1)
    limit = quota_rules.Limit("每月", quota_rules.Measure.HOURS, 700 * 3600, quota_rules.Span.MONTH)
    rule = quotas.add_rule(actor=w.keeper, limit=limit, instruments=[], now=make.NOW)
    QuotaRule.objects.filter(pk=rule.pk).update(id=1)
    flag = flags.raise_flag(
        subject="application:A-1",
        pattern=Pattern.BACKDATED,
        facts={"said": "", "params": {}, "rows": []},
        organisations=[w.enterprise.pk],
        department_id=w.department.pk,
        now=make.NOW,
    )
    Flag.objects.filter(pk=flag.pk).update(id=1)
    draft = drafts.start(actor=w.officer, origin=version, now=make.NOW)
    document = {**draft.document, "floor": 1}
    ProgrammeDraft.objects.filter(pk=draft.pk).update(id=1, document=document)
    objection = _objection(w)
    unknown = make.organisation(make.roles.Kind.ENTERPRISE)
    kept = assigning.recuse(actor=w.reviewer, application=None, organisation=unknown, reason="亲属", now=make.NOW)
    Recusal.objects.filter(pk=kept.pk).update(id=1)
    _statement(w)
    _excess(Payment.objects.get())
    _unmatched(w)
    closing.propose_year(actor=w.finance, fiscal_year=2025, now=make.NOW)
    fixed = workday_rules.Day(date(2027, 2, 1), is_working=True)
    workdays.set_days(actor=w.publisher, days=[fixed], source="国办通知", now=make.NOW)
    CalendarDay.objects.update(id=1)
    back = make.voucher(w, claims.reimbursing(w, audit={"sample_rate": "1"}), number="HT-4")
    claim = deciding.check(actor=w.reviewer, claim=claims.filed(w, back), now=make.NOW)
    paid = claims.approved(w, claims.filed(w, make.voucher(w, claims.reimbursing(w), number="HT-5")))
    researcher, offer = Caller(w.researcher), goods.offer(w)
    _operated(w, partition.cluster)
    job = {"cluster": partition.cluster.code, "partition": "gpu", "cards": 1, "time_limit_s": 60, "title": "试算"}
    captured = Charge.objects.filter(state="captured").latest("pk")
    asked = proposing.propose_refund(
        actor=make.actor(w.lab, make.roles.Role.LAB_MANAGER),
        charge=captured,
        amount=Money(1),
        grounds=refunding.Grounds("测试失败"),
        now=make.NOW,
        key="proposal-1",
    )
    numbers = {
        "charge-proposal": asked.number,
        "programme": version.programme.code,
        "application": make.application(w, version, number="HT-2").number,
        "round": make.round_of(w, make.programme(w, code="rounds-2026", order="ranked")).number,
        "notice": objection.item.notice.number,
        "objection": objection.number,
        "claim": claim.number,
        "voucher": voucher.number,
        "charge": captured.number,
        "claim_voucher": back.number,
        "paid_claim": paid.number,
        "recovery": _recovery(w, paid).number,
        "payment": Payment.objects.get().number,
        "account": accounts.proposed(w.lab).reference,
        **_railed(Payment.objects.get()),
        "fapiao": _fapiao(w),
        "batch": settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW).number,
        "instrument": resource.number,
        "booking": make.booking(w, resource, period=make.slot(days=2)).number,
        "swap": swap.number,
        "wished": swap.other.number,
        "series": repeated.number,
        "repeated": repeated.bookings.order_by("planned_at")[0].number,
        "sampled": sampled.number,
        "sample": make.quoted(w, make.sample_order(w, sampled)).number,
        "operator": person.number,
        "served": served.number,
        "engagement": engagement.number,
        "bench": benches.renew(actor=w.keeper, resource=resource, now=make.NOW),
        "outage": _outage(w),
        "cluster": partition.cluster.code,
        "job-template": catalogue.published(w.operator, "echo-words").template.code,
        "job": researcher.post("/jobs", {**job, "script": "#!/bin/bash\n", "array": "0-1"}, key="job-key-1").body[
            "number"
        ],
        "job-file": researcher.post("/job-files", {"name": "a.bin", "size": 6}, key="file-key-1").body["number"],
        "job-secret": researcher.post("/job-secrets", {"name": "token", "value": "x"}).body["number"],
        "offer": offer.number,
        "order": goods.order(w, offer, pay_with=goods.voucher(w)).number,
        "dispute": _dispute(w, resource).number,
        "credit_code": w.lab.credit_code,
        "firm_code": w.enterprise.credit_code,
        "allocation": _allocation(w, partition),
    }
    case = ordered.case(w)
    numbers |= {"payment-order": case.order.number, "discrepancie": case.number}
    site = beam.site()
    numbers |= beam_things(site)
    staff = {role: Caller(site.graders[1] if role == "grader" else getattr(site, role)) for role in BEAM_ROLES}
    return Things(numbers, {role: Caller(getattr(w, role)) for role in ROLES if role not in staff} | staff)
