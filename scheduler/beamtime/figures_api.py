"""Endpoint of what a facility reports of a run cycle."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from django.utils import timezone
from ninja import Router, Schema

from portal.wire import ActorRequest, Number, problems
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.figures import CycleFigures, figures_of
from scheduler.facilities.shares import Pool

router = Router(tags=["visits"])


class LineBeamOut(Schema):
    """A beamline's user beam in the cycle so far, whole minutes."""

    beamline: str
    planned_min: int
    lost_min: int


class PoolStandingOut(Schema):
    """How a share of a beamline stands, in whole shifts (F18)."""

    beamline: str
    pool: Pool
    given: int
    allocated: int
    delivered: int


class CycleFiguresOut(Schema):
    """F16 to F19 of a run cycle with what they are made of; ratios are decimal text, null where there is nothing yet."""

    facility: str
    cycle: str
    planned_min: int
    delivered_min: int
    availability: str | None
    requested: int
    allocated: int
    oversubscription: str | None
    used: int
    industrial: int
    industrial_share: str | None
    given_back: int
    beams: list[LineBeamOut]
    shares: list[PoolStandingOut]


def _ratio(value: Fraction | None) -> str | None:
    return None if value is None else f"{float(value):.4f}"


def _shown(found: CycleFigures) -> dict[str, Any]:
    names = ("planned_min", "delivered_min", "requested", "allocated", "used", "industrial", "given_back")
    return {
        **{name: getattr(found, name) for name in names},
        "facility": found.cycle.facility.code,
        "cycle": found.cycle.code,
        "availability": _ratio(found.figures.availability),
        "oversubscription": _ratio(found.figures.oversubscription),
        "industrial_share": _ratio(found.figures.industrial),
        "beams": [
            {"beamline": one.code, "planned_min": one.planned_min, "lost_min": one.lost_min} for one in found.beams
        ],
        "shares": [
            {
                "beamline": line.beamline.code,
                "pool": one.pool,
                "given": one.given,
                "allocated": one.allocated,
                "delivered": one.delivered,
            }
            for line in found.lines
            for one in line.pools
        ],
    }


@router.get("/{code}/figures/{cycle}", response={200: CycleFiguresOut, **problems(404)})
def get_figures(request: ActorRequest, code: Number, cycle: Number) -> dict[str, Any]:
    """Return what a facility reports of a run cycle, to its staff and to the department."""
    facility = access.get_reported(request.actor, code)
    return _shown(figures_of(access.get_cycle(facility, cycle), now=timezone.now()))
