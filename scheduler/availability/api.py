"""Endpoints of time: opening hours, free periods, maintenance."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Annotated, Any, Final

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field, StringConstraints

from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period
from portal.wire import ActorRequest, Day, Line, Number, PeriodIn, PeriodOut, StrictIn, Whole, problems, span
from scheduler.availability import queries, rules, services
from scheduler.availability.models import OpeningHours
from scheduler.resources import access

_ = noop

router = Router(tags=["instruments"])

MAX_WINDOW: Final = timedelta(days=62)
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", max_length=5)]


class WindowTooLong(Invalid):
    code = "window.too_long"
    message = _("一次最多查询 %(days)s 天。")


class HoursRow(StrictIn):
    """Open on `weekdays` (Monday 1) from `opens` to `closes`, local time of the instrument.

    Closing at or before opening means the next day, so 00:00 to 00:00 is a whole day. The dates bound the day the
    opening starts on, both inclusive.
    """

    weekdays: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)]
    opens: Clock
    closes: Clock
    valid_from: Day | None = None
    valid_until: Day | None = None

    def value(self) -> rules.WeeklyHours:
        """Raises BadHours."""
        return rules.WeeklyHours.on_clock(
            self.weekdays,
            time.fromisoformat(self.opens),
            time.fromisoformat(self.closes),
            valid_from=self.valid_from,
            valid_until=self.valid_until,
        )


class HoursIn(StrictIn):
    """The whole weekly pattern; an empty list closes the instrument."""

    hours: Annotated[list[HoursRow], Field(max_length=50)]


class HoursRowOut(Schema):
    """A row as it was set."""

    weekdays: list[int]
    opens: str
    closes: str
    valid_from: date | None
    valid_until: date | None


class HoursOut(Schema):
    """The weekly pattern, in the local time of `zone`."""

    zone: str
    hours: list[HoursRowOut]


class FreeOut(Schema):
    """What can be booked inside the window asked for; set-up and clean-up are already kept."""

    zone: str
    free: list[PeriodOut]


class MaintenanceIn(PeriodIn):
    """`note` is for the lab only."""

    note: Annotated[Line, Field(max_length=120)] = ""


class MaintenanceOut(PeriodOut):
    """A block; `id` is what lifting it asks for."""

    id: int
    note: str


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


@router.get("/{number}/hours", response={200: HoursOut, **problems(404)})
def get_hours(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the weekly opening hours."""
    resource = access.get_instrument(request.actor, number)
    return {
        "zone": resource.zone,
        "hours": [
            {
                "weekdays": row.weekdays,
                "opens": _clock(row.opens_min),
                "closes": _clock(row.closes_min),
                "valid_from": row.valid_from,
                "valid_until": row.valid_until,
            }
            for row in OpeningHours.objects.filter(resource=resource)
        ],
    }


@router.put("/{number}/hours", response={200: HoursOut, **problems(404)})
def set_hours(request: ActorRequest, number: Number, payload: HoursIn) -> dict[str, Any]:
    """Replace the weekly opening hours; bookings already made stay."""
    services.set_opening_hours(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        hours=[row.value() for row in payload.hours],
        now=timezone.now(),
    )
    return get_hours(request, number)


@router.get("/{number}/free", response={200: FreeOut, **problems(404)})
def free(request: ActorRequest, number: Number, window: Query[PeriodIn]) -> dict[str, Any]:
    """Return the free periods inside a window of at most 62 days."""
    resource = access.get_instrument(request.actor, number)
    asked = window.value()
    if asked.duration > MAX_WINDOW:
        raise WindowTooLong(field="ends_at", days=MAX_WINDOW.days)
    return {"zone": resource.zone, "free": [span(period) for period in queries.free_periods(resource, window=asked)]}


@router.post("/{number}/maintenance", response={201: MaintenanceOut, **problems(404, 409)})
def block(request: ActorRequest, number: Number, payload: MaintenanceIn) -> Status[dict[str, Any]]:
    """Block time for maintenance. 409 where something already occupies part of it."""
    claim = services.block_for_maintenance(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        period=payload.value(),
        note=payload.note,
        now=timezone.now(),
    )
    period = Period(payload.starts_at, payload.ends_at)
    return Status(201, {**span(period), "id": claim.pk, "note": claim.note})


@router.delete("/{number}/maintenance/{claim_id}", response={204: None, **problems(404)})
def lift(request: ActorRequest, number: Number, claim_id: Annotated[int, Field(ge=1, le=2**63 - 1)]) -> Status[None]:
    """End a maintenance block. Idempotent."""
    resource = access.get_own_instrument(request.actor, number)
    services.lift_maintenance(actor=request.actor, resource=resource, claim_id=claim_id, now=timezone.now())
    return Status(204, None)
