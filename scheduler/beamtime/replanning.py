"""Change the machine plan over beam time somebody has: what breaks is named first, then dealt with; nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, Refused, noop
from scheduler.facilities import cycles
from scheduler.facilities.cycles import PlanChange
from scheduler.facilities.models import RunCycle
from scheduler.facilities.plan import Occupied

__all__ = ["change_plan"]

_ = noop


def change_plan(*, actor: Actor, cycle: RunCycle, change: PlanChange, reason: str, now: datetime) -> RunCycle:
    """Replace the machine plan of a cycle, as its planner. Raises what `cycles.set_plan` raises.

    What is scheduled has to be cancelled or moved first; `reason` is what its teams are told.
    """
    del reason

    def deal(broken: Sequence[Occupied]) -> None:
        raise Refused(
            [
                Reason(
                    "facility.broken_stands", _("%(number)s 尚未取消或改期。"), "", "accepts", {"number": one.number}
                )
                for one in broken
            ]
        )

    return cycles.set_plan(actor=actor, cycle=cycle, change=change, now=now, deal=deal)
