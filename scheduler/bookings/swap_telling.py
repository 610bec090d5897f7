"""Tell both sides of a proposal to exchange times what becomes of it: to each its own booking and the times, no name."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.period import Period
from scheduler.bookings.models import Booking
from scheduler.bookings.swap_models import Swap
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.messages.wording import span

__all__ = ["tell"]


def tell(swap: Swap, booking: Booking, kind: MessageKind, *, now: datetime) -> None:
    """Tell the side `booking` is of. Call in the transaction in which it happens."""
    spans = [Period(swap.asked_starts_at, swap.asked_ends_at), Period(swap.other_starts_at, swap.other_ends_at)]
    places = [swap.asked_resource, swap.other_resource]
    if booking.pk == swap.other_id:
        spans, places = spans[::-1], places[::-1]
    zone = places[0].zone
    mine, theirs = (span(period, zone) for period in spans)
    if places[0].pk != places[1].pk:
        theirs = f"{theirs} · {places[1].name} {places[1].number}"
    until = swap.expires_at.astimezone(ZoneInfo(zone))
    messages.tell(
        told=messages.Told(
            kind=kind,
            organisation_id=booking.organisation_id,
            user_id=booking.booked_by_id,
            key=f"{kind.value}:{swap.number}",
            instrument=places[0].name,
            instrument_en=places[0].name_en,
            about=swap.number,
            params={
                "booking": booking.number,
                "mine": mine,
                "theirs": theirs,
                "until": f"{until:%Y-%m-%d %H:%M}",
                "zone": zone,
            },
        ),
        now=now,
    )
