"""Set opening hours, block time for maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, Refused, noop
from portal.kernel.period import Period
from scheduler.availability import claiming, opening, patterns, rules
from scheduler.availability.models import BLOCKING, Claim, OpeningHours
from scheduler.quotas import kept
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from scheduler.resources.rules import Counting

_ = noop


class OutageTaken(Conflict):
    code = "outage.taken"
    message = _("所选时间已有预约。请先与预约单位协商取消，或另选时间。")


class OutageOver(Invalid):
    code = "outage.over"
    message = _("这段维护时间已经过去，请填写今后的时间。")


class OutageOverBookings(OutageTaken):
    code = "outage.bookings"
    message = _("所选时间已有预约：%(bookings)s。请先与预约单位协商改期或取消，或另选时间。")


class HoursOverlap(Refused):
    code = "hours.overlap"
    message = _("开放时间有重叠的行，没有保存。")


def _require_own(actor: Actor, resource: Resource) -> None:
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


def refuse_overlap(*, hours: Sequence[rules.WeeklyHours]) -> None:
    """Raises HoursOverlap with every pair of rows that open the same time for the same audience (`data["pairs"]`)."""
    if pairs := patterns.overlapping(hours):
        raise HoursOverlap([_overlap(hours, one, two) for one, two in pairs], data={"pairs": pairs})


@transaction.atomic
def set_opening_hours(
    *,
    actor: Actor,
    resource: Resource,
    hours: Sequence[rules.WeeklyHours],
    follows_holidays: bool | None = None,
    accepts: Sequence[str] = (),
    now: datetime,
) -> None:
    """Replace the weekly pattern, and say whether public holidays close and make-up days open it (None: as before).

    Bookings already made stay; only new requests are judged by it. Raises HoursOverlap with every pair of rows that
    open the same time for the same audience; BookingsAffected with the bookings that would lie outside, unless their
    numbers are in `accepts`: ask without first, show them, then save.
    """
    _require_own(actor, resource)
    refuse_overlap(hours=hours)
    with opening.changing(resource, accepts=accepts, now=now):
        if follows_holidays is not None:
            resource.follows_holidays = follows_holidays
            resource.save(update_fields=["follows_holidays"])
        OpeningHours.objects.filter(resource=resource).delete()
        OpeningHours.objects.bulk_create(
            OpeningHours(
                resource=resource,
                weekdays=sorted(row.weekdays),
                opens_min=row.opens,
                closes_min=row.closes,
                valid_from=row.valid_from,
                valid_until=row.valid_until,
                audience=row.audience.value,
                is_automatic=row.is_automatic,
            )
            for row in hours
        )
    audit.record(
        action="hours.set",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={
            "rows": [_said(row) for row in hours],
            "follows_holidays": resource.follows_holidays,
            "accepts": sorted(accepts),
        },
    )


def _said(row: rules.WeeklyHours) -> dict[str, Any]:
    return {
        "weekdays": sorted(row.weekdays),
        "opens": row.opens,
        "closes": row.closes,
        "audience": row.audience.value,
        "automatic": row.is_automatic,
    }


def _clocks(row: rules.WeeklyHours) -> str:
    start, end = divmod(row.opens, 60), divmod(row.closes, 60)
    return f"{start[0]:02d}:{start[1]:02d}–{end[0] % 24 if end[0] != 24 else 24:02d}:{end[1]:02d}"


def _overlap(hours: Sequence[rules.WeeklyHours], one: int, two: int) -> Reason:
    return Reason(
        "hours.overlap",
        _("第 %(one)s 行（%(one_time)s）与第 %(two)s 行（%(two_time)s）对同一类用户的开放时间重叠。"),
        _("请改动其中一行的星期、时间或起止日期，或合并为一行。"),
        field="hours",
        params={
            "one": one + 1,
            "two": two + 1,
            "one_time": _clocks(hours[one]),
            "two_time": _clocks(hours[two]),
        },
    )


class BadUnits(Invalid):
    code = "outage.units"
    message = _("编号须在 1 到 %(capacity)s 之间，且不重复。")


class BadPlaces(Invalid):
    code = "outage.places"
    message = _("名额须在 1 到 %(capacity)s 之间。")


@transaction.atomic
def block_for_maintenance(
    *,
    actor: Actor,
    resource: Resource,
    period: Period,
    note: str,
    now: datetime,
    units: Sequence[int] = (),
    places: int | None = None,
) -> list[Claim]:
    """Block `period` for maintenance and return a claim for each unit blocked.

    Of numbered units those in `units`, of counted places `places`; all of them where nothing is said. Raises
    OutageOver; OutageOverBookings, naming the bookings in the way; OutageTaken; Refused where less would be left to
    enterprises than is kept for them; BadUnits, BadPlaces.
    """
    _require_own(actor, resource)
    if period.end <= now:
        raise OutageOver(field="ends_at")
    resources.lock(resource_ids=[resource.pk])
    asks = _asks(resource, period, units, places)
    met = Claim.objects.filter(
        resource=resource, state__in=BLOCKING, blocked__overlap=(period.start, period.end)
    ).select_related("booking")
    if resource.counting == Counting.UNITS.value:
        met = met.filter(unit_no__in=[ask.unit_no for ask in asks])
        taken = met.exists()
    else:
        taken = claiming.peak(resource, period) + asks[0].units > resource.capacity
    if taken:
        numbers = sorted({claim.booking.number for claim in met if claim.booking is not None})
        if numbers:
            raise OutageOverBookings(field="starts_at", bookings=numbers[:20])
        raise OutageTaken(field="starts_at")
    kept.guard(resource=resource, period=period, places=sum(ask.units for ask in asks))
    try:
        claims = claiming.occupy(asks, state=Claim.State.OUTAGE, booking_id=None)
    except claiming.Taken:
        raise OutageTaken(field="starts_at") from None
    Claim.objects.filter(pk__in=[claim.pk for claim in claims]).update(note=note[:120])
    resources.touch_calendar(resource_id=resource.pk)
    audit.record(
        action="outage.blocked",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={
            "from": period.start.isoformat(),
            "to": period.end.isoformat(),
            "units": [claim.unit_no for claim in claims if claim.unit_no is not None],
            "places": sum(claim.units for claim in claims),
        },
    )
    return list(Claim.objects.filter(pk__in=[claim.pk for claim in claims]).order_by("unit_no", "pk"))


def _asks(resource: Resource, period: Period, units: Sequence[int], places: int | None) -> list[claiming.Ask]:
    """Return what an outage takes: every unit named, or so many places. Raises BadUnits, BadPlaces."""
    if resource.counting == Counting.FUNGIBLE.value:
        wanted = resource.capacity if places is None else places
        if units:
            raise BadUnits(field="units", capacity=resource.capacity)
        if not 1 <= wanted <= resource.capacity:
            raise BadPlaces(field="places", capacity=resource.capacity)
        return [claiming.Ask(resource, period, period, units=wanted)]
    chosen = sorted(set(units)) or list(range(1, resource.capacity + 1))
    if places is not None:
        raise BadPlaces(field="places", capacity=resource.capacity)
    if len(units) != len(set(units)) or not 1 <= chosen[0] <= chosen[-1] <= resource.capacity:
        raise BadUnits(field="units", capacity=resource.capacity)
    return [claiming.Ask(resource, period, period, unit_no=unit) for unit in chosen]


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
