"""Working days as the State Council fixes them: rest days and make-up days (调休) are data, passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

__all__ = ["Workdays"]

ONE_DAY = timedelta(days=1)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Workdays:
    """A calendar of working days.

    `known_years` are those whose yearly notice of the State Council (国务院办公厅关于部分节假日安排的通知) is in
    `official`; `official` holds only the days that differ from Monday to Friday (True = working). `overrides` win over
    everything: a department may close or open one day. Any other year is estimated as Monday to Friday.
    """

    official: Mapping[date, bool] = field(default_factory=dict)
    known_years: frozenset[int] = frozenset()
    overrides: Mapping[date, bool] = field(default_factory=dict)
    works_as: Mapping[date, int] = field(default_factory=dict)
    """Make-up working days, and the weekday (ISO, Monday 1) whose hours each keeps."""

    def is_working_day(self, day: date) -> bool:
        if day in self.overrides:
            return self.overrides[day]
        return self.official.get(day, day.weekday() < SATURDAY)

    def weekday_of(self, day: date) -> int | None:
        """Return the weekday (ISO, Monday 1) whose hours hold on `day`; None on a public holiday.

        An ordinary weekend is itself: who opens on Saturdays opens on that one. A make-up working day keeps the hours
        of the weekday it replaces; where nobody has said which, those of the working day next to it.
        """
        if not self.is_working_day(day):
            fixed = day in self.overrides or day in self.official
            return None if fixed else day.isoweekday()
        if day.weekday() < SATURDAY:
            return self.works_as.get(day, day.isoweekday())
        return self.works_as.get(day, 5 if day.weekday() == SATURDAY else 1)

    def is_estimated(self, day: date) -> bool:
        """Return whether nobody has fixed yet what `day` is: its year is unknown and no override names it."""
        return day not in self.overrides and day.year not in self.known_years

    def next_working_day(self, day: date) -> date:
        """Return `day` itself if it is one, else the first working day after it."""
        while not self.is_working_day(day):
            day += ONE_DAY
        return day

    def add_working_days(self, day: date, n: int) -> date:
        """Return the `n`-th working day after `day`; `day` itself is not counted (Civil Code, Article 201).

        Such a period ends with that day. ``n = 0`` gives `day`. Raises ValueError for a negative `n`.
        """
        if n < 0:
            raise ValueError("working days are counted forwards only")
        for _ in range(n):
            day = self.next_working_day(day + ONE_DAY)
        return day

    def working_days_between(self, first: date, last: date) -> int:
        """Return how many working days lie after `first` up to and including `last`; 0 when `last` is not later.

        The inverse of `add_working_days`: ``working_days_between(d, add_working_days(d, n)) == n``.
        """
        return sum(self.is_working_day(first + timedelta(days=at)) for at in range(1, (last - first).days + 1))

    def estimated_within(self, first: date, last: date) -> bool:
        """Return whether any day from `first` to `last`, both included, is only estimated."""
        return any(self.is_estimated(first + timedelta(days=at)) for at in range((last - first).days + 1))
