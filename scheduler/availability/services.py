"""Set opening hours, block time for maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, noop
from portal.kernel.period import Period
from scheduler.availability import opening, rules
from scheduler.availability.models import BLOCKING, Claim, OpeningHours
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

_ = noop


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
