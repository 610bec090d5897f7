"""What a facility reports of a run cycle: availability, oversubscription, shares kept to, industrial share (F16–F19).

Sources: F16 user beam delivered ÷ planned; F17 shifts asked for ÷ allocated (SSRF ≈ 4); F18 shares to the shift; F19 paid
and industrial shifts ÷ user shifts. While a cycle runs, beam counts up to now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, Sum

from portal.kernel.period import Period, merge, subtract
from scheduler.availability.models import Claim, Closure
from scheduler.availability.queries import period_of
from scheduler.beamtime import rules, shares
from scheduler.beamtime.models import BeamAllocation, BeamLoss, BeamVisit
from scheduler.facilities import plan, queries, standing
from scheduler.facilities.models import RunCycle
from scheduler.facilities.shares import Pool
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import RequestState

__all__ = ["CycleFigures", "LineBeam", "figures_of"]

V = rules.VisitState
GONE: Final = (V.CANCELLED.value, V.MISSED.value)
MINUTE: Final = timedelta(minutes=1)
PerLine = dict[int, dict[Pool, int]]


@dataclass(frozen=True, slots=True)
class LineBeam:
    """A beamline's user beam in a cycle, whole minutes: planned, lost by the facility, and the lost by cause."""

    code: str
    planned_min: int
    lost_min: int
    by_cause: Mapping[rules.LossCause, int]


@dataclass(frozen=True, slots=True)
class CycleFigures:
    """The figures of a cycle with what they are made of. Shifts are whole; `pools` adds up the beamlines' shares."""

    cycle: RunCycle
    figures: rules.Figures
    planned_min: int
    delivered_min: int
    requested: int
    allocated: int
    used: int
    industrial: int
    beams: Sequence[LineBeam]
    lines: Sequence[standing.LineStanding]
    given_back: int
    """Shifts given in compensation."""


def _minutes(spans: Iterable[Period]) -> int:
    return int(sum((one.duration for one in spans), timedelta()) // MINUTE)


def _within(spans: Sequence[Period], wanted: Sequence[Period]) -> list[Period]:
    return subtract(spans, subtract(spans, wanted))


def _beams(cycle: RunCycle, *, now: datetime) -> list[LineBeam]:
    """Return each beamline's user beam, up to now. Planned closures are no planned beam; outages are lost. Five queries."""
    whole = queries.period_of_cycle(cycle)
    lines = list(cycle.facility.beamlines.order_by("code"))
    inside = (whole.start, whole.end)
    closed: dict[int, list[Period]] = defaultdict(list)
    for row in Closure.objects.filter(resource__beamline__facility=cycle.facility, during__overlap=inside):
        closed[row.resource_id].append(period_of(row.during))
    lost: dict[int, dict[rules.LossCause, list[Period]]] = defaultdict(lambda: defaultdict(list))
    logged = BeamLoss.objects.filter(
        beamline__facility=cycle.facility, during__overlap=inside, void_at__isnull=True
    ).exclude(cause=rules.LossCause.USER.value)
    for loss in logged:
        lost[loss.beamline_id][rules.LossCause(loss.cause)].append(period_of(loss.during))
    outages = Claim.objects.filter(
        resource__beamline__facility=cycle.facility, state=Claim.State.OUTAGE, blocked__overlap=inside
    )
    for claim in outages:
        lost[claim.resource_id][rules.LossCause.BEAMLINE].append(period_of(claim.blocked))
    user = [one.period for one in queries.plan_of(cycle) if one.mode is plan.MachineMode.USER]
    past = [] if now <= whole.start else _within(user, [Period(whole.start, min(now, whole.end))])
    found = []
    for line in lines:
        planned = subtract(past, closed[line.pk])
        causes = lost[line.pk]
        every = merge(span for spans in causes.values() for span in spans)
        by_cause = {cause: _minutes(_within(planned, merge(spans))) for cause, spans in causes.items()}
        found.append(LineBeam(line.code, _minutes(planned), _minutes(_within(planned, every)), by_cause))
    return found


def _asked(cycle: RunCycle) -> int:
    rows = BeamRequest.objects.filter(cycle=cycle, proposal__sent_at__isnull=False)
    rows = rows.exclude(state=RequestState.WITHDRAWN.value)
    return int(rows.aggregate(total=Sum("shifts"))["total"] or 0)


def _allocated(cycle: RunCycle) -> tuple[PerLine, int]:
    """Return shifts allocated by beamline and pool, and how many were given back for lost beam. Two queries."""
    found: PerLine = defaultdict(lambda: defaultdict(int))
    rows = BeamAllocation.objects.filter(request__cycle=cycle)
    kept = rows.filter(
        Q(ended_at__isnull=True) | Q(pk__in=BeamVisit.objects.filter(state__in=GONE).values("allocation")),
        made_up_for__isnull=True,
    )
    for line, pool, shifts in kept.values_list("request__beamline", "pool", "shifts"):
        found[line][Pool(pool)] += shifts
    back = rows.filter(made_up_for__isnull=False, ended_at__isnull=True).aggregate(total=Sum("shifts"))["total"]
    return found, int(back or 0)


def figures_of(cycle: RunCycle, *, now: datetime) -> CycleFigures:
    """Return the figures of a cycle. A constant number of queries, whatever the number of beamlines and visits."""
    beams = _beams(cycle, now=now)
    (allocated, given_back), delivered = _allocated(cycle), shares.delivered_of(cycle)
    planned_min = sum(one.planned_min for one in beams)
    delivered_min = planned_min - sum(one.lost_min for one in beams)
    asked = _asked(cycle)
    given = sum(sum(pools.values()) for pools in allocated.values())
    used = sum(sum(pools.values()) for pools in delivered.values())
    industrial = sum(pools.get(Pool.INDUSTRY, 0) for pools in delivered.values())
    return CycleFigures(
        cycle=cycle,
        figures=rules.figures(
            planned_min=planned_min,
            delivered_min=delivered_min,
            requested=asked,
            allocated=given,
            industrial=industrial,
            used=used,
        ),
        planned_min=planned_min,
        delivered_min=delivered_min,
        requested=asked,
        allocated=given,
        used=used,
        industrial=industrial,
        beams=beams,
        lines=shares.standing_of(cycle),
        given_back=given_back,
    )
