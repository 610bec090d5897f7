"""States of applications, and who may decide. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, Refused, noop
from portal.kernel.workdays import Workdays

__all__ = [
    "CLOSED",
    "COUNTED",
    "TRANSITIONS",
    "AmountRaised",
    "ApplicationAction",
    "ApplicationState",
    "MovedOn",
    "NotOpen",
    "SamePerson",
]

_ = noop

BEIJING = ZoneInfo("Asia/Shanghai")


class ApplicationState(StrEnum):
    """Where a case stands. `review` says at which stage by `Application.stage`; see `workflow`."""

    DRAFT = "draft"
    SUPPLEMENT = "supplement"
    REVIEW = "review"
    WAITING = "waiting"
    DECIDED = "decided"
    NOTICED = "noticed"
    OBJECTION = "objection"
    GRANTED = "granted"
    ISSUED = "issued"
    PAID = "paid"
    REFUSED = "refused"
    APPEAL = "appeal"
    WITHDRAWN = "withdrawn"


class ApplicationAction(StrEnum):
    SUBMIT = "submit"
    ASK = "ask"
    """The rules lack facts: the applicant is asked for them."""
    COMPLETE = "complete"
    PASS = "pass"  # noqa: S105  no secret
    """One person passes a stage; with the quorum, the case goes on to the next."""
    SEND_BACK = "send_back"
    RETURN = "return"
    REFUSE = "refuse"
    AWAIT = "await"
    """The last stage is passed; the award order is a batch's, or the pool is short and queued for."""
    CONCLUDE = "conclude"
    """The amount is final."""
    NOTICE = "notice"
    OBJECT = "object"
    DISMISS = "dismiss"
    UPHOLD = "uphold"
    REOPEN = "reopen"
    """An objection is right, and the case is reviewed anew."""
    GRANT = "grant"
    ISSUE = "issue"
    PAY = "pay"
    LAPSE = "lapse"
    WITHDRAW = "withdraw"
    DENY = "deny"
    """The payment of a granted award is refused; nobody withdraws what is granted."""
    APPEAL = "appeal"
    ADMIT = "admit"
    RESUME = "resume"
    """The applicant has answered what was asked inside an appeal, or the time to do so is over: it waits to be decided."""


S, A = ApplicationState, ApplicationAction

TRANSITIONS: Final[Mapping[tuple[ApplicationState, ApplicationAction], ApplicationState]] = MappingProxyType(
    {
        (S.DRAFT, A.SUBMIT): S.REVIEW,
        (S.DRAFT, A.ASK): S.SUPPLEMENT,
        (S.DRAFT, A.WITHDRAW): S.WITHDRAWN,
        (S.SUPPLEMENT, A.COMPLETE): S.REVIEW,
        (S.SUPPLEMENT, A.LAPSE): S.WITHDRAWN,
        (S.SUPPLEMENT, A.WITHDRAW): S.WITHDRAWN,
        (S.REVIEW, A.PASS): S.REVIEW,
        (S.REVIEW, A.SEND_BACK): S.REVIEW,
        (S.REVIEW, A.RETURN): S.SUPPLEMENT,
        (S.REVIEW, A.REFUSE): S.REFUSED,
        (S.REVIEW, A.AWAIT): S.WAITING,
        (S.REVIEW, A.CONCLUDE): S.DECIDED,
        (S.REVIEW, A.WITHDRAW): S.WITHDRAWN,
        (S.WAITING, A.CONCLUDE): S.DECIDED,
        (S.WAITING, A.REFUSE): S.REFUSED,
        (S.WAITING, A.WITHDRAW): S.WITHDRAWN,
        (S.DECIDED, A.NOTICE): S.NOTICED,
        (S.DECIDED, A.GRANT): S.GRANTED,
        (S.DECIDED, A.WITHDRAW): S.WITHDRAWN,
        (S.NOTICED, A.OBJECT): S.OBJECTION,
        (S.NOTICED, A.GRANT): S.GRANTED,
        (S.NOTICED, A.APPEAL): S.APPEAL,
        (S.NOTICED, A.WITHDRAW): S.WITHDRAWN,
        (S.OBJECTION, A.DISMISS): S.NOTICED,
        (S.OBJECTION, A.UPHOLD): S.REFUSED,
        (S.OBJECTION, A.REOPEN): S.REVIEW,
        (S.OBJECTION, A.WITHDRAW): S.WITHDRAWN,
        (S.GRANTED, A.ISSUE): S.ISSUED,
        (S.GRANTED, A.PAY): S.PAID,
        (S.GRANTED, A.DENY): S.WITHDRAWN,
        (S.REFUSED, A.APPEAL): S.APPEAL,
        (S.APPEAL, A.ADMIT): S.REVIEW,
        (S.APPEAL, A.ASK): S.SUPPLEMENT,
        (S.APPEAL, A.RETURN): S.SUPPLEMENT,
        (S.SUPPLEMENT, A.RESUME): S.APPEAL,
        (S.APPEAL, A.REFUSE): S.REFUSED,
        (S.APPEAL, A.WITHDRAW): S.WITHDRAWN,
    }
)
"""Source: the steps found in the published processes (武汉市资金管理办法 2025; 青岛市 2024 年度申报指南; 上海市科技创新券):
district check, city re-check or experts, collective decision, public notice, then voucher or payment."""

COUNTED: Final = (S.REVIEW, S.WAITING, S.DECIDED, S.NOTICED, S.OBJECTION, S.GRANTED, S.ISSUED, S.PAID)
"""States whose amount counts against caps: reserved, issued or paid, or waiting for a batch to be decided."""
CLOSED: Final = (S.ISSUED, S.PAID, S.REFUSED, S.WITHDRAWN)


class SamePerson(Forbidden):
    code = "application.same_person"
    message = _("同一份申请的申请人和各环节办理人须为不同的人。请由其他同事办理。")


class MovedOn(Conflict):
    code = "application.moved_on"
    message = _("这份申请刚被其他人办理，或已不在您看到的环节。请刷新页面，查看最新状态。")


class HasInterest(Forbidden):
    code = "application.has_interest"
    message = _("您与这份申请的一方有利害关系（%(why)s），须回避。请由其他同事办理。")


class NotAssigned(Forbidden):
    code = "application.not_assigned"
    message = _("这份申请在本环节已随机分配给其他同事。如其不能办理，请由审批人员改派。")


class NobodyLeft(Conflict):
    code = "application.nobody_left"
    message = _("没有其他可以办理这份申请的人员。请先由单位管理员增加相应角色的成员。")


class ScoreMissing(Invalid):
    code = "application.score"
    message = _("请给出 0 到 100 的整数评分。")


class DeadlinePassed(Conflict):
    code = "application.deadline_passed"
    message = _(
        "本批申请已于 %(deadline)s（北京时间）截止，您的提交在 %(received)s 到达，没有受理。请留意下一批申报通知。"
    )


class NeedsApplication(Conflict):
    code = "application.needs_application"
    message = _("该政策不是免申即享，须由企业自行申请。")


class NotYetOpen(Conflict):
    code = "application.not_yet_open"
    message = _("本批申请从 %(opens)s（北京时间）开始受理，请届时再提交。")


class SupplementLate(Conflict):
    code = "application.supplement_late"
    message = _("补充期限已于 %(deadline)s（北京时间）届满，这份申请按撤回处理。如仍需申请，请重新提交。")


class UndertakingMissing(Conflict):
    code = "application.undertaking"
    message = _("请先阅读并签署真实性承诺；签署后又改过内容的，须重新签署。")


class DraftIncomplete(Conflict):
    code = "application.incomplete"
    message = _("申请还没有填完，请先填写合同。")


class AppealClosed(Conflict):
    code = "application.appeal_closed"
    message = _("申诉期限已于 %(deadline)s（北京时间）届满。对结果仍有异议的，可依法申请行政复议或提起行政诉讼。")


class AppealedBefore(Conflict):
    code = "application.appealed_before"
    message = _("同一份申请只能申诉一次。对结果仍有异议的，可依法申请行政复议或提起行政诉讼。")


class EvidenceMissing(Refused):
    code = "application.evidence_missing"
    message = _("还缺必须的材料，原因如下。")


class AmountRaised(Invalid):
    code = "application.amount_raised"
    message = _("审定金额只能小于或等于上一环节的金额 %(limit)s，且须大于零。")


class NotOpen(Conflict):
    code = "programme.not_open"
    message = _("该政策当前不接受申请（未发布、已暂停或已被新版取代）。")


def to_the_millisecond(moment: datetime) -> datetime:
    """Return `moment` as first-come order keeps it: whole milliseconds, nothing rounded up."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def in_beijing(moment: datetime) -> str:
    """Return an instant as people in Beijing write it, to the second."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def due(calendar: Workdays, since: datetime, *, days: int) -> datetime:
    """Return the first instant after a period of working days: the midnight in Beijing that ends its last day.

    The day it begins is not counted. Source: Civil Code, Articles 201 and 203.
    """
    last = calendar.add_working_days(since.astimezone(BEIJING).date(), days)
    return datetime.combine(last + timedelta(days=1), time(), BEIJING)


def days_left(calendar: Workdays, now: datetime, *, until: datetime) -> int:
    """Return how many working days are left before `until`, today's rest not counted; at least one while it runs."""
    last = (until - timedelta(microseconds=1)).astimezone(BEIJING).date()
    return max(1, calendar.working_days_between(now.astimezone(BEIJING).date(), last))
