"""Why a calendar file is refused or an address gives none, in words for the person whose calendar it is."""

from __future__ import annotations

from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from scheduler.calendars.ports import CalendarRefused, CalendarUnreachable

__all__ = ["DETAILS", "UNREACHABLE", "refused", "unreachable"]

DETAILS = {
    "empty": _("文件是空的。"),
    "too_large": _("文件超过 {limit} MB。请只导出最近和将来的日程。"),
    "html": _("这是一个网页，不是日历文件。链接可能已失效，或需要先登录。"),
    "not_calendar": _("这不是日历文件（应以 BEGIN:VCALENDAR 开头）。请从日历软件中导出 .ics 文件。"),
    "broken": _("文件不完整或已损坏：{what}。为避免误放时间，整个文件没有导入。"),
    "too_many_components": _("文件中的条目超过 {limit} 个。请只导出最近和将来的日程。"),
    "too_frequent": _("日程“{event}”的重复过于频繁或过于复杂（{rule}），不像是真实的占用。请修改后重新导出。"),
    "too_many_instances": _("这段时间内的占用超过 {limit} 次。请缩短重复日程，或只导出与该仪器有关的日程。"),
    "too_slow": _("文件过于复杂，未能在限定时间内读完。请只导出最近和将来的日程。"),
    "unknown_zone": _("日程“{event}”使用了无法识别的时区“{zone}”，文件中也没有它的定义，因此不能确定占用的时间。"),
}
"""By reason code; the templates are filled when shown, so that they follow the reader's language."""


UNREACHABLE = {
    "bad_address": _("地址无效。请填写以 https://、http:// 或 webcal:// 开头的日历地址，不含用户名和密码。"),
    "private_address": _("该地址在内部网络中，平台不能访问。请使用可公开访问的日历地址。"),
    "unresolved": _("找不到服务器“{host}”。请核对地址。"),
    "redirects": _("地址被多次转到别处，或转到不安全的地址。请直接填写最终地址。"),
    "timeout": _("服务器没有在限定时间内回答。"),
    "connection": _("连接失败，或服务器的证书无效。"),
    "status": _("服务器回答 {status}。链接可能已失效，请在日历软件中重新生成。"),
    "too_large": _("文件超过 {limit} MB。请只发布最近和将来的日程。"),
    "encoding": _("回答的压缩内容无法读取或不完整。"),
}
"""Why an address gave no file, by reason code."""


def refused(reason: str, **values: Any) -> CalendarRefused:
    """Return the error for `reason`; params: reason (code), detail (lazy text) and the values in it."""
    return CalendarRefused(field="file", reason=reason, detail=format_lazy(DETAILS[reason], **values), values=values)


def unreachable(reason: str, *, retry_s: int = 0, **values: Any) -> CalendarUnreachable:
    """Return the error for an address that gave no file; params as for ``refused``."""
    return CalendarUnreachable(
        field="url",
        reason=reason,
        detail=format_lazy(UNREACHABLE[reason], **values),
        values=values,
        retry_s=retry_s,
    )
