"""Reach bookings: the booking organisation and the lab that serves it see them, nobody else."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.rules import BookingState
from scheduler.bookings.swap_models import Swap

RELATED = (
    "resource",
    "resource__owner",
    "organisation",
    "booked_by",
    "operator",
    "rating",
    "dispute",
    "series",
    "charge",
    "charge__voucher",
)
PARTS = "charge__parts__voucher"


def own_bookings(actor: Actor) -> QuerySet[Booking]:
    """Return the bookings the actor's organisation made. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return Booking.objects.filter(organisation_id=actor.acting_for).select_related(*RELATED)


def served_bookings(actor: Actor) -> QuerySet[Booking]:
    """Return the bookings on the lab's instruments. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_DECIDE)
    return (
        Booking.objects.filter(resource__owner_id=actor.organisation_id)
        .select_related(*RELATED)
        .prefetch_related(PARTS)
    )


def visible_to(actor: Actor) -> QuerySet[Booking]:
    """Return every booking the actor may see."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(organisation_id=actor.organisation_id)
    if actor.may(Permission.BOOKING_DECIDE):
        seen |= Q(resource__owner_id=actor.organisation_id)
    return Booking.objects.filter(seen).select_related(*RELATED).prefetch_related(PARTS)


def in_state(state: BookingState, *, now: datetime) -> Q:
    """Return which bookings are in a state at `now`, as people are told (`rules.state_at`)."""
    ended = Q(state=BookingState.HELD.value, hold_until__lte=now)
    if state is BookingState.HELD:
        return Q(state=state.value) & ~ended
    return Q(state=state.value) | ended if state is BookingState.LAPSED else Q(state=state.value)


def get_booking(actor: Actor, number: str) -> Booking:
    """Return a booking the actor may see. Raises NotFound."""
    booking = visible_to(actor).filter(number=number).first()
    if booking is None:
        raise NotFound
    return booking


def get_served(actor: Actor, number: str) -> Booking:
    """Return a booking on one of the actor's own instruments. Raises NotFound, Forbidden."""
    booking = get_booking(actor, number)
    if not actor.may(Permission.BOOKING_DECIDE) or booking.resource.owner_id != actor.organisation_id:
        raise Forbidden
    return booking


def get_own(actor: Actor, number: str) -> Booking:
    """Return a booking the actor's organisation made. Raises NotFound, Forbidden."""
    booking = get_booking(actor, number)
    if not actor.may(Permission.BOOKING_REQUEST) or booking.organisation_id != actor.organisation_id:
        raise Forbidden
    return booking


def own_series(actor: Actor) -> QuerySet[BookingSeries]:
    """Return the series the actor's organisation booked. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return BookingSeries.objects.filter(organisation_id=actor.acting_for).select_related("resource__owner")


def get_series(actor: Actor, number: str) -> BookingSeries:
    """Return a series the actor's organisation booked. Raises NotFound, Forbidden."""
    found = own_series(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def get_served_series(actor: Actor, number: str) -> BookingSeries:
    """Return a series on one of the lab's instruments. Raises NotFound, Forbidden without the permission."""
    actor.require(Permission.BOOKING_DECIDE)
    found = (
        BookingSeries.objects.filter(resource__owner_id=actor.acting_for, number=number)
        .select_related("resource__owner", "organisation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def bookings_of(series: BookingSeries) -> QuerySet[Booking]:
    """Return the uses of a series, in the order of its rule."""
    return series.bookings.select_related(*RELATED).prefetch_related(PARTS).order_by("planned_at")


def own_swaps(actor: Actor) -> QuerySet[Swap]:
    """Return the proposals to exchange times that the actor's organisation made or was made."""
    actor.require(Permission.BOOKING_REQUEST)
    mine = Q(asked__organisation_id=actor.acting_for) | Q(other__organisation_id=actor.acting_for)
    return Swap.objects.filter(mine).select_related(
        "asked__resource", "other__resource", "asked__charge", "other__charge", "asked_resource", "other_resource"
    )


def get_swap(actor: Actor, number: str) -> Swap:
    """Return a proposal the actor's organisation is a side of. Raises NotFound, Forbidden."""
    found = own_swaps(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found
