"""Sets of time: where a use of a given length may lie, from what is open and what is taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from portal.kernel.period import Period, merge, subtract

__all__ = ["Held", "Room", "full", "intersect", "usable"]


@dataclass(frozen=True, slots=True)
class Held:
    """Time that is taken: `units` places of it, or all of unit `unit_no`."""

    blocked: Period
    units: int = 1
    unit_no: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What a use needs around it: `setup` before, `cleanup` after; the latter may run past closing if `may_exceed`."""

    setup: timedelta = timedelta(0)
    cleanup: timedelta = timedelta(0)
    may_exceed: bool = False

    def inside(self, during: Period) -> Period:
        """Return what of a use must lie in open time."""
        return during.padded(before=self.setup, after=timedelta(0) if self.may_exceed else self.cleanup)


def intersect(left: Iterable[Period], right: Iterable[Period]) -> list[Period]:
    """Return the time that lies in both."""
    whole = merge(left)
    return subtract(whole, subtract(whole, right))


def full(taken: Iterable[Held], *, capacity: int, units: int) -> list[Period]:
    """Return when fewer than `units` of `capacity` counted places are left."""
    held = list(taken)
    changes = [(h.blocked.start, h.units) for h in held] + [(h.blocked.end, -h.units) for h in held]
    spans: list[Period] = []
    used, since = 0, None
    for moment, change in sorted(changes):
        if since is not None and since < moment and used + units > capacity:
            spans.append(Period(since, moment))
        used, since = used + change, moment
    return merge(spans)


def usable(opened: Sequence[Period], taken: Iterable[Period], *, room: Room) -> list[Period]:
    """Return the spans a use may occupy: its room lies in open time and meets nothing that is taken.

    `taken` already contains the rooms of the uses it comes from.
    """
    late = timedelta(0) if room.may_exceed else room.cleanup
    fitting = [
        Period(span.start + room.setup, span.end - late)
        for span in merge(opened)
        if span.start + room.setup < span.end - late
    ]
    return subtract(fitting, [span.padded(before=room.cleanup, after=room.setup) for span in taken])
