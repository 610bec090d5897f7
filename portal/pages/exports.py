"""Files people take away: the settlement statement as a workbook, and plain tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import xlsxwriter
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.pages import shell
from portal.pages.actions import subject_link
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.rules import Leg

__all__ = ["FORMATS", "SHEET", "exported", "settlement_workbook", "xlsx_table"]

FORMATS = ("csv", "xlsx")
"""What a list may be asked for as, by ``?format=``."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

SHEET = "settlement"
WIDTHS = (6, 16, 18, 20, 30, 22, 16, 26, 14, 14, 14, 14, 14, 36)
LEGS = (Leg.VOUCHER, Leg.OWN, Leg.CLAIM, Leg.OFFSET)
FIRST_LINE = 9
"""The row of the first line, counted from 0; above it stand the batch's facts and the heading."""


def _text(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M") if at else ""


def _yuan(fen: int) -> float:
    """Return yuan as a spreadsheet holds numbers; exact to the fen below 10 trillion yuan."""
    return float(Money(fen).yuan())


def settlement_workbook(batch: SettlementBatch, lines: Sequence[SettlementLine]) -> bytes:
    """Return the statement of a batch as xlsx: every line with both legs, totals, and a block to sign.

    Numbers of records are text, nothing typed by people can become a formula or a link, and the same batch in the
    same language gives the same bytes, for its creation date is that of the batch.
    """
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    book.set_properties(
        {"title": batch.number, "created": timezone.localtime(batch.created_at).replace(tzinfo=None, microsecond=0)}
    )
    sheet = book.add_worksheet(SHEET)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    formats = {
        "title": book.add_format({"bold": True, "font_size": 16}),
        "head": book.add_format({"bold": True, "border": 1, "text_wrap": True, "valign": "top"}),
        "text": book.add_format({"border": 1, "text_wrap": True, "valign": "top", "num_format": "@"}),
        "money": book.add_format({"border": 1, "num_format": "#,##0.00", "valign": "top"}),
        "total": book.add_format({"bold": True, "border": 1, "num_format": "#,##0.00"}),
        "bold": book.add_format({"bold": True, "border": 1}),
        "label": book.add_format({"bold": True}),
        "sign": book.add_format({"bottom": 1}),
    }
    _write_facts(sheet, batch, formats)
    last = _write_lines(sheet, lines, formats)
    _write_signatures(sheet, batch, last + 2, formats)
    sheet.freeze_panes(FIRST_LINE, 0)
    book.close()
    return buffer.getvalue()


def _write_facts(sheet: Any, batch: SettlementBatch, formats: dict[str, Any]) -> None:
    sheet.write_string(0, 0, gettext("结算单 %(number)s") % {"number": batch.number}, formats["title"])
    facts = (
        (gettext("收款单位"), bilingual(batch.payee)),
        (gettext("统一社会信用代码"), batch.payee.credit_code),
        (gettext("状态"), label_of("settlement", batch.state)[1]),
        (gettext("编制时间"), f"{_text(batch.created_at)} {gettext('北京时间')}"),
        (gettext("付款凭证号"), batch.bank_reference),
    )
    for row, (name, value) in enumerate(facts, 2):
        sheet.write_string(row, 0, name, formats["label"])
        sheet.write_string(row, 3, value)


def _write_lines(sheet: Any, lines: Sequence[SettlementLine], formats: dict[str, Any]) -> int:
    """Write the heading, one row a line and the totals; return the row of the totals."""
    heads = (
        gettext("序号"),
        gettext("费用单号或申领号"),
        gettext("服务或项目"),
        gettext("服务完成时间"),
        gettext("付款单位"),
        gettext("付款单位信用代码"),
        gettext("券号"),
        gettext("付款号"),
        gettext("券抵扣（元）"),
        gettext("企业自付（元）"),
        gettext("申领（元）"),
        gettext("抵扣（元）"),
        gettext("合计（元）"),
        gettext("出资分担"),
    )
    for column, text in enumerate(heads):
        sheet.write_string(FIRST_LINE - 1, column, text, formats["head"])
    sums = dict.fromkeys(LEGS, 0)
    for at, line in enumerate(lines):
        row, leg = FIRST_LINE + at, Leg(line.leg)
        sums[leg] += line.amount_fen
        for column, text in enumerate((str(at + 1), *_about(line))):
            sheet.write_string(row, column, text, formats["text"])
        for column, part in enumerate(LEGS, 8):
            sheet.write_number(row, column, _yuan(line.amount_fen if leg is part else 0), formats["money"])
        sheet.write_number(row, 12, _yuan(line.amount_fen), formats["money"])
        sheet.write_string(row, 13, _borne(line), formats["text"])
    last = FIRST_LINE + len(lines)
    sheet.write_string(last, 0, gettext("合计"), formats["bold"])
    for column in range(1, 8):
        sheet.write_blank(last, column, None, formats["bold"])
    totals = (*(sums[leg] for leg in LEGS), sum(sums.values()))
    for letter, fen in zip("IJKLM", totals, strict=True):
        formula = f"=SUM({letter}{FIRST_LINE + 1}:{letter}{last})"
        sheet.write_formula(f"{letter}{last + 1}", formula, formats["total"], _yuan(fen))
    return last


def _about(line: SettlementLine) -> tuple[str, ...]:
    """Return what a line is about: number, service, when, whom for, by which voucher or payment."""
    if line.claim is not None:
        claim = line.claim
        party = (bilingual(claim.claimant), claim.claimant.credit_code)
        return (claim.number, bilingual(claim.version), _text(claim.approved_at), *party, "", "")
    charge = line.charge
    if charge is None:
        payee = line.batch.payee
        case = line.recovery.number if line.recovery else ""
        money = f"{line.programme_code} {line.fiscal_year}" if line.programme_code else label_of("leg", "own")[1]
        return (case, money, "", bilingual(payee), payee.credit_code, "", "")
    return (
        charge.number,
        subject_link(charge.subject)[0],
        _text(charge.resolved_at),
        bilingual(charge.payer),
        charge.payer.credit_code,
        line.voucher.number if line.voucher else "",
        charge.payment.number if line.leg == Leg.OWN.value else "",
    )


def _borne(line: SettlementLine) -> str:
    """Say what each payer bears of a claim."""
    parts = line.claim.parts.all() if line.claim else ()
    return gettext("、").join(f"{part.payer} {Money(part.amount_fen)}" for part in parts)


def _write_signatures(sheet: Any, batch: SettlementBatch, row: int, formats: dict[str, Any]) -> None:
    signed = (
        (gettext("编制"), batch.created_by, batch.created_at),
        (gettext("审批"), batch.approved_by, batch.approved_at),
        (gettext("付款"), batch.paid_by, batch.paid_at),
    )
    for at, (role, person, when) in enumerate(signed):
        sheet.write_string(row + at, 0, role, formats["label"])
        sheet.write_string(row + at, 1, str(person) if person else "", formats["sign"])
        sheet.write_string(row + at, 3, _text(when), formats["sign"])
        sheet.write_string(row + at, 4, gettext("签章："), formats["label"])
        sheet.write_blank(row + at, 5, None, formats["sign"])


def xlsx_table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a plain table as xlsx: one heading row, `Money` as numbers, everything else as text nobody computes."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    sheet = book.add_worksheet(title[:31])
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    for column, text in enumerate(head):
        sheet.write_string(0, column, text, bold)
        sheet.set_column(column, column, 18)
    for number, row in enumerate(rows, 1):
        for column, cell in enumerate(row):
            if isinstance(cell, Money):
                sheet.write_number(number, column, cell.fen / 100, money)
            elif isinstance(cell, int | float) and not isinstance(cell, bool):
                sheet.write_number(number, column, cell)
            else:
                sheet.write_string(number, column, "" if cell is None else str(cell))
    sheet.freeze_panes(1, 0)
    book.close()
    return buffer.getvalue()


def exported(name: str, wanted: str, head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """Return a table as one of `FORMATS`; `Money` is a decimal number of yuan in either."""
    titles = [str(title) for title in head]
    if wanted == "csv":
        return shell.csv_response(name, titles, rows)
    response = HttpResponse(xlsx_table(name, titles, rows), content_type=XLSX)
    response["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    return response
