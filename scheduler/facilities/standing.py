"""How the shares of a cycle stand: what each pool was given of a beamline, what is allocated, what was delivered (F18)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.facilities import queries, shares
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.facilities.shares import Pool, PoolUse

__all__ = ["LineStanding", "standing"]

Used = Mapping[int, Mapping[Pool, int]]


@dataclass(frozen=True, slots=True)
class LineStanding:
    """One beamline's `shifts` that users can have in a cycle, and how each pool stands; [] where no shares were said."""

    beamline: Beamline
    shifts: int
    pools: Sequence[PoolUse]


def standing(cycle: RunCycle, *, allocated: Used, delivered: Used) -> list[LineStanding]:
    """Return how each beamline's shares stand, in whole shifts, by code. Both mappings by beamline id. Six queries."""
    lines = list(cycle.facility.beamlines.select_related("resource").order_by("code"))
    offered = queries.user_shifts(cycle, lines)
    said = queries.shares_of(cycle.facility)
    found = []
    for line in lines:
        of_line = said.get(line.pk) or said.get(None, {})
        count = len(offered[line.pk])
        pools = (
            shares.compliance(
                of_line,
                shifts=count,
                allocated=dict(allocated.get(line.pk, {})),
                delivered=dict(delivered.get(line.pk, {})),
            )
            if of_line
            else []
        )
        found.append(LineStanding(line, count, pools))
    return found


def totals(found: Sequence[LineStanding]) -> list[PoolUse]:
    """Add up the beamlines of a facility, in the order of `Pool`."""
    given: dict[Pool, list[int]] = defaultdict(lambda: [0, 0, 0])
    for line in found:
        for one in line.pools:
            for at, number in enumerate((one.given, one.allocated, one.delivered)):
                given[one.pool][at] += number
    return [PoolUse(pool, *given[pool]) for pool in Pool if pool in given]
