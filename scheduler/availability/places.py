"""What is left of a resource of several units: free while one unit is, or one place. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.kernel.period import Period, subtract

__all__ = ["Taken", "free_places", "full"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A span, buffers included, in which one unit by its number is taken, or so many places without one."""

    blocked: Period
    units: int = 1
    unit_no: int | None = None


def full(taken: Iterable[Taken], *, places: int) -> list[Period]:
    """Return the spans in which nothing of `places` is left, sorted and disjoint; of one place, all that is taken."""
    changes: dict[datetime, int] = defaultdict(int)
    for one in taken:
        changes[one.blocked.start] += one.units
        changes[one.blocked.end] -= one.units
    spans, used, since = [], 0, None
    for moment in sorted(changes):
        used += changes[moment]
        if used >= places and since is None:
            since = moment
        elif used < places and since is not None:
            spans.append(Period(since, moment))
            since = None
    return spans


def free_places(
    opened: Iterable[Period],
    taken: Sequence[Taken],
    *,
    places: int,
    setup: timedelta = timedelta(0),
    cleanup: timedelta = timedelta(0),
) -> list[Period]:
    """Return the spans one user may occupy whole, sorted: room for their own set-up and cleaning is kept.

    Of numbered units each has spans of its own, which may overlap those of another: a booking never moves from one unit
    to the next in the middle, so that touching spans of two units are not one. None lies within another.
    """
    opened = list(opened)
    if places > 1 and any(one.unit_no is not None for one in taken):
        gaps = [
            gap
            for unit in range(1, places + 1)
            for gap in subtract(opened, [one.blocked for one in taken if one.unit_no == unit])
        ]
    else:
        gaps = subtract(opened, full(taken, places=places))
    spans = [Period(gap.start + setup, gap.end - cleanup) for gap in gaps if gap.start + setup < gap.end - cleanup]
    widest: list[Period] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end.timestamp())):
        if not widest or span.end > widest[-1].end:
            widest.append(span)
    return widest
