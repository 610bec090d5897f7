"""What a table is: its columns, its rows, what is wrong with them, and how one cell is read. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Reason, Refused, noop
from portal.kernel.money import MAX_FEN, Money

__all__ = ["LIMITS", "BadCell", "BadTable", "Column", "Kind", "Limits", "Problem", "Row", "Table", "heading", "parse"]

_ = noop

PLACES: Final = 6
"""Most decimals of a quantity."""
LARGEST: Final = 10**15
SHOWN: Final = 40


class BadTable(Refused):
    """The file as a whole cannot be read as this table. `reasons` hold every ground, each with its remedy."""

    code = "table.unreadable"
    message = _("表格无法读取，原因如下。")


class Kind(StrEnum):
    """How a column's cells are read.

    `text` to str; `day` to date; `quantity` to Fraction ≥ 0 with at most six decimals; `money` to Money ≥ 0 from yuan with
    at most two decimals; `whole` to int ≥ 0.
    """

    TEXT = "text"
    DAY = "day"
    QUANTITY = "quantity"
    MONEY = "money"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` in the rows, `title` as people are told it (Chinese, translatable), other headings taken for it."""

    key: str
    title: str
    kind: Kind = Kind.TEXT
    names: tuple[str, ...] = ()
    required: bool = True
    max_length: int = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of the file, bytes it may unpack to, how many times its size that may be, data rows, columns looked at."""

    size: int = 10 * 1024 * 1024
    unpacked: int = 100 * 1024 * 1024
    ratio: int = 100
    rows: int = 20_000
    columns: int = 64
    problems: int = 100
    """How many faults are collected before reading stops: nobody mends more at once."""


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its number as the spreadsheet shows it, and its values by column key; None where left empty."""

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where, and what would mend it. `reason` names row and column in its own words, too."""

    row: int
    column: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Table:
    """What was read. `rows` are the faultless ones; nothing should be kept of a table that has `problems`.

    `faulty` are the others, None for what could not be read: to find what else is wrong with them. `totals` are the rows marked 合计 or Total; `ignored` the headings no column answers to.
    """

    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    totals: tuple[Row, ...] = ()
    ignored: tuple[str, ...] = ()
    faulty: tuple[Row, ...] = ()
    columns: frozenset[str] = field(default_factory=frozenset)
    """Keys of the columns the table has."""


class BadCell(Exception):
    """A cell does not hold what its column asks for: `code`, message and remedy templates."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(code)
        self.code, self.message, self.remedy = code, message, remedy

    def problem(self, *, row: int, column: Column, value: Any) -> Problem:
        shown = str(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
        params = {"row": row, "column": column.title, "value": shown, "most": column.max_length}
        return Problem(row, column.key, Reason(self.code, self.message, self.remedy, field="file", params=params))


def heading(text: Any) -> str:
    """Return a heading as it is compared: width and case folded, without spaces and what stands in brackets."""
    folded = unicodedata.normalize("NFKC", str(text or "")).casefold()
    return re.sub(r"\(.*?\)|\s|[*:_]", "", folded)


def parse(value: Any, column: Column) -> Any:
    """Return a cell's value, None for an empty one. Raises BadCell.

    `value` is what the file holds: text, or of a workbook also a number, a date, a truth value.
    """
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value).strip()
    if value is None or value == "":
        if column.required:
            raise BadCell("table.empty_cell", _("第 %(row)s 行“%(column)s”没有填写。"), _("请补填后重新上传。"))
        return None
    if isinstance(value, str) and value.startswith("="):
        raise FORMULA
    if isinstance(value, bool):
        raise BadCell(
            "table.truth_value",
            _("第 %(row)s 行“%(column)s”是逻辑值 %(value)s。"),
            _("请改为该列应有的内容。"),
        )
    return READERS[column.kind](value, column)


FORMULA: Final = BadCell(
    "table.formula",
    _("第 %(row)s 行“%(column)s”是公式，不会被执行。"),
    _("请选中该列，复制后“选择性粘贴为数值”，再上传。"),
)
FAULT: Final = BadCell(
    "table.fault", _("第 %(row)s 行“%(column)s”是错误值 %(value)s。"), _("请改为该列应有的内容，再上传。")
)


def _text(value: Any, column: Column) -> str:
    text = _plain(value) if isinstance(value, int | float) else str(value)
    if isinstance(value, datetime | date):
        text = value.isoformat()
    if any(ord(letter) < 32 or letter == "\x7f" for letter in text):
        raise BadCell(
            "table.control",
            _("第 %(row)s 行“%(column)s”含有换行或控制字符。"),
            _("请删去这些字符，每个单元格只写一行。"),
        )
    if len(text) > column.max_length:
        raise BadCell("table.too_long", _("第 %(row)s 行“%(column)s”超过 %(most)s 个字。"), _("请缩短后重新上传。"))
    return text


def _plain(value: float) -> str:
    """Return a workbook's number as the workbook shows it: fifteen digits, no exponent, no ``.0``."""
    return format(Decimal(format(value, ".15g")), "f") if isinstance(value, float) else str(value)


DAY: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
PACKED: Final = re.compile(r"(\d{4})(\d\d)(\d\d)")


def _day(value: Any, _column: Column) -> date:
    if isinstance(value, datetime):
        found = value.date()
    elif isinstance(value, date):
        found = value
    else:
        words = unicodedata.normalize("NFKC", _plain(value) if isinstance(value, int | float) else value)
        match = DAY.fullmatch(re.split(r"[ T]", words)[0]) or PACKED.fullmatch(words)
        try:
            found = date(*map(int, match.groups())) if match else date.min
        except ValueError:
            found = date.min
    if not 2000 <= found.year < 2100:
        raise BadCell(
            "table.day", _("第 %(row)s 行“%(column)s”“%(value)s”不是有效日期。"), _("请写成 2026-11-25 的形式。")
        )
    return found


NUMBER: Final = re.compile(r"-?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?")


def _number(value: Any) -> Decimal | None:
    if isinstance(value, int | float | Decimal):
        try:
            number = Decimal(_plain(value) if isinstance(value, int | float) else value)
        except (InvalidOperation, ValueError):
            return None
        return number if number.is_finite() else None
    text = unicodedata.normalize("NFKC", str(value)).strip().lstrip("¥￥")
    return Decimal(text.replace(",", "")) if NUMBER.fullmatch(text) else None


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _quantity(value: Any, _column: Column) -> Fraction:
    number = _number(value)
    if number is None or number < 0 or number > LARGEST or _places(number) > PLACES:
        raise BadCell(
            "table.quantity",
            _("第 %(row)s 行“%(column)s”“%(value)s”不是有效数量。"),
            _("请填写不小于零的数字，最多六位小数，不带单位。"),
        )
    return Fraction(number)


def _money(value: Any, _column: Column) -> Money:
    number = _number(value)
    if number is None or number < 0 or number * 100 > MAX_FEN:
        raise BadCell(
            "table.amount",
            _("第 %(row)s 行“%(column)s”“%(value)s”不是有效金额。"),
            _("请填写不小于零的人民币元，例如 1234.50。"),
        )
    if _places(number) > 2:
        raise BadCell(
            "table.amount_places",
            _("第 %(row)s 行“%(column)s”“%(value)s”超过两位小数。"),
            _("金额以分为最小单位，请四舍五入到两位小数后重新上传。"),
        )
    return Money(int(number * 100))


def _whole(value: Any, _column: Column) -> int:
    number = _number(value)
    if number is None or number < 0 or number > LARGEST or number != number.to_integral_value():
        raise BadCell(
            "table.whole",
            _("第 %(row)s 行“%(column)s”“%(value)s”不是整数。"),
            _("请填写不小于零的整数，不带单位。"),
        )
    return int(number)


READERS: Final[Mapping[Kind, Callable[[Any, Column], Any]]] = MappingProxyType(
    {Kind.TEXT: _text, Kind.DAY: _day, Kind.QUANTITY: _quantity, Kind.MONEY: _money, Kind.WHOLE: _whole}
)
