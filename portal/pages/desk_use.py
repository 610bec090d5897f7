"""What waits for a person after a use: disputes to answer, decide or take further, and appeals against violations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor
from portal.pages.desk_task import SHOWN, Task
from portal.pages.templatetags.show import bilingual
from scheduler.conduct import access as conduct
from scheduler.conduct.rules import ViolationState
from scheduler.disputes import access as disputes
from scheduler.disputes.models import Dispute
from scheduler.disputes.rules import DisputeState

__all__ = ["appeals_to_answer", "disputes_of_the_lab", "disputes_to_rule", "disputes_upheld"]

S = DisputeState


def _task(what: str, row: Dispute) -> Task:
    which = f"{row.number} {bilingual(row.booking.resource)}"
    return Task(what, which, reverse("dispute", args=[row.number]), since=row.opened_at, by=row.due_at)


def disputes_of_the_lab(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Yield disputes the lab has to answer, and those somebody else of it has answered. One query."""
    if not disputes.serves(actor):
        return
    mine = Q(state=S.ANSWERED.value) & ~Q(answered_by_id=actor.user_id)
    rows = disputes.visible_to(actor).filter(Q(state=S.OPEN.value) | mine).order_by("opened_at", "pk")
    for row in rows[:SHOWN]:
        yield _task(gettext("答复计时异议") if row.state == S.OPEN.value else gettext("裁定计时异议"), row)


def disputes_to_rule(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield disputes the department was asked about, and those the lab has not answered in time. One query."""
    late = Q(state=S.OPEN.value, due_at__lte=now)
    rows = disputes.visible_to(actor).filter(Q(state=S.APPEALED.value) | late).order_by("opened_at", "pk")
    for row in rows[:SHOWN]:
        yield _task(gettext("裁定计时异议"), row)


def disputes_upheld(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield one's disputes in which the lab upheld its charge and the department may still be asked. One query."""
    rows = disputes.visible_to(actor).filter(state=S.UPHELD.value, due_at__gt=now).order_by("due_at", "pk")
    for row in rows[:SHOWN]:
        yield _task(gettext("异议被维持收费，可请主管部门裁定"), row)


def appeals_to_answer(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Yield appeals against violations the lab counted. One query."""
    rows = conduct.visible_to(actor).filter(owner_id=actor.organisation_id, state=ViolationState.APPEALED.value)
    for row in rows.order_by("at", "pk")[:SHOWN]:
        which = f"{row.booking.number} {bilingual(row.organisation)}"
        yield Task(gettext("答复违约申诉"), which, f"{reverse('conduct')}?tab=appealed", since=row.at)
