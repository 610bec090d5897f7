"""Endpoints of time: opening hours, free periods, maintenance."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Annotated, Any, Final

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field, StringConstraints

from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period
from portal.wire import ActorRequest, Day, Flag, Line, Number, PeriodIn, PeriodOut, StrictIn, Whole, problems, span
from scheduler.availability import deviations, patterns, queries, rules, services
from scheduler.availability.models import Closure, OpeningHours, SpecialOpening
from scheduler.resources import access

_ = noop

router = Router(tags=["instruments"])

MAX_WINDOW: Final = timedelta(days=62)
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", max_length=5)]


Accepted = Annotated[list[Number], Field(max_length=500)]
"""Numbers of the bookings named in a 409 `availability.bookings_affected` that may be left outside open time."""


class WindowTooLong(Invalid):
    code = "window.too_long"
    message = _("一次最多查询 %(days)s 天。")


class HoursRow(StrictIn):
    """Open on `weekdays` (Monday 1) from `opens` to `closes`, local time of the instrument.

    Closing at or before opening means the next day, so 00:00 to 00:00 is a whole day. The dates bound the day the
    opening starts on, both inclusive. `audience`: own (staff), enterprises, everybody. `is_automatic`: a booking in
    this time is confirmed at once.
    """

    weekdays: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)]
    opens: Clock
    closes: Clock
    valid_from: Day | None = None
    valid_until: Day | None = None
    audience: rules.Audience = rules.Audience.EVERYBODY
    is_automatic: Flag = False

    def value(self) -> rules.WeeklyHours:
        """Raises BadHours."""
        return rules.WeeklyHours.on_clock(
            self.weekdays,
            time.fromisoformat(self.opens),
            time.fromisoformat(self.closes),
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            audience=self.audience,
            is_automatic=self.is_automatic,
        )


class HoursIn(StrictIn):
    """The whole weekly pattern; an empty list closes the instrument.

    `follows_holidays`: public holidays close it and make-up days open it as the weekday they replace; leave it out to
    keep what is set.
    """

    hours: Annotated[list[HoursRow], Field(max_length=50)]
    follows_holidays: Flag | None = None
    accepts: Accepted = []


class HoursRowOut(Schema):
    """A row as it was set."""

    weekdays: list[int]
    opens: str
    closes: str
    valid_from: date | None
    valid_until: date | None
    audience: str
    is_automatic: bool


class HoursOut(Schema):
    """The weekly pattern, in the local time of `zone`."""

    zone: str
    follows_holidays: bool
    hours: list[HoursRowOut]


class ClosureIn(PeriodIn):
    """Closed whatever the weekly hours say; `reason` is for the lab only."""

    reason: Annotated[Line, Field(max_length=120)] = ""
    accepts: Accepted = []


class SpecialIn(PeriodIn):
    """Open whatever the weekly hours and the holidays say."""

    audience: rules.Audience = rules.Audience.EVERYBODY
    is_automatic: Flag = False
    reason: Annotated[Line, Field(max_length=120)] = ""


class ClosureOut(PeriodOut):
    """A closure; `id` is what lifting it asks for."""

    id: int
    reason: str


class SpecialOut(ClosureOut):
    """A special opening."""

    audience: str
    is_automatic: bool


class ExceptionsOut(Schema):
    """What differs from the weekly pattern and is not over, soonest first."""

    zone: str
    closures: list[ClosureOut]
    special_openings: list[SpecialOut]


class AcceptsIn(Schema):
    """``?accepts=YY…&accepts=YY…``."""

    accepts: Accepted = []


class FreeOut(Schema):
    """What can be booked inside the window asked for; set-up and clean-up are already kept."""

    zone: str
    free: list[PeriodOut]


class MaintenanceIn(PeriodIn):
    """`note` is for the lab only.

    Of numbered units those in `units` are blocked, of counted places `places`; all of them where nothing is said.
    """

    note: Annotated[Line, Field(max_length=120)] = ""
    units: Annotated[list[Annotated[Whole, Field(ge=1, le=200)]], Field(max_length=200)] = []
    places: Annotated[Whole, Field(ge=1, le=200)] | None = None


class MaintenanceOut(PeriodOut):
    """A block of one numbered `unit`, or of so many counted `places`; `id` is what lifting it asks for."""

    id: int
    note: str
    unit: int | None
    places: int


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


@router.get("/{number}/hours", response={200: HoursOut, **problems(404)})
def get_hours(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the weekly opening hours."""
    resource = access.get_instrument(request.actor, number)
    return {
        "zone": resource.zone,
        "follows_holidays": resource.follows_holidays,
        "hours": [
            {
                "weekdays": row.weekdays,
                "opens": _clock(row.opens_min),
                "closes": _clock(row.closes_min),
                "valid_from": row.valid_from,
                "valid_until": row.valid_until,
                "audience": row.audience,
                "is_automatic": row.is_automatic,
            }
            for row in OpeningHours.objects.filter(resource=resource)
        ],
    }


@router.put("/{number}/hours", response={200: HoursOut, **problems(404, 409)})
def set_hours(request: ActorRequest, number: Number, payload: HoursIn) -> dict[str, Any]:
    """Replace the weekly opening hours; bookings already made stay.

    409 `hours.overlap` names the rows that overlap, `availability.bookings_affected` the bookings that would lie
    outside: send their numbers in `accepts` to save nevertheless.
    """
    services.set_opening_hours(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        hours=[row.value() for row in payload.hours],
        follows_holidays=payload.follows_holidays,
        accepts=payload.accepts,
        now=timezone.now(),
    )
    return get_hours(request, number)


@router.get("/{number}/exceptions", response={200: ExceptionsOut, **problems(404)})
def list_exceptions(request: ActorRequest, number: Number) -> dict[str, Any]:
    """List the closures and special openings of an own instrument."""
    resource = access.get_own_instrument(request.actor, number)
    closures, specials = queries.deviations(resource, now=timezone.now())
    return {
        "zone": resource.zone,
        "closures": [_deviation(row) for row in closures],
        "special_openings": [_special(row) for row in specials],
    }


def _deviation(row: Closure | SpecialOpening) -> dict[str, Any]:
    return {**span(queries.period_of(row.during)), "id": row.pk, "reason": row.reason}


def _special(row: SpecialOpening) -> dict[str, Any]:
    return {**_deviation(row), "audience": row.audience, "is_automatic": row.is_automatic}


@router.post("/{number}/closures", response={201: ClosureOut, **problems(404, 409)})
def close(request: ActorRequest, number: Number, payload: ClosureIn) -> Status[dict[str, Any]]:
    """Close an instrument for a time. 409 names the bookings in it: send their numbers in `accepts` to go on."""
    row = deviations.close(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        period=payload.value(),
        reason=payload.reason,
        accepts=payload.accepts,
        now=timezone.now(),
    )
    return Status(201, {**span(payload.value()), "id": row.pk, "reason": row.reason})


@router.delete("/{number}/closures/{closure_id}", response={204: None, **problems(404)})
def lift_closure(request: ActorRequest, number: Number, closure_id: Id) -> Status[None]:
    """Take a closure back."""
    resource = access.get_own_instrument(request.actor, number)
    deviations.lift_closure(actor=request.actor, resource=resource, closure_id=closure_id, now=timezone.now())
    return Status(204, None)


@router.post("/{number}/special-openings", response={201: SpecialOut, **problems(404, 409)})
def open_specially(request: ActorRequest, number: Number, payload: SpecialIn) -> Status[dict[str, Any]]:
    """Open an instrument for a time in which it would be closed."""
    row = deviations.open_specially(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        special=patterns.Special(payload.value(), payload.audience, payload.is_automatic),
        reason=payload.reason,
        now=timezone.now(),
    )
    kind = {"audience": row.audience, "is_automatic": row.is_automatic}
    return Status(201, {**span(payload.value()), "id": row.pk, "reason": row.reason, **kind})


@router.delete("/{number}/special-openings/{special_id}", response={204: None, **problems(404, 409)})
def withdraw_special(request: ActorRequest, number: Number, special_id: Id, wanted: Query[AcceptsIn]) -> Status[None]:
    """Take a special opening back. 409 names the bookings in it: send their numbers in `accepts` to go on."""
    deviations.withdraw_special(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        special_id=special_id,
        accepts=wanted.accepts,
        now=timezone.now(),
    )
    return Status(204, None)


@router.get("/{number}/free", response={200: FreeOut, **problems(404)})
def free(request: ActorRequest, number: Number, window: Query[PeriodIn]) -> dict[str, Any]:
    """Return the free periods inside a window of at most 62 days."""
    resource = access.get_instrument(request.actor, number)
    asked = window.value()
    if asked.duration > MAX_WINDOW:
        raise WindowTooLong(field="ends_at", days=MAX_WINDOW.days)
    found = queries.free_periods(resource, window=asked, now=timezone.now())
    return {"zone": resource.zone, "free": [span(period) for period in found]}


@router.post("/{number}/maintenance", response={201: list[MaintenanceOut], **problems(404, 409)})
def block(request: ActorRequest, number: Number, payload: MaintenanceIn) -> Status[list[dict[str, Any]]]:
    """Block time for maintenance, all units or some: one block for each. 409 names the bookings in the way."""
    claims = services.block_for_maintenance(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        period=payload.value(),
        note=payload.note,
        units=payload.units,
        places=payload.places,
        now=timezone.now(),
    )
    period = span(Period(payload.starts_at, payload.ends_at))
    return Status(
        201,
        [
            {**period, "id": claim.pk, "note": claim.note, "unit": claim.unit_no, "places": claim.units}
            for claim in claims
        ],
    )


@router.delete("/{number}/maintenance/{claim_id}", response={204: None, **problems(404)})
def lift(request: ActorRequest, number: Number, claim_id: Id) -> Status[None]:
    """End a maintenance block. Idempotent."""
    resource = access.get_own_instrument(request.actor, number)
    services.lift_maintenance(actor=request.actor, resource=resource, claim_id=claim_id, now=timezone.now())
    return Status(204, None)
