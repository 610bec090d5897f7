"""What waits for a person on the way from call to claw-back: drafts, appeals, notices, objections, flags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor
from portal.pages.desk_task import SHOWN, Task
from portal.pages.templatetags.show import bilingual
from vouchers.flags import access as flags
from vouchers.flags.rules import FlagState
from vouchers.issuance import access as issuance
from vouchers.issuance.rules import ApplicationState
from vouchers.notices import access as notices
from vouchers.notices.rules import NoticeState, ObjectionState

__all__ = [
    "appeals",
    "drafts",
    "flags_to_check",
    "notices_to_publish",
    "objections_to_decide",
]


def drafts(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Applications begun and not sent."""
    rows = issuance.own_applications(actor).filter(state=ApplicationState.DRAFT.value)
    for row in rows.order_by("-pk")[:SHOWN]:
        url = reverse("application_tasks", args=[row.number])
        yield Task(gettext("继续填写申请"), f"{row.number} {bilingual(row.version)}", url, since=row.started_at)


def notices_to_publish(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Drafted notices, for a second person."""
    rows = notices.own(actor).filter(state=NoticeState.DRAFT.value).exclude(drafted_by_id=actor.user_id)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("notice_desk", args=[row.number])
        yield Task(gettext("发布公示"), f"{row.number} {row.title}", url, since=row.drafted_at)


def objections_to_decide(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Objections that block an item."""
    rows = notices.objections(actor).filter(state=ObjectionState.OPEN.value)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("objection_desk", args=[row.number])
        yield Task(gettext("处理异议"), row.number, url, since=row.filed_at)


def appeals(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Appeals against refusals."""
    rows = issuance.cases(actor).filter(state=ApplicationState.APPEAL.value)
    for row in rows.order_by("appealed_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.organisation)}"
        yield Task(gettext("处理申诉"), which, reverse("case", args=[row.number]), since=row.appealed_at)


def flags_to_check(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Open flags, as one line: their desk lists them."""
    rows = flags.visible_to(actor).filter(state=FlagState.OPEN.value)
    oldest = rows.order_by("raised_at").first()
    if oldest is not None:
        yield Task(gettext("核查风险提示"), str(rows.count()), reverse("flags"), since=oldest.raised_at)
