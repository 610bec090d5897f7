"""What waits for a person on the way from call to claw-back: drafts, rounds, appeals, notices, objections, flags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from portal.kernel.actors import Actor
from portal.pages.desk_task import SHOWN, Task
from portal.pages.templatetags.show import bilingual
from vouchers.flags import access as flags
from vouchers.flags.rules import FlagState
from vouchers.issuance import access as issuance
from vouchers.issuance.rules import ApplicationState
from vouchers.notices import access as notices
from vouchers.notices.queries import waiting_counts
from vouchers.notices.rules import NoticeState, ObjectionState
from vouchers.rounds import access as rounds
from vouchers.rounds.rules import RoundState

__all__ = [
    "appeals",
    "cases_to_notice",
    "drafts",
    "flags_to_check",
    "notices_to_publish",
    "objections_to_decide",
    "rounds_to_confirm",
    "rounds_to_propose",
]


def drafts(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Applications begun and not sent."""
    rows = issuance.own_applications(actor).filter(state=ApplicationState.DRAFT.value)
    for row in rows.order_by("-pk")[:SHOWN]:
        url = reverse("application_tasks", args=[row.number])
        yield Task(gettext("继续填写申请"), f"{row.number} {bilingual(row.version)}", url, since=row.started_at)


def rounds_to_propose(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Closed rounds without a proposal."""
    for row in rounds.own(actor).filter(state=RoundState.CLOSED.value).order_by("closes_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.version)}"
        yield Task(gettext("提出分配方案"), which, reverse("round_desk", args=[row.number]), since=row.closes_at)


def rounds_to_confirm(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Proposed rounds, for a second person."""
    rows = rounds.own(actor).filter(state=RoundState.DECIDING.value).exclude(decided_by_id=actor.user_id)
    for row in rows.order_by("proposed_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.version)}"
        yield Task(gettext("复核分配方案"), which, reverse("round_desk", args=[row.number]), since=row.proposed_at)


def cases_to_notice(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Decided cases no notice carries yet, as one line."""
    if count := sum(number for _version, _round, number in waiting_counts(actor.acting_for)):
        which = ngettext("%(count)s 份已审定申请", "%(count)s 份已审定申请", count) % {"count": count}
        yield Task(gettext("拟公示稿"), which, reverse("notices_desk"))


def notices_to_publish(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Drafted notices, for a second person."""
    rows = notices.own(actor).filter(state=NoticeState.DRAFT.value).exclude(drafted_by_id=actor.user_id)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("notice_desk", args=[row.number])
        yield Task(gettext("发布公示"), f"{row.number} {bilingual(row.version)}", url, since=row.drafted_at)


def objections_to_decide(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Objections that block an item, but not those to cases the actor had a part in."""
    rows = notices.objections(actor).filter(state=ObjectionState.OPEN.value)
    for row in rows.exclude(item__application__decisions__person_id=actor.user_id).order_by("pk")[:SHOWN]:
        which = f"{row.number} {bilingual(row.item.application.organisation)}"
        yield Task(gettext("处理异议"), which, reverse("objection_desk", args=[row.number]), since=row.filed_at)


def appeals(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Appeals against refusals."""
    rows = issuance.own_cases(actor).filter(state=ApplicationState.APPEAL.value)
    for row in rows.order_by("appealed_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.organisation)}"
        yield Task(gettext("处理申诉"), which, reverse("case", args=[row.number]), since=row.appealed_at)


def flags_to_check(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Open flags, as one line: their desk lists them."""
    rows = flags.visible_to(actor).filter(state=FlagState.OPEN.value)
    oldest = rows.order_by("raised_at").first()
    if oldest is not None:
        yield Task(gettext("核查风险提示"), str(rows.count()), reverse("flags"), since=oldest.raised_at)
