"""What the machine does in a run cycle, each beamline's own plan below it, and what a change of either breaks. Pure.

The machine plan stands above every beamline: time that the cycle does not call user beam is nobody's. Source: run plans
of SSRF, ESRF, Diamond and APS (user beam, machine studies, maintenance, shutdown, start-up).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portal.kernel.errors import Reason, Refused, noop
from portal.kernel.period import Period, subtract
from scheduler.facilities.grid import Shift, ShiftGrid, shifts_in

__all__ = [
    "BadPlan",
    "MachineMode",
    "ModePeriod",
    "Occupied",
    "broken",
    "check_plan",
    "user_beam",
    "user_shifts",
]

_ = noop


class MachineMode(StrEnum):
    """What the machine does; only `USER` is time users can have."""

    USER = "user"
    STUDY = "study"
    MAINTENANCE = "maintenance"
    WARM_UP = "warm_up"
    SHUTDOWN = "shutdown"


class BadPlan(Refused):
    code = "facility.plan"
    message = _("运行计划有误。")


@dataclass(frozen=True, slots=True, order=True)
class ModePeriod:
    """A span of the machine plan."""

    period: Period
    mode: MachineMode


@dataclass(frozen=True, slots=True)
class Occupied:
    """Beam time somebody has: what a change of plan may break. `number` is the visit's."""

    number: str
    period: Period


def check_plan(cycle: Period, plan: Sequence[ModePeriod]) -> None:
    """Raise BadPlan with every fault: spans outside the cycle, spans that overlap. `params` name the spans by position."""
    found: list[Reason] = []
    for at, one in enumerate(plan, 1):
        if not cycle.covers(one.period):
            text = _("第 %(row)s 段不在运行周期内。")
            found.append(Reason("facility.outside_cycle", text, _("请改到周期之内。"), f"plan.{at - 1}", {"row": at}))
    placed = sorted(enumerate(plan, 1), key=lambda pair: pair[1].period)
    for (first, one), (second, two) in itertools.pairwise(placed):
        if one.period.overlaps(two.period):
            text = _("第 %(one)s 段与第 %(two)s 段重叠。")
            field, params = f"plan.{second - 1}", {"one": min(first, second), "two": max(first, second)}
            found.append(Reason("facility.plan_overlap", text, _("请调整其中一段的起止时间。"), field, params))
    if found:
        raise BadPlan(found)


def user_beam(plan: Iterable[ModePeriod], *, closed: Iterable[Period] = ()) -> list[Period]:
    """Return when users have beam: the plan's user periods less what the beamline itself is `closed`. Sorted, disjoint."""
    return subtract((one.period for one in plan if one.mode is MachineMode.USER), closed)


def user_shifts(grid: ShiftGrid, plan: Iterable[ModePeriod], *, closed: Iterable[Period] = ()) -> tuple[Shift, ...]:
    """Return the shifts that lie whole in user beam, by time: what there is to give away."""
    return tuple(shift for span in user_beam(plan, closed=closed) for shift in shifts_in(grid, span))


def broken(held: Iterable[Occupied], *, beam: Sequence[Period]) -> list[Occupied]:
    """Return what is no longer whole in user beam under a new plan, by time: the planner is told before it changes."""
    return sorted(
        (one for one in held if not any(span.covers(one.period) for span in beam)),
        key=lambda one: (one.period, one.number),
    )
