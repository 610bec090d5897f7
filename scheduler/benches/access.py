"""Reach a bench by the code on its sign, and see who may use it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.benches import rules
from scheduler.benches.models import BenchSign
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.resources.models import Resource

IN_USE, CONFIRMED = BookingState.IN_USE.value, BookingState.CONFIRMED.value
REQUESTED = BookingState.REQUESTED.value


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench as the reader of its code sees it: when it is free again, and the reader's own booking, if any."""

    resource: Resource
    busy_until: datetime | None
    own: Booking | None


def key() -> bytes:
    """Return the portal's secret, from which codes are made."""
    return str(settings.SECRET_KEY).encode()


def code_of(resource: Resource) -> str:
    """Return the code that holds, or "" where the lab has made none."""
    sign = BenchSign.objects.filter(resource=resource).first()
    return rules.code_of(resource_id=resource.pk, serial=sign.serial, key=key()) if sign else ""


def get_resource(code: str) -> Resource:
    """Return the instrument whose present code this is. Raises NotFound for every other text."""
    resource_id, serial = rules.read(code)
    sign = BenchSign.objects.filter(resource_id=resource_id, serial=serial).select_related("resource").first()
    if sign is None or not rules.is_code(code, resource_id=resource_id, serial=serial, key=key()):
        raise NotFound
    return sign.resource


def look(actor: Actor | None, resource: Resource, *, now: datetime) -> Bench:
    """Return how a bench stands: whose use it is, is told to nobody. At most two queries."""
    running = list(Booking.objects.filter(resource=resource, state=IN_USE).order_by("ends_at"))
    full = sum(one.units for one in running) >= resource.capacity
    return Bench(resource, running[0].ends_at if full and running else None, _own(actor, resource, running, now=now))


def soon(actor: Actor | None, resource: Resource, *, now: datetime) -> Booking | None:
    """Return the next booking of the reader's organisation within `rules.AHEAD`, confirmed or not, that cannot begin yet."""
    if actor is None or not actor.may(Permission.BOOKING_REQUEST):
        return None
    mine = Booking.objects.filter(resource=resource, organisation_id=actor.acting_for, ends_at__gt=now)
    waiting = mine.filter(state__in=[CONFIRMED, REQUESTED], starts_at__lte=now + rules.AHEAD)
    return waiting.order_by("starts_at", "pk").first()


def _own(actor: Actor | None, resource: Resource, running: list[Booking], *, now: datetime) -> Booking | None:
    if actor is None or not actor.may(Permission.BOOKING_REQUEST):
        return None
    mine = next((one for one in running if one.organisation_id == actor.organisation_id), None)
    return mine or (
        Booking.objects.filter(
            resource=resource,
            organisation_id=actor.acting_for,
            state=CONFIRMED,
            starts_at__lte=now + rules.EARLY,
            ends_at__gt=now,
        )
        .order_by("starts_at")
        .first()
    )
