"""Write and end what a booking occupies: all of it at once, its neighbours' changeover with it. Callers hold the locks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from portal.kernel.period import Period
from scheduler.availability import buffers, claiming
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.availability.rules import ClaimRole
from scheduler.bookings import bundles, rules
from scheduler.bookings.models import Booking
from scheduler.resources import services as resources

__all__ = ["asks_of", "follow", "lock", "occupy", "resources_of", "vacate"]


def lock(bookings: Sequence[Booking], *, also: Iterable[int] = ()) -> None:
    """Lock everything these bookings occupy or ever occupied, and the resources `also`, lowest id first."""
    resources.lock(resource_ids=resources_of(bookings) | set(also))


def resources_of(bookings: Sequence[Booking]) -> set[int]:
    """Return the ids of everything these bookings occupy or ever occupied."""
    if not bookings:
        return set()
    ids = {booking.resource_id for booking in bookings}
    return ids | set(Claim.objects.filter(booking__in=bookings).values_list("resource_id", flat=True))


def occupy(booking: Booking, bundle: bundles.Bundle, *, hold_until: datetime | None = None) -> list[Claim]:
    """Claim all of a bundle for a booking, or nothing; neighbours it goes together with need no changeover any more.

    Raises claiming.Taken.
    """
    place, during = bundle.place, bundle.wanted.period
    for claim, span in (
        (place.earlier, lambda old: (old.lower, during.start)),
        (place.later, lambda old: (during.end, old.upper)),
    ):
        if claim is not None:
            Claim.objects.filter(pk=claim.pk).update(blocked=span(claim.blocked))
    asks = asks_of(bundle)
    state = Claim.State(rules.CLAIM_STATE[rules.BookingState(booking.state)])
    made = claiming.occupy(asks, state=state, booking_id=booking.pk, hold_until=hold_until)
    for ask in asks:
        resources.touch_calendar(resource_id=ask.resource.pk)
    return made


def asks_of(bundle: bundles.Bundle) -> list[claiming.Ask]:
    """Return what a bundle occupies."""
    wanted, place = bundle.wanted, bundle.place
    asks = [claiming.Ask(wanted.resource, wanted.period, place.blocked, units=wanted.units, unit_no=place.unit_no)]
    if bundle.operator is not None:
        asks.append(claiming.Ask(bundle.operator, wanted.period, wanted.period, role=ClaimRole.OPERATOR))
    before, terms = bundle.preparation, bundle.terms
    if before is not None and terms is not None and terms.bench is not None:
        asks.append(claiming.Ask(terms.bench, before, before, units=terms.bench_units, role=ClaimRole.PREPARATION))
    return asks


def follow(booking: Booking) -> None:
    """Let the claims of a booking follow its state; where they end, neighbours get their changeover back."""
    state = rules.CLAIM_STATE[rules.BookingState(booking.state)]
    claims = list(Claim.objects.filter(booking=booking).order_by("pk"))
    Claim.objects.filter(booking=booking).update(state=state, hold_until=None)
    for claim in claims:
        if state == Claim.State.RELEASED.value and claim.role == ClaimRole.MAIN.value and claim.state in BLOCKING:
            _give_back(claim, together=booking.together)
        resources.touch_calendar(resource_id=claim.resource_id)


def vacate(booking: Booking) -> None:
    """Give up all a booking occupies, to occupy other time; neighbours get their changeover back."""
    claims = list(Claim.objects.filter(booking=booking).order_by("pk"))
    Claim.objects.filter(booking=booking).delete()
    for claim in claims:
        if claim.role == ClaimRole.MAIN.value:
            _give_back(claim, together=booking.together)
        resources.touch_calendar(resource_id=claim.resource_id)


def _give_back(gone: Claim, *, together: str) -> None:
    """Widen the neighbours that `gone` had joined to the changeover agreed for them, as far as there is room."""
    if not together or gone.unit_no is None:
        return
    near = period_of(gone.during).padded(before=bundles.AROUND, after=bundles.AROUND)
    around = list(
        Claim.objects.filter(
            resource_id=gone.resource_id,
            unit_no=gone.unit_no,
            state__in=BLOCKING,
            blocked__overlap=(near.start, near.end),
        )
        .select_related("booking")
        .order_by("during", "pk")
    )
    earlier = next((claim for claim in reversed(around) if claim.during.upper <= gone.during.lower), None)
    later = next((claim for claim in around if claim.during.lower >= gone.during.upper), None)
    uses = [bundles.use_of(claim) if claim else None for claim in (earlier, later)]
    mine = [use if use is not None and use.together == together else None for use in uses]
    spans = dict(zip([use for use in mine if use], buffers.blocked([use for use in mine if use]), strict=True))
    if earlier is not None and mine[0] is not None:
        end = spans[mine[0]].end
        if later is not None and mine[1] is None:
            end = min(end, later.blocked.lower)
        _widen(earlier, (earlier.blocked.lower, max(end, earlier.blocked.upper)))
    if later is not None and mine[1] is not None:
        start = spans[mine[1]].start
        if earlier is not None and mine[0] is None:
            start = max(start, earlier.blocked.upper)
        _widen(later, (min(start, later.blocked.lower), later.blocked.upper))


def _widen(claim: Claim, span: tuple[datetime, datetime]) -> None:
    if Period(*span).duration > timedelta(0) and span != (claim.blocked.lower, claim.blocked.upper):
        Claim.objects.filter(pk=claim.pk).update(blocked=span)
