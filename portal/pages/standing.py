"""Where an application stands in its round and in a public notice, as its applicant reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual, day_text
from vouchers.issuance import queries
from vouchers.issuance.models import Application
from vouchers.issuance.rules import BEIJING, ApplicationState
from vouchers.notices.models import NoticeItem
from vouchers.notices.rules import NoticeState
from vouchers.rounds.models import Round, RoundAward
from vouchers.rounds.rules import RoundState

__all__ = ["Standing", "holding", "standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One sentence, the page that shows more, and what that page is."""

    text: str
    url: str
    which: str


def standing(application: Application) -> list[Standing]:
    """Say what a decided round gave the application and why, and which notice shows it. Two queries."""
    found = []
    award = RoundAward.objects.filter(application=application, is_final=True).select_related("round").first()
    if award is not None:
        found.append(Standing(_given(award), reverse("round", args=[award.round.number]), award.round.number))
    shown = (NoticeState.PUBLISHED.value, NoticeState.CLOSED.value)
    item = NoticeItem.objects.filter(application=application, notice__state__in=shown).select_related("notice").last()
    if item is not None and item.notice.last_day is not None:
        text = gettext("公示至 %(day)s：%(state)s。") % {
            "day": day_text(item.notice.last_day),
            "state": label_of("notice_item", item.state)[1],
        }
        found.append(Standing(text, reverse("notice", args=[item.notice.number]), item.notice.number))
    return found


def _given(award: RoundAward) -> str:
    params = {
        "serial": award.round.serial,
        "place": award.place,
        "outcome": label_of("award", award.outcome)[1],
        "amount": Money(award.amount_fen),
        "why": label_of("award_why", award.why)[1],
    }
    if award.is_undrawn:
        if award.round.seed_revealed_at is None:
            return gettext("第 %(serial)s 批抽签：未抽中。") % params
        return (
            gettext("第 %(serial)s 批抽签：未抽中，签号排第 %(place)s。抽签的秘密值和全部签号已公布，可自行复算：")
            % params
        )
    if not award.amount_fen:
        return gettext("第 %(serial)s 批，次序 %(place)s：%(outcome)s。%(why)s。") % params
    return gettext("第 %(serial)s 批，次序 %(place)s：%(outcome)s %(amount)s。%(why)s。") % params


def holding(application: Application, *, now: datetime) -> str:
    """Say who holds the case now, for what, and until when; empty where nobody does any more."""
    state = ApplicationState(application.state)
    department = bilingual(application.version.programme.department)
    if state is ApplicationState.REVIEW:
        stage = gettext(queries.stage_name(application))
        who = bilingual(application.desk) if application.desk else department
        said = gettext("现在由 %(who)s 办理“%(stage)s”") % {"who": who, "stage": stage}
    elif state is ApplicationState.WAITING:
        said = _awaiting_round(application, department)
    else:
        said = _HOLDING.get(state, "") and gettext(_HOLDING[state]) % {"who": department}
    if not said:
        return ""
    if application.due_at is not None:
        due = {"due": _at(application.due_at)}
        is_over = application.due_at <= now
        said += gettext("，期限 %(due)s（北京时间）") % due
        said += gettext("，已超过期限") if is_over else ""
    return said + gettext("。")


def _at(moment: datetime) -> str:
    return f"{timezone.localtime(moment, BEIJING):%Y-%m-%d %H:%M}"


_HOLDING = {
    ApplicationState.DRAFT: noop("现在由本单位填写，尚未提交"),
    ApplicationState.SUPPLEMENT: noop("现在由本单位补充信息，补齐前办理时限暂停计算"),
    ApplicationState.DECIDED: noop("已审定，等待 %(who)s 公示或发放"),
    ApplicationState.NOTICED: noop("正在公示，期满无异议即发放"),
    ApplicationState.OBJECTION: noop("公示中有人提出异议，现在由 %(who)s 核查"),
    ApplicationState.APPEAL: noop("申诉已提交，现在由 %(who)s 没有办过本申请的人员处理"),
    ApplicationState.GRANTED: noop("已批准，等待 %(who)s 拨付"),
}


def _awaiting_round(application: Application, department: str) -> str:
    """Say which round decides; it is the one that takes applications, or has just closed. One query."""
    undecided = (RoundState.OPEN.value, RoundState.CLOSED.value, RoundState.DECIDING.value)
    found = Round.objects.filter(version_id=application.version_id, state__in=undecided).order_by("-pk").first()
    if found is None:
        return gettext("审核已完成，等待 %(who)s 分批确定") % {"who": department}
    said = gettext("审核已完成，等待 %(who)s 确定第 %(serial)s 批") % {"who": department, "serial": found.serial}
    if found.closes_at is not None:
        said += gettext("；本批受理到 %(ends)s（北京时间）") % {"ends": _at(found.closes_at)}
    return said
