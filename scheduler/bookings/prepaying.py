"""What becomes of a booking when the money of its advance arrives: in time, late, or for nothing any more.

`fulfil` answers `vouchers.payments.ports.Fulfilment` for ``booking:…``. Time decides, no worker: a hold whose end has come
blocks nobody, whoever writes that down.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError, Refused, Unavailable
from portal.kernel.period import Period
from scheduler.bookings import holding, moving, rules, services, steps
from scheduler.bookings.models import Booking
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.messages.wording import span
from vouchers.charges import rules as charge_rules
from vouchers.payments import advances

__all__ = ["fulfil"]

PAID = "支付到账"
S = rules.BookingState


def fulfil(subject: str, *, charge_id: int, paid_at: datetime, now: datetime) -> int | None:  # noqa: ARG001 - see below
    """Let a booking go on whose advance has arrived; return the charge the money pays, or None where it goes back.

    In time the hold becomes a booking. Late, it is booked again where its time is still free at no higher price, under
    another number, with a charge and an advance of its own: those the money pays. In time is what is known in time: after a
    hold's end its time may be another's, whatever day the money came. Idempotent; raises nothing for what is gone, and Unavailable where it cannot be told now. Locks the resources, then the booking.
    """
    found = Booking.objects.select_related("resource", "operator").filter(number=subject.partition(":")[2]).first()
    asked = advances.of_charge(charge_id)
    if found is None or asked is None:
        return None
    moving.under_lock(found, now=now, wanted=moving.wanted_at(found, Period(found.starts_at, found.ends_at)))
    last = _last(found)
    if last.state == S.LAPSED.value:
        made = _again(last, most_fen=asked.amount_fen, now=now)
        _tell(found, MessageKind.PREPAID_AGAIN if made else MessageKind.PREPAID_GONE, now=now, made=made)
        return made.charge_id if made else None
    advance = advances.of_charge(steps.charge_of(last))
    if advance is None or advance.amount_fen > asked.amount_fen:
        _tell(found, MessageKind.PREPAID_GONE, now=now)
        return None
    if last.state == S.HELD.value:
        services.place(held=last, actor=Actor.system(PAID), now=now)
        _tell(last, MessageKind.PREPAID_PLACED, now=now)
    elif last.charge is not None and last.charge.state == charge_rules.ChargeState.RELEASED.value:
        _tell(found, MessageKind.PREPAID_GONE, now=now)
    return advance.charge_id


def _last(booking: Booking) -> Booking:
    """Return a booking, or the last of those that took its place, under lock. The caller holds the resources' locks."""
    last = steps.under_lock(booking)
    while (after := Booking.objects.filter(again_of=last).first()) is not None:
        last = steps.under_lock(after)
    return last


def _again(booking: Booking, *, most_fen: int, now: datetime) -> Booking | None:
    """Book a lapsed hold again and place it, if its own share is at most what is there; None: nothing has happened.

    Raises Unavailable where a lock or the ledger is busy: that says nothing about the time, and the money must wait for it.
    """
    actor = replace(Actor.system(PAID), user_id=booking.booked_by_id, organisation_id=booking.organisation_id)
    try:
        with transaction.atomic():
            made = holding.book_again(booking, actor=actor, now=now)
            advance = advances.of_charge(steps.charge_of(made))
            if advance is None or advance.amount_fen > most_fen:
                raise Refused([holding.DEARER])
            return services.place(held=steps.under_lock(made), actor=Actor.system(PAID), now=now)
    except Unavailable:
        raise
    except PortalError:
        return None


def _tell(booking: Booking, kind: MessageKind, *, now: datetime, made: Booking | None = None) -> None:
    """Tell the booker, once a booking and kind of news."""
    resource = booking.resource
    late = kind is not MessageKind.PREPAID_PLACED
    messages.tell(
        told=messages.Told(
            kind=kind,
            organisation_id=booking.organisation_id,
            user_id=booking.booked_by_id,
            key=f"{'late' if late else 'prepaid'}:{booking.number}",
            instrument=resource.name,
            instrument_en=resource.name_en,
            about=made.number if made else booking.number,
            params={
                "booking": booking.number,
                "again": made.number if made else "",
                "mine": span(Period(booking.starts_at, booking.ends_at), resource.zone),
                "zone": resource.zone,
            },
        ),
        now=now,
    )
