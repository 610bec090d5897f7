"""Read the calendar."""

from __future__ import annotations

from datetime import date
from functools import cache

from chinese_calendar import constants

from portal.kernel.workdays import Workdays
from portal.workdays.models import CalendarDay

__all__ = ["official", "workdays"]


@cache
def official() -> Workdays:
    """Return the State Council's calendar as the package `chinesecalendar` carries it, without overrides."""
    days = dict.fromkeys(constants.holidays, False) | dict.fromkeys(constants.workdays, True)
    return Workdays(official=days, known_years=frozenset(day.year for day in constants.holidays))


def workdays() -> Workdays:
    """Return the calendar in force: the State Council's, with the portal's own days over it. One query."""
    base = official()
    overrides: dict[date, bool] = dict(CalendarDay.objects.values_list("date", "is_working"))
    return Workdays(official=base.official, known_years=base.known_years, overrides=overrides)
