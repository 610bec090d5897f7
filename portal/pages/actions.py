"""Words for the audit trail: what was done, to what, with which particulars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy

from portal.audit.models import Record
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from portal.pages.actions_of_money import MONEY_ACTIONS
from portal.pages.beam_actions import BEAM_ACTIONS, BEAM_SUBJECTS
from portal.pages.beam_words import FORMS
from portal.pages.displacing_actions import DISPLACING
from portal.pages.engagement_words import ENGAGEMENTS
from portal.pages.job_actions import JOB_ACTIONS
from portal.pages.labels import LABELS, label_of
from portal.pages.templatetags.show import duration, is_english, period_text, zone_of
from portal.pages.trail_states import state_words
from portal.pages.use_words import USE
from portal.pages.visit_actions import VISITS

__all__ = ["ACTIONS", "SUBJECTS", "Event", "action_words", "event", "events", "subject_link"]

_ = noop

ACTIONS: Final[Mapping[str, Promise]] = MappingProxyType(
    {
        **MONEY_ACTIONS,
        **BEAM_ACTIONS,
        "workdays.set": pgettext_lazy("record", "设定工作日历"),
        "workdays.removed": pgettext_lazy("record", "恢复法定工作日历"),
        "organisation.registered": pgettext_lazy("record", "登记单位"),
        "member.added": pgettext_lazy("record", "加入成员"),
        "member.changed": pgettext_lazy("record", "修改成员角色"),
        "member.left": pgettext_lazy("record", "移出成员"),
        "token.created": pgettext_lazy("record", "创建接口令牌"),
        "token.revoked": pgettext_lazy("record", "停用接口令牌"),
        "booking.held": pgettext_lazy("record", "保留时段"),
        "booking.placed": pgettext_lazy("record", "提交保留的预约"),
        "series.booked": pgettext_lazy("record", "提交预约系列"),
        "booking.requested": pgettext_lazy("record", "提交预约"),
        "booking.confirmed": pgettext_lazy("record", "确认预约"),
        "booking.declined": pgettext_lazy("record", "未接受预约"),
        "booking.cancelled": pgettext_lazy("record", "取消预约"),
        "booking.counter_offered": pgettext_lazy("record", "实验室建议其他时段"),
        "booking.counter_accepted": pgettext_lazy("record", "接受建议的时段"),
        "booking.counter_refused": pgettext_lazy("record", "婉拒建议的时段"),
        "booking.called_off": pgettext_lazy("record", "实验室取消预约，费用退回"),
        "booking.moved": pgettext_lazy("record", "改期"),
        "booking.move_undone": pgettext_lazy("record", "撤销改期"),
        **DISPLACING,
        **ENGAGEMENTS,
        **VISITS,
        "booking.reworded": pgettext_lazy("record", "修改用途"),
        "calendar_mail.sent": pgettext_lazy("record", "日历邮件已发出"),
        "calendar_mail.failed": pgettext_lazy("record", "日历邮件未能送达"),
        "calendar_mail.chosen": pgettext_lazy("record", "设置日历邮件"),
        "booking.rest_released": pgettext_lazy("record", "提前释放余下时间"),
        "booking.fee_settled": pgettext_lazy("record", "结算取消费"),
        "booking.lapsed": pgettext_lazy("record", "预约逾期失效"),
        "booking.no_show": pgettext_lazy("record", "登记未到场"),
        "sample.requested": pgettext_lazy("record", "提出送样检测"),
        "sample.needs_method": pgettext_lazy("record", "答复：需要开发方法"),
        "sample.feasible": pgettext_lazy("record", "答复：可以检测"),
        "sample.declined": pgettext_lazy("record", "答复：不能检测"),
        "sample.quoted": pgettext_lazy("record", "报价"),
        "sample.accepted": pgettext_lazy("record", "接受报价，或重新寄送样品"),
        "sample.cancelled": pgettext_lazy("record", "取消送样"),
        "sample.samples_rejected": pgettext_lazy("record", "样品全部拒收"),
        "sample.received": pgettext_lazy("record", "样品收齐"),
        "sample.queued": pgettext_lazy("record", "排队，或要求复测"),
        "sample.testing": pgettext_lazy("record", "开始检测，或退回重测"),
        "sample.drafted": pgettext_lazy("record", "起草结果"),
        "sample.reviewed": pgettext_lazy("record", "复核通过"),
        "sample.reported": pgettext_lazy("record", "签发报告"),
        "sample.billed": pgettext_lazy("record", "确认报告并结算"),
        "sample.closed": pgettext_lazy("record", "评价后完结"),
        "sample.one_receive": pgettext_lazy("record", "收下一个样品"),
        "sample.one_reject": pgettext_lazy("record", "拒收一个样品"),
        "sample.one_move": pgettext_lazy("record", "移交一个样品"),
        "sample.one_return": pgettext_lazy("record", "退回一个样品"),
        "sample.one_dispose": pgettext_lazy("record", "处置一个样品"),
        "bench.renewed": pgettext_lazy("record", "更换签到码"),
        "rating.given": pgettext_lazy("record", "评价服务"),
        "rating.answered": pgettext_lazy("record", "回复评价"),
        "instrument.entered": pgettext_lazy("record", "登记仪器"),
        "instrument.changed": pgettext_lazy("record", "修改仪器信息"),
        "instrument.published": pgettext_lazy("record", "开放仪器"),
        "instrument.suspended": pgettext_lazy("record", "暂停开放仪器"),
        "instrument.draft": pgettext_lazy("record", "仪器转为草稿"),
        "instrument.proposed": pgettext_lazy("record", "仪器提交审核"),
        "instrument.withdrawn": pgettext_lazy("record", "撤下仪器"),
        "instrument.bookings_settled": pgettext_lazy("record", "仪器撤下，处理已有预约"),
        "instrument.returned": pgettext_lazy("record", "退回仪器"),
        "operator.entered": pgettext_lazy("record", "登记操作人员"),
        "skill.granted": pgettext_lazy("record", "授予上机资格"),
        "skill.ended": pgettext_lazy("record", "终止上机资格"),
        "qualification.granted": pgettext_lazy("record", "认可自行上机"),
        "qualification.suspended": pgettext_lazy("record", "暂停自行上机"),
        "calibration.entered": pgettext_lazy("record", "登记检定或校准证书"),
        "terms.set": pgettext_lazy("record", "设定预约条件"),
        "allocation.granted": pgettext_lazy("record", "核给算力配额"),
        "allocation.changed": pgettext_lazy("record", "修改算力配额"),
        "allocation.ended": pgettext_lazy("record", "终止算力配额"),
        "limits.policy_set": pgettext_lazy("record", "设定集群上限依据"),
        "limits.account_enrolled": pgettext_lazy("record", "登记集群账户"),
        "limits.apply_asked": pgettext_lazy("record", "要求立即下发上限"),
        "limits.drift_seen": pgettext_lazy("record", "发现上限偏差"),
        "limits.drift_repaired": pgettext_lazy("record", "修复上限偏差"),
        "quota.set": pgettext_lazy("record", "设定使用限额"),
        "quota.ended": pgettext_lazy("record", "取消使用限额"),
        "catalogue.imported": pgettext_lazy("record", "导入仪器清单"),
        "instrument.file_described": pgettext_lazy("record", "修改仪器图片和文件的说明"),
        "instrument.files_arranged": pgettext_lazy("record", "调整仪器图片和文件的顺序"),
        "rate.set": pgettext_lazy("record", "设定价格"),
        "rate.ended": pgettext_lazy("record", "取消价格"),
        "hours.set": pgettext_lazy("record", "设定开放时间"),
        "outage.blocked": pgettext_lazy("record", "登记停用时间"),
        "outage.lifted": pgettext_lazy("record", "取消停用时间"),
        "closure.set": pgettext_lazy("record", "登记停用时段"),
        "closure.lifted": pgettext_lazy("record", "取消停用时段"),
        "special.set": pgettext_lazy("record", "登记特别开放"),
        "special.withdrawn": pgettext_lazy("record", "取消特别开放"),
        "availability.gaps_differed": pgettext_lazy("record", "核对空闲时间发现差异，已更正"),
        "calendar.imported": pgettext_lazy("record", "导入日历"),
        "calendar.subscribed": pgettext_lazy("record", "订阅日历"),
        "calendar.stale": pgettext_lazy("record", "日历同步失败"),
        "calendar.removed": pgettext_lazy("record", "移除日历"),
        "feed.issued": pgettext_lazy("record", "生成日历订阅"),
        "feed.revoked": pgettext_lazy("record", "作废日历订阅"),
        "template.imported": pgettext_lazy("record", "导入应用模板"),
        "template.published": pgettext_lazy("record", "发布应用模板"),
        "template.withdrawn": pgettext_lazy("record", "停用应用模板"),
        **JOB_ACTIONS,
        "run.unmanaged_seen": pgettext_lazy("record", "发现平台外运行"),
        "run.quarantined": pgettext_lazy("record", "运行不能定价，转人工处理"),
        "run.quarantine_cleared": pgettext_lazy("record", "运行已可定价"),
        "run.ruling_proposed": pgettext_lazy("record", "提出计费处理意见"),
        "run.ruling_rejected": pgettext_lazy("record", "退回计费处理意见"),
        "run.ruling_approved": pgettext_lazy("record", "复核通过计费处理意见"),
        "job.adjusted": pgettext_lazy("record", "按集群记账调整结算"),
        "job.requeue_held": pgettext_lazy("record", "重新排队，追加冻结费用"),
        "job.requeue_refused": pgettext_lazy("record", "重新排队但余额不足，取消作业"),
        "job.seen": pgettext_lazy("record", "作业状态更新"),
        "job.unknown": pgettext_lazy("record", "作业下落待核实"),
        "job.placed": pgettext_lazy("record", "作业送达集群"),
        "job.submitting": pgettext_lazy("record", "作业发送中"),
        "job.pending": pgettext_lazy("record", "作业等待重新发送"),
        "job.rejected": pgettext_lazy("record", "集群未接受作业"),
        "job.queued": pgettext_lazy("record", "作业排队"),
        "job.launch_failed": pgettext_lazy("record", "作业启动失败"),
        **USE,
    }
)
"""Every action the portal records. ``job.resolved_*`` is said by the state it names."""

SYSTEMS: Final[Mapping[str, Promise]] = MappingProxyType(
    {
        "自动处理": pgettext_lazy("actor", "自动处理"),
        "system": pgettext_lazy("actor", "自动处理"),
        "自动确认": pgettext_lazy("actor", "自动确认"),
        "支付到账": pgettext_lazy("actor", "支付到账"),
        "交换时段": pgettext_lazy("actor", "交换时段"),
        "日历邮件": pgettext_lazy("actor", "日历邮件"),
        "日历同步": pgettext_lazy("actor", "日历同步"),
    }
)
"""Who acts when nobody does (`portal.kernel.actors.Actor.system`), where the same word elsewhere means an act."""

SUBJECTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "bank_line": (_("银行流水"), "bank_line"),
        "application": (_("申请"), "application"),
        "campaign": (_("批量发放"), ""),
        "round": (_("批次"), "round_desk"),
        "notice": (_("公示"), "notice_desk"),
        "objection": (_("异议"), "objection_desk"),
        "voucher": (_("券"), "voucher"),
        "programme": (_("政策项目"), "programme"),
        "draft": (_("编制稿"), "programme_draft"),
        "payment": (_("付款"), "payment"),
        "payee_account": (_("收款账户"), "payee_account"),
        "payment-notice": (_("支付通知"), ""),
        "settlement": (_("结算批次"), "settlement"),
        "fapiao": (_("开票申请"), "fapiao"),
        "payment_order": (_("付款指令"), "payment_order"),
        "claim": (_("申领"), "claim"),
        "recovery": (_("追回案件"), "recovery"),
        "proposal": (_("退款与核销申请"), "charge_proposal"),
        "organisation": (_("单位"), ""),
        "offer": (_("服务"), "offer"),
        "order": (_("订单"), "order"),
        "booking": (_("预约"), "booking"),
        "series": (_("预约系列"), "series"),
        "sample": (_("送样检测"), "sample_order"),
        "engagement": (_("技术服务"), "engagement"),
        "milestone": (_("技术服务里程碑"), "milestone"),
        "job": (_("作业"), "job"),
        "run": (_("平台外运行"), ""),
        "quarantine": (_("待定价运行"), "quarantined_run"),
        "instrument": (_("仪器"), "instrument"),
        "template": (_("应用模板"), ""),
        "partition": (_("算力分区"), ""),
        "cluster": (_("集群"), "cluster"),
        **BEAM_SUBJECTS,
    }
)
"""What records are about: the word, and the page that shows it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record in words."""

    at: datetime
    what: str
    who: str
    details: list[str]
    subject: str
    url: str


def action_words(action: str) -> str:
    """Say what was done."""
    if action.startswith("job.resolved_"):
        return gettext("核实作业：%(state)s") % {"state": label_of("job", action.removeprefix("job.resolved_"))[1]}
    if action in ACTIONS:
        return str(ACTIONS[action])
    kind, _dot, state = action.partition(".")
    return label_of(kind, state)[1] if state in LABELS.get(kind, {}) else gettext("其他操作")


def system_words(label: str) -> str:
    """Say who acted without a person."""
    return str(SYSTEMS[label]) if label in SYSTEMS else gettext(label)


def subject_link(subject: str) -> tuple[str, str]:
    """Return a subject such as ``booking:B2611-000042`` in words, and its address; ``job:N/2`` is job N's.

    ``beam_quote:P.7`` is quote 7 of proposal P.
    """
    kind, _colon, number = subject.partition(":")
    word, url_name = SUBJECTS.get(kind, ("", ""))
    label = f"{gettext(word)} {number}".strip() if word else number
    known_as = number.rpartition(".")[2] if kind == "beam_quote" else number.partition("/")[0]
    try:
        return label, reverse(url_name, args=[known_as]) if url_name else ""
    except NoReverseMatch:
        return label, ""


def _roles(value: Any) -> str:
    return gettext("、").join(label_of("role", role)[1] for role in value) or gettext("无")


def _fen(value: Any) -> str:
    return str(Money(int(value)))


def _at(value: Any) -> datetime | None:
    """Return the moment a record keeps as text; None for what is none."""
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _moment(value: Any) -> str:
    at = _at(value)
    return f"{at.astimezone(zone_of(None)):%Y-%m-%d %H:%M}" if at else str(value)


WHY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "called off": _("实验室取消"),
        "displaced": _("仪器停机"),
        "lessened": _("部分机时不再交付，其余重新冻结"),
        "disputed": _("有异议"),
        "rejected": _("集群没有接受"),
        "replaced": _("改了时间或费用，重新冻结"),
        "resold": _("时段已由其他单位约走"),
    }
)
"""Why the platform itself released or withheld; other reasons are states, or what a person wrote."""


def _reason(value: Any) -> str:
    if value in WHY:
        return gettext(WHY[value])
    kind = next((kind for kind in ("booking", "job", "order") if value in LABELS[kind]), None)
    return label_of(kind, value)[1] if kind else str(value)


PARTICULARS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = MappingProxyType(
    {
        "amount_fen": (_("金额"), _fen),
        "total_fen": (_("合计"), _fen),
        "budget_fen": (_("预算"), _fen),
        "voucher_fen": (_("券抵扣"), _fen),
        "own_fen": (_("企业自付"), _fen),
        "released_fen": (_("释放"), _fen),
        "waived_fen": (_("超出部分免收"), _fen),
        "carried_fen": (_("结转"), _fen),
        "taken_fen": (_("追回"), _fen),
        "lapsed_fen": (_("归资金池"), _fen),
        "returned_fen": (_("收回"), _fen),
        "checked_fen": (_("核查金额"), _fen),
        "approved_fen": (_("核定金额"), _fen),
        "received_fen": (_("来款"), _fen),
        "until": (_("至"), _moment),
        "run": (_("付款批次"), str),
        "batch": (_("结算批次"), str),
        "milestone": (_("里程碑"), str),
        "voucher": (_("券"), str),
        "version": (_("版本"), str),
        "bank_reference": (_("银行流水号"), str),
        "username": (_("用户名"), str),
        "roles": (_("角色"), _roles),
        "lines": (_("行数"), str),
        "name": (_("名称"), str),
        "prefix": (_("令牌前缀"), str),
        "credit_code": (_("统一社会信用代码"), str),
        "charge": (_("费用单"), str),
        "reason": (_("原因"), _reason),
        "note": (_("说明"), str),
        "clock": (_("时钟"), lambda code: label_of("session_clock", code)[1]),
        "form": (_("表单"), lambda code: gettext(FORMS.get(code, code))),
        "violation": (_("违约"), lambda code: label_of("violation_kind", code)[1]),
        "points": (_("记分"), str),
        "duration_s": (_("时长"), duration),
    }
)
SPANS: Final = ((_("原时段"), ("was_from", "was_to")), (_("时段"), ("from", "to")))
"""What a record says of time, as the keys of its start and its end.
The particulars a reader needs, in this order. An auditor's file carries the whole record."""


def particulars(record: Record) -> Iterator[str]:
    """Yield the particulars of a record in words; amounts of nothing are left out."""
    data = record.data
    yield from state_words(record)
    for word, (first, last) in SPANS:
        start, end = _at(data.get(first)), _at(data.get(last))
        if start and end and start < end:
            span = period_text(Period(start, end), zone_of(None))
            yield gettext("%(name)s：%(value)s") % {"name": gettext(word), "value": span}
    for key, (word, say) in PARTICULARS.items():
        value = data.get(key)
        if value not in (None, "", 0, []):
            yield gettext("%(name)s：%(value)s") % {"name": gettext(word), "value": say(value)}


def events(records: Iterable[Record]) -> list[Event]:
    """Return records in words. For an English reader one query more, for the organisations' English names."""
    rows = list(records)
    ids = {row.actor_organisation_id for row in rows if row.actor_organisation_id} if is_english() else set()
    found = Organisation.objects.filter(pk__in=ids).exclude(name_en="") if ids else ()
    names = {each.pk: (each.name, each.name_en) for each in found}
    return [event(row, names.get(row.actor_organisation_id or 0)) for row in rows]


def event(record: Record, names: tuple[str, str] | None = None) -> Event:
    """Return a record in words; `names` are what its actor's organisation is called in the record and to the reader."""
    subject, url = subject_link(record.subject)
    who = record.actor_label if record.actor_user_id else system_words(record.actor_label)
    if names and who.endswith(f" · {names[0]}"):
        who = who.removesuffix(names[0]) + names[1]
    return Event(
        at=record.at,
        what=action_words(record.action),
        who=who,
        details=list(particulars(record)),
        subject=subject,
        url=url,
    )
