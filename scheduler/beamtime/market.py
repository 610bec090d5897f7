"""Market mode: shifts that nobody has are opened to enterprises by themselves, and closed when somebody is given them.

An opened shift is special opening time of the beamline, so search, price, voucher share, hold and booking are those of any
instrument. Source: market-like use of unallocated time (Zhejiang 2025, item 7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from portal.kernel.period import Period
from scheduler.availability import releasing
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import not_ended, period_of
from scheduler.beamtime import gathering, rules
from scheduler.beamtime.models import BeamVisit
from scheduler.facilities import queries
from scheduler.facilities.models import Beamline, Facility, RunCycle
from scheduler.resources import services as resources
from scheduler.resources.rules import PublishState

__all__ = ["follow", "release_due", "to_release"]

logger = structlog.get_logger("beamtime")


def to_release(facility: Facility, lines: Sequence[Beamline], *, now: datetime) -> dict[int, list[Period]]:
    """Return the shifts enterprises can have on each beamline now, by its id: in user beam, soon, given to no visit.

    Nor kept for changing the set-up between two visits; on a line that needs somebody only while somebody is free. A
    shift an enterprise has booked stays open: given back, it is there for the next one. Five queries, three a cycle, and
    what `gather` takes where a line needs somebody.
    """
    window = Period(now, now + timedelta(days=facility.market_days, minutes=facility.length_min + 1))
    taken = _given(lines, window=window, now=now)
    found: dict[int, list[Period]] = {line.pk: [] for line in lines}
    running = facility.cycles.filter(during__overlap=(window.start, window.end), closed_at__isnull=True)
    for cycle in running.select_related("facility"):
        kept, staffed = _changing(lines, cycle), _staffed(lines, cycle, now=now)
        for pk, shifts in queries.user_shifts(cycle, lines).items():
            busy = [*taken.get(pk, ()), *kept[pk]]
            free = rules.released(shifts, taken=busy, now=now, days=facility.market_days)
            found[pk] += [one.period for one in free if pk not in staffed or one.period.start in staffed[pk]]
    return found


def _changing(lines: Sequence[Beamline], cycle: RunCycle) -> dict[int, list[Period]]:
    """Return what of each beamline is kept for changing the set-up between its visits. One query."""
    visits: dict[int, list[tuple[Period, str]]] = {line.pk: [] for line in lines}
    rows = BeamVisit.objects.filter(
        beamline__in=visits, state__in=gathering.HOLDING, during__overlap=(cycle.during.lower, cycle.during.upper)
    )
    for row in rows.select_related("allocation__request").order_by("during"):
        visits[row.beamline_id].append((period_of(row.during), row.allocation.request.setup))
    length = timedelta(minutes=cycle.facility.length_min)
    return {one.pk: rules.changing(visits[one.pk], changeover=one.changeover_shifts * length) for one in lines}


def _staffed(lines: Sequence[Beamline], cycle: RunCycle, *, now: datetime) -> dict[int, set[datetime]]:
    """Return when shifts begin in which somebody who can run it is free, of each beamline that needs somebody."""
    attended = {line.code: line.pk for line in lines if line.needs_operator}
    if not attended:
        return {}
    gathered = gathering.gather(cycle, now=now)
    chosen = gathered.chosen()
    away: dict[str, set[int]] = defaultdict(set)
    for one in gathered.standing:
        away[chosen.get(one.number, "")] |= set(range(one.start, one.end))
    starts = [shift.period.start for shift in gathered.cycle.shifts]
    return {
        attended[line.code]: {starts[at] for who, there in line.people or () for at in there - away[who]}
        for line in gathered.problem.lines
        if line.code in attended
    }


def _given(lines: Sequence[Beamline], *, window: Period, now: datetime) -> Mapping[int, list[Period]]:
    """Return what visits, outages and the facility's own use have of each beamline. One query."""
    found: dict[int, list[Period]] = defaultdict(list)
    rows = Claim.objects.filter(
        not_ended(now),
        resource_id__in=[line.pk for line in lines],
        booking__isnull=True,
        state__in=BLOCKING,
        blocked__overlap=(window.start, window.end),
    )
    for row in rows:
        found[row.resource_id].append(period_of(row.blocked))
    return found


@transaction.atomic
def follow(facility: Facility, lines: Iterable[Beamline], *, now: datetime) -> int:
    """Open and close shifts of these beamlines as they now stand; returns how many changed. Idempotent.

    A beamline that is not in the catalogue offers nothing, nor does any of a facility that is not shown.
    """
    ids = [line.pk for line in lines]
    # Locked before anything is looked at: nobody is given a shift in between.
    resources.lock(resource_ids=ids)
    every = {line.pk: line for line in Beamline.objects.filter(pk__in=ids).select_related("resource")}
    shown = [one for one in every.values() if one.resource.state == PublishState.PUBLISHED.value]
    free = to_release(facility, shown if facility.is_published else [], now=now)
    changed = 0
    actor = Actor.system("自动处理")
    for pk, line in sorted(every.items()):
        spans = free.get(pk, [])
        opened, closed = releasing.release(line.resource, spans, now=now)
        changed += len(opened) + len(closed)
        if opened or closed:
            audit.record(
                action="facility.market_followed",
                subject=f"facility:{facility.code}",
                actor=actor,
                now=now,
                organisations=[facility.owner_id],
                data={"beamline": line.code, "opened": len(opened), "closed": len(closed)},
            )
    return changed


def release_due(*, now: datetime) -> int:
    """Let the market of every facility follow; returns how many shifts changed. By the clock, safe at any time.

    A facility whose market cannot follow now keeps no other back.
    """
    changed = 0
    for facility in Facility.objects.order_by("pk"):
        try:
            changed += follow(facility, facility.beamlines.select_related("resource"), now=now)
        except (DatabaseError, PortalError):
            logger.exception("beamtime.release_failed", facility=facility.code)
    return changed
