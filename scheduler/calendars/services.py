"""Let a lab's own calendars block its instruments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.period import Period
from scheduler.calendars import blocking, queries, rules
from scheduler.calendars.models import CalendarImport, ExternalBusy, ExternalCalendar
from scheduler.calendars.ports import CalendarReader, CalendarReport
from scheduler.calendars.queries import HORIZON, Preview
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

_ = noop

SKIPPED_KEPT = 200
"""How many skipped events a report lists."""


class NameMissing(Invalid):
    code = "calendar.name"
    message = _("请给这份日历起个名字，再次导入同名日历会更新它。")


class NameOfSubscription(Conflict):
    code = "calendar.subscribed"
    message = _("同名日历已按地址订阅，导入的文件会在下次同步时被替换。请换一个名称，或先移除该订阅。")


def require_own(*, actor: Actor, resource: Resource) -> None:
    """Raise Forbidden unless the actor manages the resource."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


def read_calendar(raw: bytes, *, resource: Resource, now: datetime) -> CalendarReport:
    """Read a file with the configured reader, over the next 400 days. Raises CalendarRefused."""
    reader: CalendarReader = import_string(settings.CALENDAR_READER)
    return reader(raw, zone=resource.zone, horizon=Period(now, now + HORIZON))


def check_name(*, actor: Actor, resource: Resource, name: str) -> None:
    """Raise what forbids uploading a file under this name: Forbidden, NameMissing, NameOfSubscription."""
    require_own(actor=actor, resource=resource)
    if not name.strip():
        raise NameMissing(field="name")
    if ExternalCalendar.objects.filter(resource=resource, name=name.strip()).exclude(url="").exists():
        raise NameOfSubscription(field="name")


def preview_calendar(*, actor: Actor, resource: Resource, name: str, raw: bytes, now: datetime) -> Preview:
    """Say what importing the file under this name would change, and which bookings it meets. Writes nothing.

    Raises NameMissing, NameOfSubscription, CalendarRefused.
    """
    check_name(actor=actor, resource=resource, name=name)
    return queries.preview(resource=resource, name=name, report=read_calendar(raw, resource=resource, now=now), now=now)


def import_calendar(*, actor: Actor, resource: Resource, name: str, raw: bytes, now: datetime) -> CalendarImport:
    """Let a lab's own calendar block the resource; importing the same name again replaces its busy time.

    Reads before any transaction; a refused file changes nothing (the last good reading stays). Where busy time meets
    an existing booking, the booking stays and the meeting is reported as a conflict. The same file again changes
    nothing. Raises NameMissing, NameOfSubscription, CalendarRefused.
    """
    check_name(actor=actor, resource=resource, name=name)
    report = read_calendar(raw, resource=resource, now=now)
    with transaction.atomic():
        resources.lock(resource_ids=[resource.pk])
        digest = hashlib.sha256(raw).hexdigest()
        calendar, _created = ExternalCalendar.objects.update_or_create(
            resource=resource,
            name=name.strip(),
            defaults={"digest": digest, "imported_at": now, "imported_by": actor.label},
        )
        return take_over(actor=actor, calendar=calendar, report=report, now=now)


def take_over(
    *, actor: Actor, calendar: ExternalCalendar, report: CalendarReport, now: datetime, quietly: bool = False
) -> CalendarImport:
    """Let what was read be what the calendar says, and record it. The caller holds the resource's lock.

    `quietly`: where no time inside what was last read changes, the last record stands: a series that reaches one day
    further is no news.
    """
    resource = calendar.resource
    last = CalendarImport.objects.filter(calendar=calendar).first() if quietly else None
    found = queries.preview(resource=resource, name=calendar.name, report=report, now=now)
    _store(calendar, report, now=now)
    blocking.occupy(resource, now=now)
    known = last.at + HORIZON if last else now
    if last and not found.freed and all(row.period.start >= known for row in found.anew):
        return last
    summary = _summary(found, queries.blocked_by(calendar, now=now))
    row = CalendarImport.objects.create(
        calendar=calendar, at=now, actor_label=actor.label, digest=calendar.digest, report=summary
    )
    audit.record(
        action="calendar.imported",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        organisations=[resource.owner_id],
        data={
            "name": calendar.name,
            "digest": calendar.digest,
            **{name: summary[name] for name in ("blocked", "anew", "freed")},
            "conflicts": len(found.conflicts),
        },
    )
    return row


@transaction.atomic
def remove_calendar(*, actor: Actor, calendar: ExternalCalendar, now: datetime) -> None:
    """Remove a calendar and free the time it blocked, save where another calendar takes it too."""
    resource = calendar.resource
    require_own(actor=actor, resource=resource)
    resources.lock(resource_ids=[resource.pk])
    name = calendar.name
    calendar.delete()
    blocking.occupy(resource, now=now)
    resources.touch_calendar(resource_id=resource.pk)
    audit.record(
        action="calendar.removed",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        organisations=[resource.owner_id],
        data={"name": name},
    )


def _store(calendar: ExternalCalendar, report: CalendarReport, *, now: datetime) -> None:
    """Write what is busy from `now` on; rows that say the same stay, and so does what is over."""
    rows = ExternalBusy.objects.filter(calendar=calendar, during__endswith__gt=now)
    known = {
        rules.Busy(Period(row.during.lower, row.during.upper), row.uid, row.summary, row.all_day): row.pk
        for row in rows
    }
    wanted = set(queries.busy_in(report))
    ExternalBusy.objects.filter(pk__in=[known[each] for each in known.keys() - wanted]).delete()
    ExternalBusy.objects.bulk_create(
        ExternalBusy(
            calendar=calendar,
            during=(each.period.start, each.period.end),
            uid=each.uid,
            summary=each.summary,
            all_day=each.all_day,
        )
        for each in sorted(wanted - known.keys())
    )


def _summary(found: Preview, blocked: Sequence[Period]) -> dict[str, Any]:
    return {
        "events": found.report.events,
        "blocked": len(blocked),
        "hours": round(sum(span.duration.total_seconds() for span in blocked) / 3600, 1),
        "anew": len(found.anew),
        "freed": len(found.freed),
        "conflicts": [
            {"booking": row.number, "from": row.period.start.isoformat(), "to": row.period.end.isoformat()}
            for row in found.conflicts
        ],
        "skipped": [{"summary": row.summary[:80], "reason": row.reason} for row in found.report.skipped[:SKIPPED_KEPT]],
    }
