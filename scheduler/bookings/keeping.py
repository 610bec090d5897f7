"""Keep time for somebody before it is a booking: claims that end by themselves, and that a booking can take over.

What is kept costs nothing yet: whoever offers it (a displacement, a waiting list) says what the booking will cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from portal.kernel.errors import Reason
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.bookings import bundles, occupying, queries, rules
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.resources import services as resources

__all__ = ["adopt", "give_up", "is_kept", "keep", "reach", "release_lapsed"]

KEPT = {"state": Claim.State.HELD, "booking__isnull": True, "calendar__isnull": True, "visit__isnull": True}


def reach(wanteds: Iterable[Wanted]) -> set[int]:
    """Return the ids of all that keeping any of these may occupy, for the caller to lock together."""
    return {pk for wanted in wanteds for pk in bundles.needed(wanted)[2]}


def keep(wanted: Wanted, *, until: datetime, note: str, now: datetime) -> tuple[list[Claim], list[Reason]]:
    """Hold all that `wanted` needs until `until` (aware, exclusive), or say why it cannot be had.

    With its whole changeover, whatever its neighbours are. Locks what may be occupied; a caller that keeps several things
    locks their `reach` first. `note` is for the lab.
    """
    wanted = replace(wanted, configuration="")
    resources.lock(resource_ids=reach([wanted]))
    release_lapsed(resource_ids=reach([wanted]), now=now)
    bundle = bundles.bundle_of(wanted, organisation_id=None, now=now)
    if reasons := queries.time_refusals(bundle):
        return [], reasons
    try:
        made = claiming.occupy(occupying.asks_of(bundle), state=Claim.State.HELD, booking_id=None, hold_until=until)
    except claiming.Taken:
        return [], [queries.TAKEN]
    Claim.objects.filter(pk__in=[claim.pk for claim in made]).update(note=note[:120])
    for claim in made:
        resources.touch_calendar(resource_id=claim.resource_id)
    return made, []


def is_kept(claims: Iterable[Claim], *, now: datetime) -> bool:
    """Say whether all of these claims still hold their time."""
    found = list(claims)
    return bool(found) and all(
        claim.state == Claim.State.HELD and claim.booking_id is None and claim.hold_until and now < claim.hold_until
        for claim in found
    )


def give_up(claim_ids: Iterable[int]) -> None:
    """Free what is kept; what a booking has taken over stays. The caller holds the locks."""
    held = list(Claim.objects.filter(**KEPT, pk__in=list(claim_ids)).order_by("pk"))
    Claim.objects.filter(pk__in=[claim.pk for claim in held]).update(state=Claim.State.RELEASED)
    for claim in held:
        resources.touch_calendar(resource_id=claim.resource_id)


def adopt(booking: Booking, claims: Iterable[Claim]) -> None:
    """Let a booking occupy what was kept, instead of what it occupied before. The caller holds the locks."""
    mine = list(claims)
    Claim.objects.filter(booking=booking).delete()
    state = rules.CLAIM_STATE[rules.BookingState(booking.state)]
    Claim.objects.filter(pk__in=[claim.pk for claim in mine]).update(
        booking=booking, state=state, hold_until=None, note=""
    )
    for claim in mine:
        resources.touch_calendar(resource_id=claim.resource_id)


def release_lapsed(*, resource_ids: Iterable[int], now: datetime) -> None:
    """Free what was kept on these resources and is no longer: every writer does it first. The caller holds the locks."""
    give_up(
        list(
            Claim.objects.filter(**KEPT, resource_id__in=list(resource_ids), hold_until__lte=now).values_list(
                "pk", flat=True
            )
        )
    )
