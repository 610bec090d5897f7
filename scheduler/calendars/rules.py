"""What busy time of calendars blocks, and what a new reading of a calendar changes. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from portal.kernel.period import Period, merge, subtract

__all__ = ["Block", "Busy", "Change", "blocks_of_places", "blocks_of_units", "change", "pause", "titles"]

TITLES = 5
"""How many source events one block names."""


POLL_EVERY = timedelta(minutes=30)
LONGEST_PAUSE = timedelta(hours=24)


def pause(*, failures: int, asked_s: int = 0) -> timedelta:
    """Return how long to leave an address alone after `failures` polls in a row that failed.

    Twice as long each time, a day at most; never less than the server asked for (Retry-After, RFC 9110 §10.2.3).
    """
    doubled = POLL_EVERY * (1 << min(failures, 6))
    return min(max(doubled, timedelta(seconds=asked_s)), LONGEST_PAUSE)


@dataclass(frozen=True, slots=True, order=True)
class Busy:
    """Time one event of a calendar takes. `summary` is the lab's own words, for the lab only."""

    period: Period
    uid: str
    summary: str
    all_day: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Time of a unit (None: of counted places) that a calendar blocks."""

    calendar_id: int
    unit_no: int | None
    units: int
    period: Period


@dataclass(frozen=True, slots=True)
class Change:
    """What a new reading changes: time blocked anew, time freed, time that stays. Each sorted and disjoint."""

    anew: Sequence[Period]
    freed: Sequence[Period]
    kept: Sequence[Period]


def change(*, before: Iterable[Period], after: Iterable[Period], others: Iterable[Period], since: Period) -> Change:
    """Compare a calendar's busy time with what it said before, inside `since`.

    Time that one of the `others` (calendars of the same instrument) takes as well is not freed.
    """
    old, new = _clipped(before, since), _clipped(after, since)
    anew = subtract(new, old)
    return Change(anew=anew, freed=subtract(old, [*new, *others]), kept=subtract(new, anew))


def _clipped(periods: Iterable[Period], window: Period) -> list[Period]:
    return [
        Period(max(period.start, window.start), min(period.end, window.end))
        for period in merge(periods)
        if period.overlaps(window)
    ]


def blocks_of_units(busy: Sequence[tuple[int, Sequence[Period]]], taken: Mapping[int, Sequence[Period]]) -> list[Block]:
    """Return what calendars block of numbered units: every unit, save where it is taken. `taken` names every unit.

    `busy`: calendar and its time, the first one first; where several take the same time, the first blocks it.
    """
    found: list[Block] = []
    for unit, occupied in taken.items():
        filled = list(occupied)
        for calendar_id, periods in busy:
            left = subtract(periods, filled)
            found += [Block(calendar_id, unit, 1, period) for period in left]
            filled += left
    return found


def blocks_of_places(
    busy: Sequence[tuple[int, Sequence[Period]]], taken: Sequence[tuple[Period, int]], *, capacity: int
) -> list[Block]:
    """Return what calendars block of counted places: as many as nobody has, of `capacity`."""
    found: list[Block] = []
    done: list[Period] = []
    for calendar_id, periods in busy:
        for period in subtract(periods, done):
            done.append(period)
            for piece in _cut(period, [occupied for occupied, _places in taken]):
                left = capacity - sum(places for occupied, places in taken if occupied.overlaps(piece))
                if left > 0:
                    found.append(Block(calendar_id, None, left, piece))
    return found


def _cut(whole: Period, others: Iterable[Period]) -> list[Period]:
    """Cut `whole` wherever one of `others` begins or ends inside it."""
    inside = {edge for other in others for edge in (other.start, other.end) if whole.start < edge < whole.end}
    edges = sorted({whole.start, whole.end, *inside})
    return [Period(start, end) for start, end in pairwise(edges)]


def titles(periods: Sequence[Period], busy: Sequence[Busy]) -> list[str]:
    """Return for each period, which lies inside the union of `busy`, the names of the events that take it."""
    ordered = sorted(busy)
    clusters = merge(each.period for each in ordered)
    members: list[list[Busy]] = [[] for _ in clusters]
    for each in ordered:
        members[_at(clusters, each.period)].append(each)
    return [
        "; ".join(
            list(
                dict.fromkeys(
                    each.summary
                    for each in (members[_at(clusters, period)] if clusters else ())
                    if each.summary and each.period.overlaps(period)
                )
            )[:TITLES]
        )
        for period in periods
    ]


def _at(clusters: Sequence[Period], period: Period) -> int:
    return max(0, bisect_right(clusters, period.start, key=lambda cluster: cluster.start) - 1)
