"""File formats as data: what a payment order looks like for a treasury or bank, and how its answer is read. Pure.

A format is a document of plain values, kept with every order, so that a file made years ago can still be explained. What
no format does is left to the reader of the file; what every format does: amounts are exact, identifiers are text, no
cell of a table becomes a formula, and the same order gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import xlsxwriter

from portal.kernel.cells import inert
from portal.kernel.errors import Reason, Refused, noop
from portal.kernel.money import Money

__all__ = ["FIELDS", "PRESETS", "BadFormat", "FileFormat", "FormatColumn", "OrderRow", "format_of", "render"]

_ = noop

FIELDS: Final = (
    *("order", "position", "reference", "batch", "payee", "credit_code", "holder", "bank", "cnaps", "number"),
    *("amount", "currency", "purpose", "day"),
)
"""What a column may hold."""
ENCODINGS: Final = ("utf-8", "utf-8-sig", "gb18030")
KINDS: Final = ("csv", "txt", "xlsx")


class BadFormat(Refused):
    """Every fault of a format's document at once."""

    code = "payment_order.bad_format"
    message = _("文件格式的定义有误，原因如下。")


@dataclass(frozen=True, slots=True)
class FormatColumn:
    """One column: what it holds, its heading; `width` only for workbooks."""

    key: str
    title: str
    width: int = 18


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How a payment order is written. `lead` and `tail` are lines of text before and after the table.

    They may name ``{order}``, ``{count}``, ``{total}``, ``{day}``. `amount` is yuan with two decimals or whole fen.
    `quote`: cells with the delimiter are quoted, as in CSV; without it the delimiter in a cell becomes a space, since
    such files know no quotes. `guard` puts an apostrophe before what a spreadsheet would compute. `text_mark` is put before long
    numbers so that a spreadsheet keeps their digits.
    """

    code: str
    name: str
    kind: str
    columns: tuple[FormatColumn, ...]
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    newline: str = "\r\n"
    header: bool = True
    amount: str = "yuan"
    lead: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    quote: bool = True
    guard: bool = True
    text_mark: str = ""

    @property
    def extension(self) -> str:
        return self.kind

    @property
    def media_type(self) -> str:
        if self.kind == "xlsx":
            return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        charset = "utf-8" if self.encoding.startswith("utf-8") else self.encoding
        return f"text/{'csv' if self.kind == 'csv' else 'plain'}; charset={charset}"


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One payment: values by the names of `FIELDS`; the amount apart, in fen."""

    amount_fen: int
    values: Mapping[str, str] = field(default_factory=dict)


def format_of(document: Mapping[str, Any]) -> FileFormat:
    """Return the format a document describes. Raises BadFormat with every fault and its key."""
    reasons: list[Reason] = []

    def wrong(key: str, remedy: str) -> None:
        message = _("“%(key)s”不能这样写。")
        reasons.append(Reason("payment_order.format_key", message, remedy, field="definition", params={"key": key}))

    known = {name for name in FileFormat.__slots__ if name != "columns"} | {"columns"}
    for key in sorted(set(document) - known):
        wrong(str(key)[:40], _("没有这个键，请删去。"))
    if document.get("kind") not in KINDS:
        wrong("kind", _("应为 csv、txt 或 xlsx。"))
    if document.get("encoding", "utf-8-sig") not in ENCODINGS:
        wrong("encoding", _("应为 utf-8、utf-8-sig 或 gb18030。"))
    if document.get("amount", "yuan") not in ("yuan", "fen"):
        wrong("amount", _("应为 yuan 或 fen。"))
    delimiter, mark = document.get("delimiter", ","), document.get("text_mark", "")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not (delimiter.isprintable() or delimiter == "\t"):
        wrong("delimiter", _("应为一个字符。"))
    if not isinstance(mark, str) or len(mark) > 1 or delimiter == '"':
        wrong("text_mark", _("应为一个字符。"))
    for key in ("header", "quote", "guard"):
        if not isinstance(document.get(key, True), bool):
            wrong(key, _("应为 true 或 false。"))
    if document.get("newline", "\n") not in ("\n", "\r\n"):
        wrong("newline", _("应为 \\n 或 \\r\\n。"))
    columns = document.get("columns")
    if not isinstance(columns, list) or not 1 <= len(columns) <= 40:
        wrong("columns", _("应为 1 至 40 列，每列有 key 和 title。"))
        columns = []
    for at, column in enumerate(columns, 1):
        if not isinstance(column, Mapping) or column.get("key") not in FIELDS:
            wrong(f"columns.{at}.key", _("应为列表中的字段之一。"))
        elif type(column.get("width", 18)) is not int:
            wrong(f"columns.{at}.width", _("应为整数。"))
    if not reasons and not {"amount", "number"} <= {column["key"] for column in columns}:
        wrong("columns", _("至少要有账号（number）和金额（amount）两列。"))
    for key in ("lead", "tail"):
        if not isinstance(document.get(key, []), list) or not all(_fills(line) for line in document.get(key, [])):
            wrong(key, _("应为文字的列表，只能用 {order}、{count}、{total}、{day}，每行不得换行，也不得含账号。"))
    for key in ("code", "name"):
        if not isinstance(document.get(key), str) or not 1 <= len(document[key]) <= 60:
            wrong(key, _("应为 1 至 60 个字。"))
    if reasons:
        raise BadFormat(reasons)
    plain = {key: value for key, value in document.items() if key != "columns"}
    plain |= {key: tuple(plain[key]) for key in ("lead", "tail") if key in plain}
    return FileFormat(
        columns=tuple(
            FormatColumn(column["key"], str(column.get("title") or column["key"]), int(column.get("width", 18)))
            for column in columns
        ),
        **plain,
    )


def _fills(line: Any) -> bool:
    try:
        filled = line.format(order="", count=0, total="", day="") if isinstance(line, str) else None
        # A line of the format's own must not pass for a payment.
        return filled is not None and not re.search(r"[\r\n]|(\d[ -]?){8}", filled)
    except (KeyError, IndexError, ValueError, AttributeError):
        return False


def _amount(fen: int, wanted: FileFormat) -> str:
    return str(fen) if wanted.amount == "fen" else Money(fen).yuan()


def _cell(row: OrderRow, key: str, wanted: FileFormat) -> str:
    if key == "amount":
        return _amount(row.amount_fen, wanted)
    text = " ".join(row.values.get(key, "").split())
    if not wanted.quote:
        text = text.replace(wanted.delimiter, " ")
    if wanted.guard:
        text = inert(text)
    if wanted.text_mark and text.isdecimal() and len(text) > 11:
        text = f"{wanted.text_mark}{text}"
    return text


def render(wanted: FileFormat, rows: Sequence[OrderRow], *, order: str, made_at: datetime) -> bytes:
    """Return the file: the same order gives the same bytes. `made_at` is the order's own time, in its reader's zone."""
    total = sum(row.amount_fen for row in rows)
    said = {"order": order, "count": len(rows), "total": _amount(total, wanted), "day": f"{made_at:%Y%m%d}"}
    if wanted.kind == "xlsx":
        return _workbook(wanted, rows, said, made_at)
    buffer = io.StringIO()
    for line in wanted.lead:
        buffer.write(line.format(**said) + wanted.newline)
    cells = [[_cell(row, column.key, wanted) for column in wanted.columns] for row in rows]
    if wanted.header:
        cells.insert(0, [column.title for column in wanted.columns])
    if wanted.quote:
        csv.writer(buffer, delimiter=wanted.delimiter, lineterminator=wanted.newline).writerows(cells)
    else:
        buffer.writelines(wanted.delimiter.join(line) + wanted.newline for line in cells)
    for line in wanted.tail:
        buffer.write(line.format(**said) + wanted.newline)
    return buffer.getvalue().encode(wanted.encoding)


def _workbook(wanted: FileFormat, rows: Sequence[OrderRow], said: Mapping[str, Any], made_at: datetime) -> bytes:
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    book.set_properties({"title": said["order"], "created": made_at.replace(tzinfo=None, microsecond=0)})
    sheet = book.add_worksheet("payment")
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    money = book.add_format({"num_format": "0" if wanted.amount == "fen" else "0.00"})
    at = 0
    for line in wanted.lead:
        sheet.write_string(at, 0, line.format(**said), bold)
        at += 1
    if wanted.header:
        for place, column in enumerate(wanted.columns):
            sheet.write_string(at, place, column.title, bold)
            sheet.set_column(place, place, column.width)
        at += 1
    for row in rows:
        for place, column in enumerate(wanted.columns):
            if column.key == "amount":
                number = row.amount_fen if wanted.amount == "fen" else row.amount_fen / 100
                sheet.write_number(at, place, number, money)
            else:
                sheet.write_string(at, place, " ".join(row.values.get(column.key, "").split()), text)
        at += 1
    for line in wanted.tail:
        sheet.write_string(at, 0, line.format(**said), bold)
        at += 1
    book.close()
    return buffer.getvalue()


def _columns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "title": title} for key, title in pairs]


TABLE: Final = _columns(
    ("position", "序号"),
    ("reference", "明细号"),
    ("batch", "结算批次"),
    ("payee", "收款单位"),
    ("credit_code", "统一社会信用代码"),
    ("holder", "收款户名"),
    ("number", "收款账号"),
    ("bank", "开户行"),
    ("cnaps", "联行号"),
    ("amount", "金额（元）"),
    ("currency", "币种"),
    ("purpose", "用途"),
)

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "generic-csv": {
            "code": "generic-csv",
            "name": _("通用 CSV（UTF-8）"),
            "kind": "csv",
            "columns": TABLE,
            "text_mark": "\t",
        },
        "generic-xlsx": {"code": "generic-xlsx", "name": _("通用 xlsx"), "kind": "xlsx", "columns": TABLE},
        "bank-csv": {
            "code": "bank-csv",
            "name": _("网银批量转账 CSV（GB18030）"),
            "kind": "csv",
            "encoding": "gb18030",
            "columns": _columns(
                ("position", "序号"),
                ("number", "收款账号"),
                ("holder", "收款户名"),
                ("bank", "收款行名称"),
                ("cnaps", "收款行联行号"),
                ("amount", "金额"),
                ("purpose", "附言"),
                ("reference", "客户流水号"),
            ),
        },
        "bank-txt": {
            "code": "bank-txt",
            "name": _("银企直联批量转账 TXT（GB18030，竖线分隔，金额为分）"),
            "kind": "txt",
            "encoding": "gb18030",
            "delimiter": "|",
            "header": False,
            "quote": False,
            "guard": False,
            "amount": "fen",
            "lead": ["{order}|{day}|{count}|{total}|CNY"],
            "columns": _columns(
                ("reference", ""),
                ("number", ""),
                ("holder", ""),
                ("cnaps", ""),
                ("bank", ""),
                ("amount", ""),
                ("purpose", ""),
            ),
        },
    }
)
"""What comes with the portal; a department adds its treasury's and bank's own."""
