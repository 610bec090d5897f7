"""When waiting jobs of a local runner may start, if every running one uses its whole limit. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Share", "starts"]

MOST = 200
"""How far down the queue it is worth looking."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a job takes, and for how many seconds at most."""

    cpus: int
    cards: int
    memory_mb: int
    seconds: float

    @property
    def counts(self) -> tuple[int, int, int]:
        return (self.cpus, self.cards, self.memory_mb)


def starts(total: Share, running: Iterable[Share], waiting: Mapping[str, Share]) -> dict[str, float]:
    """Return in how many seconds each of `waiting` starts, in that order and none before the one ahead.

    What would never fit is left out and holds nobody up.
    """
    ends = [(share.seconds, share.counts) for share in running]
    heapq.heapify(ends)
    free = [whole - sum(counts[at] for _end, counts in ends) for at, whole in enumerate(total.counts)]
    now = 0.0
    found: dict[str, float] = {}
    for name, share in list(waiting.items())[:MOST]:
        if any(wanted > whole for wanted, whole in zip(share.counts, total.counts, strict=True)):
            continue
        while any(wanted > left for wanted, left in zip(share.counts, free, strict=True)):
            if not ends:
                return found
            now, counts = max(now, ends[0][0]), heapq.heappop(ends)[1]
            free = [left + back for left, back in zip(free, counts, strict=True)]
        found[name] = now
        free = [left - taken for left, taken in zip(free, share.counts, strict=True)]
        heapq.heappush(ends, (now + share.seconds, share.counts))
    return found
