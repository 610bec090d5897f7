"""Charge a finished use by the clock agreed when it was booked. Callers hold the locks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.bookings import clocks
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.bookings.models import Booking, ChargeTerms, Session, SessionReading
from scheduler.conduct import services as conduct
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Resource
from scheduler.usage import services as usage
from vouchers.charges import services as charges

__all__ = ["Agreed", "Comparison", "Line", "compare", "due", "price_of", "settle", "terms_of", "uses_of"]


@dataclass(frozen=True, slots=True)
class Agreed:
    """By which clock bookings of an instrument are charged, and for how many workdays the charge may be disputed."""

    clock: SessionClock = SessionClock.PRESENT
    dispute_days: int = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One clock beside the others: what it says, and what that would cost, never more than was held."""

    clock: SessionClock
    use: Use
    price: Money
    counts: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The clocks told so far, in their order; `charged` is None before the charge."""

    agreed: SessionClock
    charged: SessionClock | None
    lines: list[Line]

    @property
    def waits(self) -> bool:
        """Whether use has ended and the reading to charge by has not come."""
        known = {line.clock for line in self.lines}
        return self.charged is None and SessionClock.PRESENT in known and self.agreed not in known


def terms_of(resource: Resource) -> Agreed:
    """Return what holds for new bookings of an instrument. One query."""
    row = ChargeTerms.objects.filter(resource=resource).first()
    return Agreed(SessionClock(row.clock), row.dispute_days) if row else Agreed()


def uses_of(booking: Booking, *, charged: SessionClock | None = None) -> dict[SessionClock, Use]:
    """Return what each clock says of a booking, as far as it has been told: of several readings the last. Two queries.

    Booked is what was agreed, also where the enterprise gave the rest back. Of the clock it was `charged` by, the reading
    that was charged, whatever came after it.
    """
    booked = Period(booking.starts_at, booking.given_back_until or booking.ends_at)
    found = {SessionClock.BOOKED: Use(booked, int(booked.duration.total_seconds()))}
    session = Session.objects.filter(booking=booking).first()
    if session is not None and session.ended_at is not None:
        present = Period(session.started_at, session.ended_at)
        found[SessionClock.PRESENT] = Use(present, int(present.duration.total_seconds()), session.source)
    readings = SessionReading.objects.filter(booking=booking)
    if charged is not None and booking.charge is not None and "used_s" in booking.charge.measured:
        readings = readings.exclude(~Q(used_s=booking.charge.measured["used_s"]), clock=charged.value)
    for row in readings.order_by("pk"):
        found[SessionClock(row.clock)] = Use(
            Period(row.started_at, row.ended_at), row.used_s, row.source, row.recorded_by
        )
    return found


def price_of(booking: Booking, used_s: int) -> resource_rules.Price:
    """Return what `used_s` seconds cost at the price frozen when it was booked; the hold is not looked at."""
    assert booking.charge is not None
    return resource_rules.price(
        unit=resource_rules.Unit(booking.charge.quote["unit"]),
        unit_price=Money(booking.charge.quote["unit_price_fen"]),
        duration_s=used_s * booking.units,
    )


def due(booking: Booking, used_s: int) -> Money:
    """Return what would be taken for `used_s` seconds: never more than is held."""
    assert booking.charge is not None
    return min(price_of(booking, used_s).amount, Money(booking.charge.price_fen))


def compare(booking: Booking) -> Comparison:
    """Return what the clocks of a booking say side by side. Two queries."""
    charge = booking.charge
    captured = charge is not None and charge.state == "captured"
    charged = (
        SessionClock(charge.measured.get("clock", SessionClock.PRESENT.value))
        if charge is not None and captured
        else None
    )
    counts = charged or SessionClock(booking.clock)
    known = uses_of(booking, charged=charged)
    lines = [
        Line(clock, known[clock], due(booking, known[clock].used_s), clock is counts)
        for clock in SessionClock
        if clock in known
    ]
    return Comparison(SessionClock(booking.clock), charged, lines)


def settle(booking: Booking, *, actor: Actor, now: datetime, waited: bool = False) -> SessionClock | None:
    """Record the use of a locked, completed booking and capture its price; return by which clock.

    None: the reading it is charged by has not come, nothing is done. Use beyond the held amount is waived.
    """
    known = uses_of(booking)
    counted = clocks.counting(SessionClock(booking.clock), known, waited=waited)
    if counted is None:
        return None
    told = known[clocks.best(known) if counted is SessionClock.BOOKED else counted]
    usage.record_session(
        booking_id=booking.pk,
        started_at=told.period.start,
        ended_at=told.period.end,
        duration_s=told.used_s,
        actor=actor,
        now=now,
        source=told.source,
    )
    conduct.judge_use(booking=booking, used_s=told.used_s, actor=actor, at=now)
    assert booking.charge_id is not None
    actual = price_of(booking, known[counted].used_s)
    charges.capture(
        charge_id=booking.charge_id,
        actual=actual.amount,
        measured={**actual.as_json(), "clock": counted.value, "used_s": known[counted].used_s},
        actor=actor,
        now=now,
    )
    if counted is not SessionClock.PRESENT:
        audit.record(
            action="session.settled",
            subject=f"booking:{booking.number}",
            actor=actor,
            now=now,
            organisations=[booking.organisation_id, booking.resource.owner_id],
            data={"clock": counted.value, "duration_s": known[counted].used_s},
        )
    return counted
