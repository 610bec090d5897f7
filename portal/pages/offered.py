"""A lab's counter-offer as the booking's page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from scheduler.bookings import counteroffers
from scheduler.bookings.models import Booking

__all__ = ["offered"]


def offered(made: Booking, *, actor: Actor, now: datetime) -> Mapping[str, Any] | None:
    """Return the offer that waits, as the booking's page shows it: what taking it costs only to the enterprise."""
    offer = counteroffers.waiting(made, now=now)
    if offer is None:
        return None
    mine = made.organisation_id == actor.organisation_id and actor.may(Permission.BOOKING_REQUEST)
    look = counteroffers.look(actor=actor, booking=made, now=now) if mine else None
    return {
        "period": Period(offer.starts_at, offer.ends_at),
        "note": offer.note,
        "until": offer.until,
        "look": look,
        "reasons": [explain_reason(reason) for reason in look.quote.reasons] if look else [],
    }
