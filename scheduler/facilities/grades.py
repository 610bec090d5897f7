"""The scale a facility grades by, and what waiting is worth. Pure.

Sources: ESRF grades 0 to 5.5, the highest best; APS grades 1 to 5, the lowest best, a request that got no time improves
by 0.2 a cycle, for two cycles at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from portal.kernel.errors import Reason, Refused, noop

__all__ = ["Ageing", "BadScale", "Direction", "Scale"]

_ = noop


class Direction(StrEnum):
    """Which end of the scale is best."""

    HIGH = "high"
    LOW = "low"


class BadScale(Refused):
    code = "panel.scale"
    message = _("评分标准有误。")


@dataclass(frozen=True, slots=True)
class Scale:
    """What grades there are: from `lowest` to `highest` in steps of `step` from `lowest`. Raises BadScale."""

    lowest: Decimal
    highest: Decimal
    step: Decimal
    best: Direction

    def __post_init__(self) -> None:
        found = []
        if self.lowest >= self.highest:
            found.append(Reason("panel.scale_ends", _("最低分须小于最高分。"), "", "lowest"))
        if self.step <= 0 or (self.lowest < self.highest and (self.highest - self.lowest) % self.step):
            found.append(Reason("panel.scale_step", _("最高分与最低分之差须为步长的整数倍。"), "", "step"))
        if found:
            raise BadScale(found)


@dataclass(frozen=True, slots=True)
class Ageing:
    """How much better a request gets for each cycle it waited, and for how many cycles at most."""

    step: Decimal
    cycles: int
