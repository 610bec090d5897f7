"""Change the machine plan or close a beamline over time somebody has: what breaks is named first, then dealt with.

Nothing is lost: a visit is cancelled by the facility (its team reads why, promised beam goes to the list of compensation),
an enterprise's booking is called off free of charge. What is not named stays, and so does the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from scheduler.availability import deviations
from scheduler.availability.models import Claim, Closure
from scheduler.beamtime import ending, market
from scheduler.beamtime.models import BeamVisit
from scheduler.beamtime.visit_rules import noted
from scheduler.bookings import services as bookings
from scheduler.bookings import steps
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingAction, BookingState
from scheduler.facilities import cycles, queries, services
from scheduler.facilities.cycles import PlanChange
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.facilities.plan import Occupied
from scheduler.resources import services as resources

__all__ = ["change_plan", "close_line", "foresee_closing", "reopen_line"]


@transaction.atomic
def change_plan(*, actor: Actor, cycle: RunCycle, change: PlanChange, reason: str, now: datetime) -> RunCycle:
    """Replace the machine plan of a cycle, as its planner; what `change.accepts` names is cancelled with `reason`.

    Opened market shifts follow at once. Raises BadPlan, PlanMoved, PlanBreaks naming everything not accepted, CycleClosed,
    ReasonMissing, InvalidTransition where a visit named is running, Forbidden.
    """

    def deal(broken: Sequence[Occupied]) -> None:
        _give_up(broken, reason=noted(reason), actor=actor, now=now)

    facility = services.lock(actor, cycle.facility, Permission.BEAMTIME_PLAN)
    _lock_all(facility.beamlines.values_list("pk", flat=True), change.accepts)
    made = cycles.set_plan(actor=actor, cycle=cycle, change=change, now=now, deal=deal)
    market.follow(made.facility, made.facility.beamlines.select_related("resource"), now=now)
    return made


@transaction.atomic
def close_line(
    *, actor: Actor, beamline: Beamline, period: Period, reason: str, accepts: Sequence[str] = (), now: datetime
) -> Closure:
    """Close a beamline by itself, as its planner: below the machine plan. What `accepts` names is cancelled with `reason`.

    Raises PlanBreaks naming everything in `period` that is not accepted; what `deviations.close` raises; ReasonMissing.
    """
    facility = services.lock(actor, beamline.facility, Permission.BEAMTIME_PLAN)
    said = noted(reason)
    _lock_all([beamline.pk], accepts)
    held = foresee_closing(beamline, period, now=now)
    cycles.refuse_unseen(held, accepts=accepts, facility=facility)
    _give_up(held, reason=said, actor=actor, now=now)
    made = deviations.close(actor=actor, resource=beamline.resource, period=period, reason=said, now=now)
    market.follow(facility, [beamline], now=now)
    made.refresh_from_db(fields=["during"])
    return made


def foresee_closing(beamline: Beamline, period: Period, *, now: datetime) -> list[Occupied]:
    """Return the visits and bookings still to come that closing a beamline in `period` would take. Nothing is written."""
    return queries.held(beamline.facility, since=now, window=period, beamline=beamline)


@transaction.atomic
def reopen_line(*, actor: Actor, beamline: Beamline, closure_id: int, now: datetime) -> None:
    """Take a closure of a beamline back, as its planner; shifts nobody has are opened to enterprises again.

    Raises NotFound, Forbidden.
    """
    facility = services.lock(actor, beamline.facility, Permission.BEAMTIME_PLAN)
    deviations.lift_closure(actor=actor, resource=beamline.resource, closure_id=closure_id, now=now)
    market.follow(facility, [beamline], now=now)


def _lock_all(lines: Iterable[int], accepts: Collection[str]) -> None:
    """Lock the lines and whatever else the visits and bookings named hold, all at once: lowest first, as every writer."""
    named = Q(visit__number__in=list(accepts)) | Q(booking__number__in=list(accepts))
    resources.lock(resource_ids={*lines, *Claim.objects.filter(named).values_list("resource_id", flat=True)})


def _give_up(broken: Sequence[Occupied], *, reason: str, actor: Actor, now: datetime) -> None:
    numbers = [one.number for one in broken]
    for visit in BeamVisit.objects.filter(number__in=numbers).order_by("pk"):
        ending.cancel(actor=actor, visit=visit, reason=reason, now=now)
    for booking in Booking.objects.filter(number__in=numbers).order_by("pk"):
        if booking.state == BookingState.HELD.value:
            steps.give_up(steps.under_lock(booking), BookingAction.LAPSE, actor=actor, now=now)
        else:
            bookings.call_off(actor=actor, booking=booking, note=reason, now=now)
