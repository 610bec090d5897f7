"""Let calendars follow a booking: its SEQUENCE, and the mail to its booker. Callers hold its lock, in a transaction."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from portal.kernel.period import Period
from scheduler.bookings import rules
from scheduler.bookings.models import Booking
from scheduler.invitations import services as invitations
from scheduler.invitations.letters import Content

__all__ = ["raise_sequence", "tell"]


def raise_sequence(booking: Booking) -> None:
    """Count a change of time or status, and of nothing else (RFC 5546 §2.1.4). The caller saves the row it has locked."""
    booking.sequence += 1


def tell(booking: Booking, *, now: datetime) -> None:
    """Let the booker's calendar know of the booking as it is now; nothing happens where no mail has to say it anew."""
    if booking.booked_by_id is None or not invitations.enabled():
        return
    resource, operator = booking.resource, booking.operator
    status = rules.calendar_status(rules.BookingState(booking.state))
    content = Content(
        number=booking.number,
        starts_at=booking.starts_at.isoformat(),
        ends_at=booking.ends_at.isoformat(),
        zone=resource.zone,
        status=status,
        instrument=resource.name,
        instrument_en=resource.name_en,
        instrument_no=resource.number,
        place=" ".join(part for part in (resource.city, resource.site) if part),
        lab=resource.owner.name,
        lab_en=resource.owner.name_en,
        title=booking.title,
        operator=operator.name if operator is not None else "",
        operator_no=operator.number if operator is not None else "",
        note=booking.decision_note if status == "CANCELLED" else "",
        portal=settings.PUBLIC_URL,
    )
    invitations.announce(
        told=invitations.Told(
            booking_id=booking.pk,
            uid=booking.uid,
            sequence=booking.sequence,
            user_id=booking.booked_by_id,
            organisation_id=booking.organisation_id,
            period=Period(booking.starts_at, booking.ends_at),
            content=content,
        ),
        now=now,
    )
