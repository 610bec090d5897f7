"""Set the days that differ from the weekly pattern: closures and special openings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, NotFound, noop
from portal.kernel.period import Period
from scheduler.availability import impacts, opening, patterns, queries
from scheduler.availability.models import Closure, SpecialOpening
from scheduler.resources.models import Resource
from scheduler.resources.rules import ResourceKind

__all__ = ["DeviationOver", "DeviationTaken", "close", "lift_closure", "open_specially", "withdraw_special"]

_ = noop

LONGEST: Final = timedelta(days=400)


class DeviationOver(Invalid):
    code = "deviation.over"
    message = _("这段时间已经过去，请选择今后的时间。")


class DeviationTooLong(Invalid):
    code = "deviation.too_long"
    message = _("一次最长 %(days)s 天，请分段填写。")


class DeviationTaken(Conflict):
    """A closure may not overlap a special opening, nor a special opening another for the same audience."""

    code = "deviation.taken"
    message = _("所选时间与已登记的“%(reason)s”（%(time)s）重叠。请先删除或避开那一段。")


@transaction.atomic
def close(
    *, actor: Actor, resource: Resource, period: Period, reason: str, accepts: Sequence[str] = (), now: datetime
) -> Closure:
    """Close the resource during `period` whatever its weekly hours say.

    Raises DeviationOver, DeviationTooLong; DeviationTaken where it is specially open or closed already; BookingsAffected
    unless the bookings in it are in `accepts` (they stay booked); VisitsThere where teams have beam time in it.
    """
    _judge(actor, resource, period, now=now)
    impacts.refuse_visits(resource, period)
    with opening.changing(resource, accepts=accepts, now=now):
        # What the portal itself opened, because nobody had it, closes with the rest.
        _refuse_overlap(resource, period, SpecialOpening, is_released=False)
        _refuse_overlap(resource, period, Closure)
        row = Closure.objects.create(resource=resource, during=(period.start, period.end), reason=reason.strip()[:120])
    _record(actor, resource, action="closure.set", period=period, now=now, reason=row.reason, accepts=sorted(accepts))
    return row


@transaction.atomic
def lift_closure(*, actor: Actor, resource: Resource, closure_id: int, now: datetime) -> None:
    """Take a closure back. Raises NotFound."""
    _require_own(actor, resource)
    row = Closure.objects.filter(pk=closure_id, resource=resource).first()
    if row is None:
        raise NotFound
    with opening.changing(resource, accepts=(), now=now):
        row.delete()
    _record(actor, resource, action="closure.lifted", period=queries.period_of(row.during), now=now)


@transaction.atomic
def open_specially(
    *, actor: Actor, resource: Resource, special: patterns.Special, reason: str, now: datetime
) -> SpecialOpening:
    """Open the resource during `special` whatever its weekly hours and the holidays say.

    Raises DeviationOver, DeviationTooLong; DeviationTaken where it is closed, or specially open for this audience.
    """
    period = special.period
    _judge(actor, resource, period, now=now)
    with opening.changing(resource, accepts=(), now=now):
        _refuse_overlap(resource, period, Closure)
        _refuse_overlap(resource, period, SpecialOpening, audience=special.audience.value)
        row = SpecialOpening.objects.create(
            resource=resource,
            during=(period.start, period.end),
            audience=special.audience.value,
            is_automatic=special.is_automatic,
            reason=reason.strip()[:120],
        )
    _record(actor, resource, action="special.set", period=period, now=now, reason=row.reason, audience=row.audience)
    return row


@transaction.atomic
def withdraw_special(
    *, actor: Actor, resource: Resource, special_id: int, accepts: Sequence[str] = (), now: datetime
) -> None:
    """Take a special opening back. Raises NotFound; BookingsAffected unless those in it are in `accepts`."""
    _require_own(actor, resource)
    row = SpecialOpening.objects.filter(pk=special_id, resource=resource).first()
    if row is None:
        raise NotFound
    with opening.changing(resource, accepts=accepts, now=now):
        row.delete()
    _record(
        actor,
        resource,
        action="special.withdrawn",
        period=queries.period_of(row.during),
        now=now,
        accepts=sorted(accepts),
    )


def _require_own(actor: Actor, resource: Resource) -> None:
    is_planned = resource.kind == ResourceKind.BEAMLINE.value and actor.may(Permission.BEAMTIME_PLAN)
    if not is_planned:
        actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


def _judge(actor: Actor, resource: Resource, period: Period, *, now: datetime) -> None:
    _require_own(actor, resource)
    if period.end <= now:
        raise DeviationOver(field="ends_at")
    if period.duration > LONGEST:
        raise DeviationTooLong(field="ends_at", days=LONGEST.days)


def _refuse_overlap(
    resource: Resource, period: Period, *kinds: type[Closure | SpecialOpening], **narrowed: str | bool
) -> None:
    for kind in kinds:
        met = kind.objects.filter(resource=resource, during__overlap=(period.start, period.end), **narrowed).first()
        if met is not None:
            words = met.reason or (_("停用") if kind is Closure else _("特别开放"))
            raise DeviationTaken(field="starts_at", reason=words, time=_text(queries.period_of(met.during), resource))


def _text(period: Period, resource: Resource) -> str:
    tz = ZoneInfo(resource.zone)
    return f"{period.start.astimezone(tz):%Y-%m-%d %H:%M}–{period.end.astimezone(tz):%Y-%m-%d %H:%M}"


def _record(actor: Actor, resource: Resource, *, action: str, period: Period, now: datetime, **more: Any) -> None:
    audit.record(
        action=action,
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"from": period.start.isoformat(), "to": period.end.isoformat(), **more},
    )
