"""Make a booking of what was held: by compare-and-set, or anew where the hold has lapsed and the time is still free."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused, noop
from portal.kernel.period import Period
from scheduler.bookings import bundles, prepay_rules, rules, services, steps
from scheduler.bookings.models import Booking
from scheduler.bookings.retrying import patiently
from vouchers.charges import services as charges
from vouchers.payments import advances

__all__ = ["DEARER", "book_again", "confirm_hold"]

_ = noop

DEARER = Reason(
    "booking.dearer",
    _("保留已到期，价格在此期间上调，不能按原价预约。"),
    _("请按新价格重新预约。"),
)


@patiently
@transaction.atomic
def confirm_hold(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Return the booking made of a hold: requested, or confirmed where the lab confirms at once. Idempotent.

    A hold that has lapsed is booked anew, under another number, at no higher price; where its own share is paid in
    advance, it is held anew. Raises Refused with all reasons and alternatives where that is not possible, and while an
    advance has not arrived; NotHeld, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    locked = steps.under_lock(booking)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    state = rules.BookingState(locked.state)
    if state in {rules.BookingState.REQUESTED, rules.BookingState.CONFIRMED, rules.BookingState.IN_USE}:
        return locked
    if locked.hold_until is None or state not in {rules.BookingState.HELD, rules.BookingState.LAPSED}:
        raise rules.NotHeld
    if state is rules.BookingState.HELD and now < locked.hold_until:
        if not advances.is_paid(charge_id=steps.charge_of(locked)):
            raise Refused([prepay_rules.NOT_PAID])
        return services.place(held=locked, actor=actor, now=now)
    return book_again(locked, actor=actor, now=now)


def book_again(booking: Booking, *, actor: Actor, now: datetime) -> Booking:
    """Book what a lapsed hold had kept; once. The writer's first act ends the hold and frees its money.

    The caller holds the locks of what the booking occupies. Raises Refused, also where the price has risen.
    """
    assert booking.charge is not None
    wanted = bundles.Wanted(
        resource=booking.resource,
        period=Period(booking.starts_at, booking.ends_at),
        title=booking.title,
        vouchers=[part.voucher for part in charges.parts_of(booking.charge)],
        units=booking.units,
        configuration=booking.configuration,
        operator=booking.operator,
    )
    made = services.request_booking(actor=actor, wanted=wanted, now=now, key=f"again:{booking.number}")
    assert made.charge is not None
    if made.charge.price_fen > booking.charge.price_fen:
        raise Refused([DEARER])
    if made.again_of_id is None:
        made.again_of = booking
        made.save(update_fields=["again_of"])
    return made
