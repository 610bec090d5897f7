"""Periods: half-open spans of aware time, ``[start, end)``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from portal.kernel.errors import Invalid, noop

__all__ = ["BadPeriod", "Period", "merge", "subtract"]

_ = noop


class BadPeriod(Invalid):
    code = "invalid.period"
    message = _("结束时间必须晚于开始时间。")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """``[start, end)`` in UTC. Both bounds aware and finite; raises BadPeriod unless start < end."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a Period needs aware datetimes")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.start >= self.end:
            raise BadPeriod(field="ends_at")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def overlaps(self, other: Period) -> bool:
        return self.start < other.end and other.start < self.end

    def covers(self, other: Period) -> bool:
        return self.start <= other.start and other.end <= self.end

    def padded(self, *, before: timedelta, after: timedelta) -> Period:
        return Period(self.start - before, self.end + after)

    @property
    def duration(self) -> timedelta:
        """Elapsed time, not wall time: an hour lost to a DST gap is not in it."""
        return self.end - self.start


def merge(periods: Iterable[Period]) -> list[Period]:
    """Return the union as sorted, disjoint, non-touching periods."""
    merged: list[Period] = []
    for period in sorted(periods):
        if merged and period.start <= merged[-1].end:
            if period.end > merged[-1].end:
                merged[-1] = Period(merged[-1].start, period.end)
        else:
            merged.append(period)
    return merged


def subtract(whole: Iterable[Period], taken: Iterable[Period]) -> list[Period]:
    """Return what is left of `whole` after removing `taken`: sorted and disjoint."""
    left: list[Period] = []
    blocks = merge(taken)
    for period in merge(whole):
        start = period.start
        for block in blocks:
            if block.end <= start:
                continue
            if block.start >= period.end:
                break
            if block.start > start:
                left.append(Period(start, block.start))
            start = block.end
        if start < period.end:
            left.append(Period(start, period.end))
    return left
