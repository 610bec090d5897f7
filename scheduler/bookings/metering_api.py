"""Endpoints of the four clocks: what each says of a booking, readings by the lab or its instruments, what counts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.utils import timezone
from ninja import File, Router, Schema, UploadedFile
from pydantic import Field

from portal.kernel.period import Period
from portal.tables.values import LIMITS
from portal.wire import ActorRequest, Block, Moment, MoneyOut, Number, StrictIn, Whole, money, problems
from scheduler.bookings import access, metering, reading_lists, settling
from scheduler.bookings.clocks import BadReading, SessionClock, Use
from scheduler.bookings.models import Booking
from scheduler.conduct import access as conduct_access
from scheduler.conduct import api as conduct_api
from scheduler.conduct import rules as conduct_rules
from scheduler.conduct import services as conduct
from scheduler.resources import access as resources

router = Router(tags=["bookings"])
instruments = Router(tags=["instruments"])


class ReadingIn(StrictIn):
    """What the instrument measured (``metered``), or what the staff confirm. Without `used_s` all of the span counts."""

    clock: Literal["metered", "confirmed"] = "metered"
    started_at: Moment
    ended_at: Moment
    used_s: Annotated[Whole, Field(ge=0, le=10**7)] | None = None

    def use(self) -> Use:
        """Return the use. Raises BadReading."""
        if self.ended_at <= self.started_at:
            raise BadReading(field="ended_at")
        period = Period(self.started_at, self.ended_at)
        used_s = int(period.duration.total_seconds()) if self.used_s is None else self.used_s
        return Use(period, used_s, "meter" if self.clock == "metered" else "manual")


class ClockOut(Schema):
    """What one clock says: `price` is its time at the price frozen when booked, at most what is held."""

    clock: SessionClock
    started_at: datetime
    ended_at: datetime
    used_s: int
    source: str
    by: str
    price: MoneyOut
    counts: bool


class ClocksOut(Schema):
    """All clocks told so far. `agreed` is the one to be charged by; `charged` the one that was, null before the charge."""

    agreed: SessionClock
    charged: SessionClock | None
    dispute_days: int
    clocks: list[ClockOut]


class ReadingsOut(Schema):
    """What an import of a log did."""

    added: int
    known: int


class ChargeTermsIn(StrictIn):
    """By which clock new bookings are charged, and for how many workdays a charge may be disputed."""

    clock: SessionClock = SessionClock.PRESENT
    dispute_days: Annotated[Whole, Field(ge=1, le=60)] = 5


class ChargeTermsOut(Schema):
    """What holds for new bookings."""

    clock: SessionClock
    dispute_days: int


def shown(booking: Booking) -> dict[str, Any]:
    """Return the clocks of a booking as the API tells them."""
    seen = settling.compare(booking)
    return {
        "agreed": seen.agreed,
        "charged": seen.charged,
        "dispute_days": booking.dispute_days,
        "clocks": [
            {
                "clock": line.clock,
                "started_at": line.use.period.start,
                "ended_at": line.use.period.end,
                "used_s": line.use.used_s,
                "source": line.use.source,
                "by": line.use.by,
                "price": money(line.price),
                "counts": line.counts,
            }
            for line in seen.lines
        ],
    }


@router.get("/{number}/clocks", response={200: ClocksOut, **problems(404)})
def get_clocks(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the four clocks of a booking side by side, with what each would cost, to both parties."""
    return shown(access.get_booking(request.actor, number))


@router.post("/{number}/readings", response={200: ClocksOut, **problems(404, 409)})
def add_reading(request: ActorRequest, number: Number, payload: ReadingIn) -> dict[str, Any]:
    """Record a reading, as the lab or its interlock by a token; the same again changes nothing."""
    metering.record_reading(
        actor=request.actor,
        booking=access.get_served(request.actor, number),
        clock=SessionClock(payload.clock),
        use=payload.use(),
        now=timezone.now(),
    )
    return shown(access.get_booking(request.actor, number))


class ViolationIn(StrictIn):
    """What the lab saw; the organisation reads it and may appeal."""

    kind: Literal["overstayed", "damage", "other"]
    note: Annotated[Block, Field(min_length=1, max_length=conduct_rules.NOTE)]


@router.post("/{number}/violations", response={200: conduct_api.ConductViolationOut, **problems(404, 409)})
def record_violation(request: ActorRequest, number: Number, payload: ViolationIn) -> dict[str, Any]:
    """Record a violation of the lab's rule of conduct, as the lab; once a booking and kind."""
    made = conduct.record_violation(
        actor=request.actor,
        booking=access.get_served(request.actor, number),
        kind=conduct_rules.ViolationKind(payload.kind),
        note=payload.note,
        now=timezone.now(),
    )
    return conduct_api.shown(conduct_access.get_violation(request.actor, made.pk))


@router.post("/readings/file", response={200: ReadingsOut, **problems(409)})
def take_readings(request: ActorRequest, file: File[UploadedFile]) -> dict[str, int]:
    """Take an instrument's log (xlsx or CSV, at most 10 MB), all of it or nothing; the same file again changes nothing."""
    done = reading_lists.take(
        actor=request.actor, raw=bytes(file.read(LIMITS.size + 1)), name=file.name or "file", now=timezone.now()
    )
    return {"added": done.added, "known": done.known}


@instruments.get("/{number}/charge-terms", response={200: ChargeTermsOut, **problems(404)})
def get_charge_terms(request: ActorRequest, number: Number) -> Any:
    """Return by which clock new bookings of an instrument are charged."""
    return settling.terms_of(resources.get_instrument(request.actor, number))


@instruments.put("/{number}/charge-terms", response={200: ChargeTermsOut, **problems(404)})
def set_charge_terms(request: ActorRequest, number: Number, payload: ChargeTermsIn) -> Any:
    """Set it, as the lab, from now on; bookings already made keep what was agreed."""
    resource = resources.get_own_instrument(request.actor, number)
    terms = settling.Agreed(payload.clock, payload.dispute_days)
    metering.set_charge_terms(actor=request.actor, resource=resource, terms=terms, now=timezone.now())
    return settling.terms_of(resource)
