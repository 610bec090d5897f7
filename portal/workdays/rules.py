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
WEEKDAYS: Final = {
    **{f"周{name}": at for at, name in enumerate("一二三四五六日", start=1)},
    **{f"星期{name}": at for at, name in enumerate("一二三四五六日", start=1)},
    **{name: at for at, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), start=1)},
}
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


class WorksAsRestDay(Invalid):
    code = "workdays.works_as"
    message = _("只有上班的日子才能写“按周几”，请去掉这一项，或改为“班”。")


@dataclass(frozen=True, slots=True)
class Day:
    """One day as it shall count; `name` says why ("" = unsaid), `works_as` whose weekday's hours a make-up day keeps.

    Weekdays are ISO, Monday 1. Raises WorksAsRestDay for a day off that names one.
    """

    date: date
    is_working: bool
    name: str = ""
    works_as: int | None = None

    def __post_init__(self) -> None:
        if self.works_as is not None and not self.is_working:
            raise WorksAsRestDay(field="works_as")


def read_days(text: str) -> list[Day]:
    """Read lines ``2027-02-06,班,春节调休,周四`` (comma, full-width comma or tab), one a day, the last word on a day wins.

    What follows the third comma is the weekday whose hours a make-up day keeps; it may be left out.

    Raises BadCalendarLine naming the line, TooManyDays, NothingToImport.
    """
    days: dict[date, Day] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.replace("，", ",").replace("\t", ",").split(",", 3)]
        try:
            day = date.fromisoformat(parts[0])
        except ValueError:
            raise BadCalendarLine(field="text", line=number, text=line.strip()[:60]) from None
        word = parts[1].lower() if len(parts) > 1 else ""
        as_word = parts[3] if len(parts) > 3 else ""
        if word not in WORKING | REST or (as_word and as_word.removeprefix("按").lower() not in WEEKDAYS):
            raise BadCalendarLine(field="text", line=number, text=line.strip()[:60])
        name = parts[2][:60] if len(parts) > 2 else ""
        days[day] = Day(day, word in WORKING, name, WEEKDAYS.get(as_word.removeprefix("按").lower()))
        if len(days) > MAX_DAYS:
            raise TooManyDays(field="text", limit=MAX_DAYS)
    if not days:
        raise NothingToImport(field="text")
    return sorted(days.values(), key=lambda day: day.date)
