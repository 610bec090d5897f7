"""Make a bench's code, and check in and out with it; the only writer of signs."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from scheduler.benches import access, rules
from scheduler.benches.models import BenchSign
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.resources import services as resources
from scheduler.resources.models import Resource


@transaction.atomic
def renew(*, actor: Actor, resource: Resource, now: datetime) -> str:
    """Make a code for the bench's sign, as its lab, and return it; the one before ends at once. Raises Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    resources.lock(resource_ids=[resource.pk])
    sign, made = BenchSign.objects.get_or_create(resource=resource, defaults={"made_at": now})
    if not made:
        sign.serial += 1
        sign.made_at = now
        sign.save(update_fields=["serial", "made_at"])
    audit.record(action="bench.renewed", subject=f"instrument:{resource.number}", actor=actor, now=now)
    return access.code_of(resource)


@transaction.atomic
def check_in(*, actor: Actor, code: str, now: datetime) -> Booking:
    """Begin the use of one's organisation's booking, standing at the bench: the clock of the portal is taken.

    Not before `rules.EARLY`, and not while the bench is full. Raises NotFound for a code that does not hold, NoBookingNow,
    BenchBusy, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    resource = access.get_resource(code)
    resources.lock(resource_ids=[resource.pk])
    bench = access.look(actor, resource, now=now)
    if bench.own is None or bench.own.state != BookingState.CONFIRMED.value:
        raise rules.NoBookingNow
    if bench.busy_until is not None:
        raise rules.BenchBusy
    bookings.start_session(actor=actor, booking=bench.own, started_at=now, now=now, at_bench=True)
    return bench.own


@transaction.atomic
def check_out(*, actor: Actor, code: str, now: datetime) -> Booking:
    """End one's organisation's use, standing at the bench: measured by the portal's clock, captured, the rest released.

    Raises NotFound for a code that does not hold, NotCheckedIn, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    resource = access.get_resource(code)
    resources.lock(resource_ids=[resource.pk])
    bench = access.look(actor, resource, now=now)
    if bench.own is None or bench.own.state != BookingState.IN_USE.value:
        raise rules.NotCheckedIn
    return bookings.finish_session(actor=actor, booking=bench.own, ended_at=now, now=now, at_bench=True)
