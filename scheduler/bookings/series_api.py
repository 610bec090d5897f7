"""Endpoints of series: look at every use, book those that are wanted, cancel from one on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.period import Period
from portal.wire import (
    ActorRequest,
    Cursor,
    Day,
    IdempotencyKey,
    Line,
    MoneyOut,
    Number,
    PageOut,
    PeriodIn,
    PeriodOut,
    ReasonOut,
    StrictIn,
    Whole,
    key_from,
    money,
    paged,
    problems,
    span,
)
from scheduler.availability.rules import closed_days
from scheduler.bookings import access, series, series_deciding, series_preview
from scheduler.bookings.api import BookedInstrumentOut, BookingOut, NeedsIn, shown
from scheduler.bookings.models import BookingSeries
from scheduler.bookings.series_preview import SeriesWanted, UseVerdict
from scheduler.bookings.series_rules import Clock, Frequency, Pattern
from scheduler.resources import access as resources

router = Router(tags=["bookings"])

DAY_MIN = 24 * 60


class MovedIn(PeriodIn):
    """A use of the series, by its local day, and when it shall be instead."""

    day: Day


class SeriesQuoteIn(NeedsIn):
    """A rule in the instrument's wall time: from `first` on, at `start`, for `minutes` of elapsed time.

    ``daily`` every `interval` days; ``weekly`` on `weekdays` (1 is Monday; none: that of `first`) of every `interval`-th
    week. It ends after `count` uses or with the day `until`, one of the two; at most 104 uses. A local time that does not
    exist is later by the gap, one that exists twice is the first. `dropped` days are not booked, `moved` lie elsewhere.
    """

    first: Day
    start: Annotated[Line, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["09:00"])]
    minutes: Annotated[Whole, Field(ge=1, le=62 * DAY_MIN)]
    frequency: Frequency
    interval: Whole = 1
    weekdays: Annotated[list[Whole], Field(max_length=7)] = []
    count: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    until: Day | None = None
    dropped: Annotated[list[Day], Field(max_length=104)] = []
    moved: Annotated[list[MovedIn], Field(max_length=104)] = []

    def series(self, actor: Actor, *, title: str = "") -> SeriesWanted:
        """Return what is asked for. Raises NotFound at what the actor may not see, BadPeriod."""
        resource = resources.get_instrument(actor, self.instrument)
        pattern = Pattern(
            first=self.first,
            clock=time.fromisoformat(self.start),
            duration=timedelta(minutes=self.minutes),
            zone=resource.zone,
            frequency=self.frequency,
            interval=self.interval,
            weekdays=frozenset(self.weekdays),
            count=self.count,
            until=self.until,
        )
        begins = closed_days(self.first, self.first, resource.zone).start
        return SeriesWanted(
            like=self.wanted_of(actor, resource, Period(begins, begins + pattern.duration), title=title),
            pattern=pattern,
            dropped=frozenset(self.dropped),
            moved={one.day: one.value() for one in self.moved},
        )


class SeriesIn(SeriesQuoteIn):
    """`title` says what for; only the booking organisation and the lab read it."""

    title: Annotated[Line, Field(max_length=120)]


class UseOut(Schema):
    """One use: the local day it belongs to, when it would be, and what stands against it.

    `clock` is ``missing`` where its local time does not exist that day, ``doubled`` where it exists twice.
    """

    day: date
    clock: Clock
    starts_at: datetime
    ends_at: datetime
    moved: bool
    dropped: bool
    verdict: UseVerdict
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    reasons: list[ReasonOut]
    alternative: PeriodOut | None


class SeriesQuoteOut(Schema):
    """Every use, soonest first; the sums are of those that are free and not dropped. Nothing is held."""

    bookable: int
    conflicts: int
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    uses: list[UseOut]


class SeriesOut(Schema):
    """A series: its rule, and in one series' own answer its uses as bookings."""

    number: str
    instrument: BookedInstrumentOut
    title: str
    first: date
    start: str
    minutes: int
    frequency: Frequency
    interval: int
    weekdays: list[int]
    count: int | None
    until: date | None
    created_at: datetime


class SeriesWithUsesOut(SeriesOut):
    bookings: list[BookingOut]


class UndecidedUseOut(Schema):
    """A use that could not be decided, with every reason."""

    booking: str
    starts_at: datetime
    reasons: list[ReasonOut]


class SeriesDecidedOut(Schema):
    """The uses decided now, and those that could not be; uses decided before are in neither."""

    decided: list[str]
    left: list[UndecidedUseOut]


class DeclineSeriesIn(StrictIn):
    """Why; the booking organisation reads it."""

    note: Annotated[Line, Field(min_length=1, max_length=200)]


class FromIn(StrictIn):
    """The use to begin with."""

    booking: Number


def _out(one: BookingSeries) -> dict[str, Any]:
    resource = one.resource
    return {
        "number": one.number,
        "instrument": {
            "number": resource.number,
            "name": resource.name,
            "name_en": resource.name_en,
            "zone": resource.zone,
            "owner": resource.owner.name,
        },
        "title": one.title,
        "first": one.first_day,
        "start": f"{one.clock:%H:%M}",
        "minutes": one.duration_s // 60,
        "frequency": one.frequency,
        "interval": one.interval,
        "weekdays": one.weekdays,
        "count": one.count,
        "until": one.until,
        "created_at": one.created_at,
    }


def _whole(request: ActorRequest, number: str) -> dict[str, Any]:
    one = access.get_series(request.actor, number)
    uses = access.bookings_of(one).select_related("session")
    return {**_out(one), "bookings": [shown(request, booking) for booking in uses]}


def _decided(done: series_deciding.Decided) -> dict[str, Any]:
    left = [
        {
            "booking": one.booking.number,
            "starts_at": one.booking.starts_at,
            "reasons": [explain_reason(reason) for reason in one.reasons],
        }
        for one in done.left
    ]
    return {"decided": [booking.number for booking in done.done], "left": left}


def _uses(rows: Sequence[series_preview.Row]) -> list[dict[str, Any]]:
    return [
        {
            "day": row.occurrence.day,
            "clock": row.occurrence.clock,
            "starts_at": row.period.start,
            "ends_at": row.period.end,
            "moved": row.is_moved,
            "dropped": row.is_dropped,
            "verdict": row.verdict,
            "price": money(row.price),
            "voucher_share": money(row.voucher),
            "own_share": money(row.own),
            "reasons": [explain_reason(reason) for reason in row.reasons],
            "alternative": row.alternative and span(row.alternative),
        }
        for row in rows
    ]


@router.post("/quote", response={200: SeriesQuoteOut, **problems(404, 409)})
def quote_series(request: ActorRequest, payload: SeriesQuoteIn) -> dict[str, Any]:
    """Look at every use of a series: free, taken, closed, over a quota or refused, and what is free nearest to it."""
    actor = request.actor
    actor.require(Permission.BOOKING_REQUEST)
    wanted = payload.series(actor)
    found = series_preview.preview(
        wanted, organisation_id=actor.organisation_id, user_id=actor.user_id, now=timezone.now()
    )
    return {
        "bookable": len(found.bookable),
        "conflicts": len(found.conflicts),
        "price": money(found.price),
        "voucher_share": money(found.voucher),
        "own_share": money(found.own),
        "uses": _uses(found.rows),
    }


@router.post("", response={201: SeriesWithUsesOut, **problems(404, 409)})
def book_series(request: ActorRequest, payload: SeriesIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Book every use that is not dropped, in one transaction: all of them or none.

    409 carries every reason and, in ``data.days``, the local days of the uses that cannot be had.
    """
    wanted = payload.series(request.actor, title=payload.title)
    made = series.book(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _whole(request, made.number))


@router.get("", response={200: PageOut[SeriesOut], **problems()})
def list_series(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the caller's series."""
    return paged(access.own_series(request.actor), wanted, _out)


@router.get("/{number}", response={200: SeriesWithUsesOut, **problems(404)})
def get_series(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a series with its uses, in the order of its rule."""
    return _whole(request, number)


@router.post("/{number}/cancel-from", response={200: SeriesWithUsesOut, **problems(404, 409)})
def cancel_from(request: ActorRequest, number: Number, payload: FromIn) -> dict[str, Any]:
    """Cancel one use and all later ones that have not begun, in one transaction, each by its own terms."""
    one = access.get_series(request.actor, number)
    first = access.get_own(request.actor, payload.booking)
    if first.series_id != one.pk:
        raise NotFound(field="booking")
    series.cancel_from(actor=request.actor, booking=first, now=timezone.now())
    return _whole(request, number)


@router.post("/{number}/confirm", response={200: SeriesDecidedOut, **problems(404, 409)})
def confirm_series(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Confirm, as the lab, every use that waits, in one act; the others come back with every reason.

    409 with the reasons of all uses where none is or can be confirmed. Repeating it confirms nothing more.
    """
    made = access.get_served_series(request.actor, number)
    return _decided(series_deciding.confirm_all(actor=request.actor, series=made, now=timezone.now()))


@router.post("/{number}/decline", response={200: SeriesDecidedOut, **problems(404, 409)})
def decline_series(request: ActorRequest, number: Number, payload: DeclineSeriesIn) -> dict[str, Any]:
    """Turn down, as the lab, every use that waits, with one reason, in one act; what is confirmed stays."""
    made = access.get_served_series(request.actor, number)
    return _decided(
        series_deciding.decline_all(actor=request.actor, series=made, note=payload.note, now=timezone.now())
    )
