"""End a lab's counter-offers and free what they held. Callers hold the locks of the resources."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from portal.kernel.states import next_state
from scheduler.bookings import keeping, rules
from scheduler.bookings.models import Booking, CounterOffer

__all__ = ["end", "end_lapsed", "waiting"]


def waiting(booking: Booking, *, now: datetime) -> CounterOffer | None:
    """Return the offer that waits for an answer at `now`, or None. One query."""
    return CounterOffer.objects.filter(booking=booking, state=rules.CounterOfferState.OPEN.value, until__gt=now).first()


def end(booking: Booking, *, action: rules.CounterOfferAction, now: datetime) -> CounterOffer | None:
    """End what is offered for a booking, if anything, and return it; one that was over before has lapsed."""
    offer = (
        CounterOffer.objects.select_for_update(no_key=True, of=("self",))
        .filter(booking=booking, state=rules.CounterOfferState.OPEN.value)
        .order_by("pk")
        .first()
    )
    if offer is not None:
        _end(offer, action=action if now < offer.until else rules.CounterOfferAction.LAPSE, now=now)
    return offer


def end_lapsed(*, now: datetime, resource_ids: Iterable[int] | None = None) -> None:
    """End every offer that is over, or those that hold time of these resources."""
    over = CounterOffer.objects.select_for_update(no_key=True, of=("self",)).filter(
        state=rules.CounterOfferState.OPEN.value, until__lte=now
    )
    if resource_ids is not None:
        over = over.filter(booking__resource_id__in=resource_ids)
    for offer in over.order_by("pk"):
        _end(offer, action=rules.CounterOfferAction.LAPSE, now=now)


def _end(offer: CounterOffer, *, action: rules.CounterOfferAction, now: datetime) -> None:
    offer.state = next_state(rules.COUNTER_OFFER_TRANSITIONS, rules.CounterOfferState(offer.state), action).value
    offer.answered_at = now
    offer.save(update_fields=["state", "answered_at"])
    keeping.give_up(offer.holds.values_list("pk", flat=True))
