"""Why a calendar file is refused, in words for the person who uploaded it."""

from __future__ import annotations

from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from scheduler.calendars.ports import CalendarRefused

__all__ = ["DETAILS", "refused"]

DETAILS = {
    "empty": _("文件是空的。"),
    "too_large": _("文件超过 {limit} MB。请只导出最近和将来的日程。"),
    "html": _("这是一个网页，不是日历文件。链接可能已失效，或需要先登录。"),
    "not_calendar": _("这不是日历文件（应以 BEGIN:VCALENDAR 开头）。请从日历软件中导出 .ics 文件。"),
    "broken": _("文件不完整或已损坏：{what}。为避免误放时间，整个文件没有导入。"),
    "too_many_components": _("文件中的条目超过 {limit} 个。请只导出最近和将来的日程。"),
    "too_frequent": _("日程“{event}”的重复过于频繁或过于复杂（{rule}），不像是真实的占用。请修改后重新导出。"),
    "too_many_instances": _("这段时间内的占用超过 {limit} 次。请缩短重复日程，或只导出与该仪器有关的日程。"),
    "unknown_zone": _("日程“{event}”使用了无法识别的时区“{zone}”，文件中也没有它的定义，因此不能确定占用的时间。"),
}
"""By reason code; the templates are filled when shown, so that they follow the reader's language."""


def refused(reason: str, **values: Any) -> CalendarRefused:
    """Return the error for `reason`; params: reason (code) and detail (lazy text)."""
    return CalendarRefused(field="file", reason=reason, detail=format_lazy(DETAILS[reason], **values))
