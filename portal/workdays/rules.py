"""Read a pasted list of calendar days. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from portal.kernel.errors import Invalid, noop

__all__ = ["MAX_DAYS", "BadCalendarLine", "Day", "NothingToImport", "TooManyDays", "read_days"]

_ = noop

MAX_DAYS: Final = 800
"""Two years and some; a longer list is a mistake."""
WORKING: Final = frozenset({"班", "上班", "工作日", "working", "work", "1", "true"})
REST: Final = frozenset({"休", "休息", "放假", "节假日", "rest", "holiday", "0", "false"})


class BadCalendarLine(Invalid):
    code = "workdays.line"
    message = _("第 %(line)s 行“%(text)s”无法识别。请按“日期,班或休,名称”填写，例如 2027-02-06,班,春节调休。")


class TooManyDays(Invalid):
    code = "workdays.too_many"
    message = _("一次最多导入 %(limit)s 天，请分批导入。")


class NothingToImport(Invalid):
    code = "workdays.nothing"
    message = _("没有可导入的日期。请每行填写一天，例如 2027-01-01,休,元旦。")


@dataclass(frozen=True, slots=True)
class Day:
    """One day as it shall count; `name` says why ("" = unsaid)."""

    date: date
    is_working: bool
    name: str = ""


def read_days(text: str) -> list[Day]:
    """Read lines ``2027-02-06,班,春节调休`` (comma, full-width comma or tab), one a day, the last word on a day wins.

    Raises BadCalendarLine naming the line, TooManyDays, NothingToImport.
    """
    days: dict[date, Day] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.replace("，", ",").replace("\t", ",").split(",", 2)]
        try:
            day = date.fromisoformat(parts[0])
        except ValueError:
            raise BadCalendarLine(field="text", line=number, text=line.strip()[:60]) from None
        word = parts[1].lower() if len(parts) > 1 else ""
        if word not in WORKING | REST:
            raise BadCalendarLine(field="text", line=number, text=line.strip()[:60])
        days[day] = Day(day, word in WORKING, parts[2][:60] if len(parts) > 2 else "")
        if len(days) > MAX_DAYS:
            raise TooManyDays(field="text", limit=MAX_DAYS)
    if not days:
        raise NothingToImport(field="text")
    return sorted(days.values(), key=lambda day: day.date)
