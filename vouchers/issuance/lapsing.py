"""Let cases lapse whose applicant did not answer in time. Run by the clock; correctness never depends on it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from vouchers.issuance import appeals, cases, queries, rules
from vouchers.issuance.models import Application

__all__ = ["lapse_overdue"]

ACTOR = Actor.system(noop("到期处理"))


def lapse_overdue(*, now: datetime, limit: int = 200) -> int:
    """Take cases as withdrawn whose days for an answer are over, and return how many. Each in its own transaction.

    What was asked inside an appeal and not answered only sends the appeal back to be decided on what is there.
    """
    due = Application.objects.filter(state=rules.ApplicationState.SUPPLEMENT.value, due_at__lte=now).order_by("pk")
    return sum(_lapse(application, now=now) for application in due[:limit])


@transaction.atomic
def _lapse(application: Application, *, now: datetime) -> int:
    locked = queries.locked(application)
    if locked.state != rules.ApplicationState.SUPPLEMENT.value or locked.due_at is None or locked.due_at > now:
        return 0
    if appeals.is_asked(locked):
        appeals.resume(locked, action="application.appeal_unanswered", actor=ACTOR, now=now)
        return 1
    cases.move(locked, rules.ApplicationAction.LAPSE)
    cases.leave_stages(locked)
    locked.decided_at = now
    locked.save()
    cases.record(locked, action="application.lapsed", actor=ACTOR, now=now)
    return 1
