"""Set opening hours, import calendars, block time for maintenance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.period import Period, merge, subtract
from scheduler.availability import opening, rules
from scheduler.availability.models import BLOCKING, CalendarImport, Claim, ExternalCalendar, OpeningHours
from scheduler.availability.ports import CalendarReader, CalendarReport
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

_ = noop

HORIZON = timedelta(days=400)


class NameMissing(Invalid):
    code = "calendar.name"
    message = _("请给这份日历起个名字，再次导入同名日历会更新它。")


class OutageTaken(Conflict):
    code = "outage.taken"
    message = _("所选时间已有预约。请先与预约单位协商取消，或另选时间。")


def _require_own(actor: Actor, resource: Resource) -> None:
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def set_opening_hours(*, actor: Actor, resource: Resource, hours: Sequence[rules.WeeklyHours], now: datetime) -> None:
    """Replace the weekly pattern. Bookings already made stay; only new requests are judged by it."""
    _require_own(actor, resource)
    resources.lock(resource_ids=[resource.pk])
    OpeningHours.objects.filter(resource=resource).delete()
    OpeningHours.objects.bulk_create(
        OpeningHours(
            resource=resource,
            weekdays=sorted(row.weekdays),
            opens_min=row.opens,
            closes_min=row.closes,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
        )
        for row in hours
    )
    opening.rebuild([resource], now=now)
    resources.touch_calendar(resource_id=resource.pk)
    audit.record(
        action="hours.set",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"rows": [{"weekdays": sorted(r.weekdays), "opens": r.opens, "closes": r.closes} for r in hours]},
    )


@transaction.atomic
def block_for_maintenance(*, actor: Actor, resource: Resource, period: Period, note: str, now: datetime) -> Claim:
    """Block `period` for maintenance. Raises OutageTaken where something already occupies part of it."""
    _require_own(actor, resource)
    resources.lock(resource_ids=[resource.pk])
    span = (period.start, period.end)
    if Claim.objects.filter(resource=resource, state__in=BLOCKING, blocked__overlap=span).exists():
        raise OutageTaken(field="starts_at")
    claim = Claim.objects.create(
        resource=resource, during=span, blocked=span, state=Claim.State.OUTAGE, note=note[:120]
    )
    resources.touch_calendar(resource_id=resource.pk)
    audit.record(
        action="outage.blocked",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"from": period.start.isoformat(), "to": period.end.isoformat()},
    )
    return claim


@transaction.atomic
def lift_maintenance(*, actor: Actor, resource: Resource, claim_id: int, now: datetime) -> None:
    """End a maintenance block. Idempotent."""
    _require_own(actor, resource)
    resources.lock(resource_ids=[resource.pk])
    ended = Claim.objects.filter(pk=claim_id, resource=resource, state=Claim.State.OUTAGE).update(
        state=Claim.State.RELEASED
    )
    if ended:
        resources.touch_calendar(resource_id=resource.pk)
        audit.record(action="outage.lifted", subject=f"instrument:{resource.number}", actor=actor, now=now)


def read_calendar(raw: bytes, *, resource: Resource, now: datetime) -> CalendarReport:
    """Read a file with the configured reader, over the next 400 days. Raises CalendarRefused."""
    reader: CalendarReader = import_string(settings.CALENDAR_READER)
    return reader(raw, zone=resource.zone, horizon=Period(now, now + HORIZON))


def import_calendar(*, actor: Actor, resource: Resource, name: str, raw: bytes, now: datetime) -> CalendarImport:
    """Let a lab's own calendar block the resource; importing the same name again replaces its busy time.

    Reads before any transaction; a refused file changes nothing (the last good import stays). Where busy time meets
    an existing booking, the booking stays and the meeting is reported as a conflict. Idempotent for the same file.
    """
    _require_own(actor, resource)
    if not name.strip():
        raise NameMissing(field="name")
    return _replace_busy(
        actor=actor,
        resource=resource,
        name=name.strip(),
        raw=raw,
        report=read_calendar(raw, resource=resource, now=now),
        now=now,
    )


@transaction.atomic
def _replace_busy(
    *, actor: Actor, resource: Resource, name: str, raw: bytes, report: CalendarReport, now: datetime
) -> CalendarImport:
    resources.lock(resource_ids=[resource.pk])
    digest = hashlib.sha256(raw).hexdigest()
    calendar, _created = ExternalCalendar.objects.update_or_create(
        resource=resource,
        name=name,
        defaults={"digest": digest, "imported_at": now, "imported_by": actor.label},
    )
    Claim.objects.filter(calendar=calendar, state=Claim.State.EXTERNAL).delete()
    busy = merge(span.period for span in report.busy)
    taken = [
        (claim, Period(claim.blocked.lower, claim.blocked.upper))
        for claim in Claim.objects.filter(
            resource=resource, state__in=BLOCKING, blocked__overlap=(now, now + HORIZON)
        ).select_related("booking")
    ]
    conflicts = [
        {"booking": claim.booking.number, "from": period.start.isoformat(), "to": period.end.isoformat()}
        for claim, period in taken
        if claim.booking is not None and any(period.overlaps(span) for span in busy)
    ]
    spans = subtract(busy, [period for _claim, period in taken])
    Claim.objects.bulk_create(
        Claim(
            resource=resource,
            during=(span.start, span.end),
            blocked=(span.start, span.end),
            state=Claim.State.EXTERNAL,
            calendar=calendar,
        )
        for span in spans
    )
    resources.touch_calendar(resource_id=resource.pk)
    row = CalendarImport.objects.create(
        calendar=calendar,
        at=now,
        actor_label=actor.label,
        digest=digest,
        report=_summary(report, spans, conflicts),
    )
    audit.record(
        action="calendar.imported",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"name": name, "digest": digest, "blocked": len(spans), "conflicts": len(conflicts)},
    )
    return row


def _summary(report: CalendarReport, spans: Sequence[Period], conflicts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "events": report.events,
        "blocked": len(spans),
        "hours": round(sum(span.duration.total_seconds() for span in spans) / 3600, 1),
        "conflicts": conflicts,
        "skipped": [{"summary": row.summary[:80], "reason": row.reason} for row in report.skipped[:200]],
    }
