"""Read the calendar."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import cache
from typing import Any

from chinese_calendar import constants

from portal.kernel.workdays import Workdays
from portal.workdays.models import CalendarDay

__all__ = ["official", "workdays"]


@cache
def official() -> Workdays:
    """Return the State Council's calendar as the package `chinesecalendar` carries it, without overrides."""
    days = dict.fromkeys(constants.holidays, False) | dict.fromkeys(constants.workdays, True)
    return Workdays(official=days, known_years=frozenset(day.year for day in constants.holidays), works_as=_paired())


def _paired() -> dict[date, int]:
    """Return the weekday each make-up day replaces: of one year's holiday, the first moved day off for the first, and so on.

    The yearly notice names the days that are worked and the days off, not which is for which; the order is custom.
    """
    moved: dict[tuple[int, Any], list[date]] = defaultdict(list)
    for day, holiday in sorted(constants.in_lieu_days.items()):
        moved[day.year, holiday].append(day)
    worked: dict[tuple[int, Any], list[date]] = defaultdict(list)
    for day, holiday in sorted(constants.workdays.items()):
        worked[day.year, holiday].append(day)
    return {
        day: off.isoweekday() for which, days in worked.items() for day, off in zip(days, moved[which], strict=False)
    }


def workdays() -> Workdays:
    """Return the calendar in force: the State Council's, with the portal's own days over it. One query."""
    base = official()
    rows = list(CalendarDay.objects.values_list("date", "is_working", "works_as"))
    return Workdays(
        official=base.official,
        known_years=base.known_years,
        overrides={day: is_working for day, is_working, _as in rows},
        works_as={**base.works_as, **{day: works_as for day, _is_working, works_as in rows if works_as}},
    )
