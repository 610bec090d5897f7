"""Endpoints of the calendar of working days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.wire import ActorRequest, Cursor, Day, Flag, Line, Number, PageOut, StrictIn, Whole, paged, problems
from portal.workdays import queries, rules, services
from portal.workdays.models import CalendarDay

router = Router(tags=["workdays"])


class DayIn(StrictIn):
    """What one day shall count as, and the document that says so. `works_as`: the weekday (Monday 1) it replaces.

    `accepts`: numbers of the bookings named in a 409 that may be left outside open time.
    """

    date: Day
    is_working: Flag
    works_as: Annotated[Whole, Field(ge=1, le=7)] | None = None
    name: Annotated[Line, Field(max_length=60)] = ""
    source: Annotated[Line, Field(min_length=1, max_length=120)]
    accepts: Annotated[list[Number], Field(max_length=500)] = []


class DayOut(Schema):
    """A day on which the portal departs from the State Council's calendar."""

    id: int
    date: date
    is_working: bool
    works_as: int | None
    name: str
    source: str


class PeriodEndOut(Schema):
    """The last day of a period; `is_estimated` when it touches a year nobody has fixed yet."""

    last_day: date
    is_estimated: bool


class DayRemovalIn(Schema):
    """``?accepts=YY…``: bookings named in a 409 that may be left outside open time."""

    accepts: Annotated[list[Number], Field(max_length=500)] = []


class CountIn(Schema):
    """``?start=2025-09-29&days=5``; the start itself is not counted."""

    start: Day
    days: Annotated[int, Field(ge=0, le=366)]


def _shown(day: CalendarDay) -> dict[str, Any]:
    return {
        "id": day.pk,
        "date": day.date,
        "is_working": day.is_working,
        "works_as": day.works_as,
        "name": day.name,
        "source": day.source,
    }


@router.get("", response={200: PageOut[DayOut], **problems()})
def list_days(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """List the days fixed here, the last fixed first."""
    return paged(CalendarDay.objects.all(), wanted, _shown)


@router.get("/end", response={200: PeriodEndOut, **problems()})
def end(request: ActorRequest, wanted: Query[CountIn]) -> dict[str, Any]:  # noqa: ARG001  everybody may count
    """Say when a period of working days ends."""
    calendar = queries.workdays()
    last = calendar.add_working_days(wanted.start, wanted.days)
    return {"last_day": last, "is_estimated": calendar.estimated_within(wanted.start, last)}


@router.put("", response={200: DayOut, **problems(409)})
def set_day(request: ActorRequest, payload: DayIn) -> dict[str, Any]:
    """Fix what a day counts as."""
    fixed = rules.Day(payload.date, payload.is_working, payload.name, payload.works_as)
    services.set_days(
        actor=request.actor, days=[fixed], source=payload.source, accepts=payload.accepts, now=timezone.now()
    )
    return _shown(CalendarDay.objects.get(date=payload.date))


@router.delete("/{day_id}", response={204: None, **problems(404, 409)})
def remove_day(
    request: ActorRequest, day_id: Annotated[int, Field(ge=1, lt=2**63)], wanted: Query[DayRemovalIn]
) -> Status[None]:
    """Let a day count as officially arranged again, by the `id` it is listed under."""
    found = CalendarDay.objects.filter(pk=day_id).first()
    request.actor.require(Permission.PROGRAMME_PUBLISH)
    if found is None:
        raise NotFound
    services.remove_day(actor=request.actor, day=found.date, accepts=wanted.accepts, now=timezone.now())
    return Status(204, None)
