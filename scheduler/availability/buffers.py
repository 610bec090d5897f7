"""How much time around a use is blocked with it: set-up before, clean-up after, none between uses that go together. Pure.

Changeover depends on the sequence: two uses of one organisation in one configuration need no cleaning and no new set-up
between them, so what lies between them belongs to both. Everybody else pays the full changeover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from portal.kernel.period import Period

__all__ = ["Use", "blocked"]


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a unit. `together` names who uses it in which configuration; "" goes together with nothing.

    `setup` and `cleanup` are those agreed when it was booked: a later change of the resource's does not move them.
    """

    during: Period
    setup: timedelta
    cleanup: timedelta
    together: str = ""

    def joins(self, later: Use) -> bool:
        """Whether nothing needs to be changed over before `later`, and there is no time to: the two are one run."""
        between = later.during.start - self.during.end
        return bool(self.together) and self.together == later.together and between < self.cleanup + later.setup


def blocked(uses: Sequence[Use]) -> list[Period]:
    """Return what each of `uses` blocks, in their order. They must be sorted and their `during` disjoint.

    Neighbours that do not join overlap here when there is too little time between them to change over; the caller
    refuses such a use. Joined ones meet where the later begins.
    """
    starts = [use.during.start - use.setup for use in uses]
    ends = [use.during.end + use.cleanup for use in uses]
    for at, (earlier, later) in enumerate(pairwise(uses)):
        if earlier.joins(later):
            ends[at] = starts[at + 1] = later.during.start
    return [Period(start, end) for start, end in zip(starts, ends, strict=True)]
