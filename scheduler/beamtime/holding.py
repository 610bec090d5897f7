"""What visits hold of the calendar: locked before them, given back when they end."""

from __future__ import annotations

from typing import Final

from scheduler.availability.models import Claim
from scheduler.beamtime.models import BeamVisit
from scheduler.resources import services as resources

__all__ = ["hold", "set_claims"]

OVER: Final = (Claim.State.DONE, Claim.State.RELEASED)


def hold(visit: BeamVisit) -> None:
    """Lock what a visit holds, before the visit itself, as every writer of claims does."""
    held = Claim.objects.filter(visit=visit).exclude(state__in=OVER)
    resources.lock(resource_ids=list(held.values_list("resource_id", flat=True)))


def set_claims(visit: BeamVisit, state: Claim.State) -> None:
    """Take the claims of a locked visit on: used, done with, or given back.

    What becomes free by it is another calendar: those who read or wait for it are told by its version.
    """
    held = Claim.objects.filter(visit=visit).exclude(state__in=OVER)
    ids = sorted(set(held.values_list("resource_id", flat=True)))
    held.update(state=state, hold_until=None)
    for pk in ids if state in OVER else ():
        resources.touch_calendar(resource_id=pk)
