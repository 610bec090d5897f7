"""Change the calendar; the only writer of its days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, NotFound, noop
from portal.workdays import rules
from portal.workdays.models import CalendarDay
from portal.workdays.ports import Follower

__all__ = ["SourceMissing", "remove_day", "set_days"]

_ = noop


class SourceMissing(Invalid):
    code = "workdays.source"
    message = _("请写明依据的文件，例如“国务院办公厅关于 2027 年部分节假日安排的通知”。")


@transaction.atomic
def set_days(
    *, actor: Actor, days: Sequence[rules.Day], source: str, accepts: Sequence[str] = (), now: datetime
) -> int:
    """Fix what `days` count as; a day fixed before is fixed anew. Return how many. Raises SourceMissing, Forbidden.

    Notices already published keep their end: a calendar change never shortens a running period. Whoever lives by the
    calendar is told and may refuse: bookings it would leave outside open time are named unless in `accepts`.
    """
    actor.require(Permission.PROGRAMME_PUBLISH)
    if not source.strip():
        raise SourceMissing(field="source")
    rows = [
        CalendarDay(
            date=day.date,
            is_working=day.is_working,
            works_as=day.works_as,
            name=day.name,
            source=source.strip()[:120],
        )
        for day in days
    ]
    CalendarDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["date"],
        update_fields=["is_working", "works_as", "name", "source"],
    )
    _tell([day.date for day in days], accepts=accepts, now=now)
    audit.record(
        action="workdays.set",
        subject="workdays",
        actor=actor,
        now=now,
        data={"source": source.strip(), "days": {day.date.isoformat(): day.is_working for day in days}},
    )
    return len(rows)


@transaction.atomic
def remove_day(*, actor: Actor, day: date, accepts: Sequence[str] = (), now: datetime) -> None:
    """Let `day` count as the State Council's calendar says again. Raises NotFound, Forbidden; see `set_days`."""
    actor.require(Permission.PROGRAMME_PUBLISH)
    deleted, _each = CalendarDay.objects.filter(date=day).delete()
    if not deleted:
        raise NotFound(field="date")
    _tell([day], accepts=accepts, now=now)
    audit.record(action="workdays.removed", subject="workdays", actor=actor, now=now, data={"day": day.isoformat()})


def _tell(days: Sequence[date], *, accepts: Sequence[str], now: datetime) -> None:
    for path in settings.WORKDAYS_FOLLOWERS:
        follower: Follower = import_string(path)
        follower(days=days, accepts=accepts, now=now)
