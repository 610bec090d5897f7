"""A public notice as files: CSV, workbook and PDF, all with exactly what the page prints."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import xlsxwriter
from django.http import HttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext

from portal import papers
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.pages.casework import language
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, csv_response
from portal.pages.templatetags.show import bilingual, day_text
from vouchers.notices import services
from vouchers.notices.models import Notice, NoticeItem

__all__ = ["FORMATS", "HEADS", "cells", "heads", "shown", "taken_away", "title_of"]

_ = noop

HEADS: Final[Mapping[str, str]] = {
    "number": _("申请号"),
    "applicant": _("申请单位"),
    "programme": _("政策项目"),
    "provider": _("服务单位"),
    "project": _("项目名称"),
    "base": _("核定基数（元）"),
    "amount": _("拟支持金额（元）"),
}
MONEY: Final = ("base", "amount")


def title_of(notice: Notice) -> str:
    """Return a notice's title; the portal's own wording is said in the reader's language, people's words as they are."""
    return (
        services.default_title(version=notice.version, round_=notice.round, name=bilingual(notice.version))
        if (notice.title == _chinese_title(notice))
        else notice.title
    )


def _chinese_title(notice: Notice) -> str:
    with translation.override("zh-hans"):
        return services.default_title(version=notice.version, round_=notice.round, name=notice.version.name)


def heads(notice: Notice) -> list[str]:
    """Return the column heads of a notice: its place, its fields, its state."""
    return [gettext("序号"), *(gettext(HEADS[name]) for name in notice.fields), gettext("状态")]


def cells(notice: Notice, item: NoticeItem) -> list[str]:
    """Return an item as the public reads it."""
    values = [_cell(notice, item, name) for name in notice.fields]
    return [str(item.position), *values, label_of("notice_item", item.state)[1]]


def _csv(notice: Notice, items: Sequence[NoticeItem]) -> HttpResponse:
    return csv_response(notice.number, heads(notice), (cells(notice, item) for item in items))


def _sent(content: bytes, *, name: str, media_type: str) -> HttpResponse:
    response = HttpResponse(content, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _workbook(notice: Notice, items: Sequence[NoticeItem]) -> HttpResponse:
    """Return a workbook whose texts can become neither formulas nor links; amounts are numbers."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    sheet = book.add_worksheet("notice")
    bold, amount = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    sheet.write_string(0, 0, title_of(notice), book.add_format({"bold": True, "font_size": 14}))
    sheet.write_string(1, 0, period_text(notice))
    for column, text in enumerate(heads(notice)):
        sheet.write_string(3, column, text, bold)
        sheet.set_column(column, column, 8 if column == 0 else 26)
    for row, item in enumerate(items, start=4):
        for column, text in enumerate(cells(notice, item)):
            is_money = 0 < column <= len(notice.fields) and notice.fields[column - 1] in MONEY and text
            if is_money:
                sheet.write_number(row, column, float(text), amount)
            else:
                sheet.write_string(row, column, text)
    book.close()
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _sent(buffer.getvalue(), name=f"{notice.number}.xlsx", media_type=kind)


def period_text(notice: Notice) -> str:
    """Say from when to when a notice runs."""
    if notice.published_at is None or notice.last_day is None:
        return gettext("尚未发布")
    return gettext("公示期：%(first)s起，至%(last)s止（%(days)s 个工作日，发布当日不计）。") % {
        "first": day_text(timezone.localtime(notice.published_at).date(), weekday=False),
        "last": day_text(notice.last_day, weekday=False),
        "days": notice.working_days,
    }


def _pdf(notice: Notice, items: Sequence[NoticeItem]) -> HttpResponse:
    department = bilingual(notice.version.programme.department)
    total = Money(sum(item.amount_fen for item in items))
    lines = [
        period_text(notice),
        gettext("公示期内如有异议，请署名并附事实依据，在本平台公示页提交；受理：%(to)s。")
        % {"to": notice.objection_to or department},
        gettext("共 %(count)s 项，合计 %(total)s。") % {"count": len(items), "total": total},
    ]
    at = timezone.localtime(notice.published_at).date() if notice.published_at else None
    sheet = papers.Sheet(
        title=title_of(notice),
        heads=heads(notice),
        rows=[cells(notice, item) for item in items],
        lines=lines,
        closing=[department, *([day_text(at, weekday=False)] if at else [])],
        numbers=[0, *(at for at, name in enumerate(notice.fields, start=1) if name in MONEY)],
        foot=notice.number,
        lang=language(),
    )
    return _sent(papers.pdf(sheet), name=f"{notice.number}.pdf", media_type="application/pdf")


FORMATS: Final[Mapping[str, Callable[[Notice, Sequence[NoticeItem]], HttpResponse]]] = {
    "csv": _csv,
    "xlsx": _workbook,
    "pdf": _pdf,
}


def taken_away(notice: Notice, wanted: str) -> HttpResponse | None:
    """Return the notice in the wanted format; None for a format there is not."""
    write = FORMATS.get(wanted)
    return write(notice, list(notice.items.all()[:EXPORT_LIMIT])) if write else None


def _cell(notice: Notice, item: NoticeItem, name: str) -> str:
    """Return a printed cell; the programme is named in the reader's language."""
    return bilingual(notice.version) if name == "programme" else str(item.printed.get(name, ""))


def shown(notice: Notice, item: NoticeItem) -> list[dict[str, Any]]:
    """Return an item's cells for a page: each with its field's name and head."""
    return [{"field": name, "head": gettext(HEADS[name]), "text": _cell(notice, item, name)} for name in notice.fields]
