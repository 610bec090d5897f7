"""How banks spell days, amounts, sides and references, read into values. Pure. Every reader raises `BadCell`."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from portal.kernel.errors import noop
from portal.kernel.money import MAX_FEN
from portal.tables.values import BadCell

__all__ = ["currency_of", "day_of", "digits", "fen_of", "is_blank", "number_of", "plain", "side_of"]

_ = noop

DAY: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
PACKED: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d{6})?")
AMOUNT: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?")
DASHES: Final = str.maketrans({"−": "-", "－": "-", "—": "-", "–": "-", "\u200b": "", "\ufeff": ""})
LITERAL: Final = re.compile(r'="([^"]*)"')
"""How banks keep a spreadsheet from taking a number for a number: no formula, a text."""
IN: Final = frozenset({"贷", "贷方", "收", "收入", "来账", "转入", "c", "cr", "credit", "crdt", "+", "in"})
OUT: Final = frozenset(
    {"借", "借方", "支", "支出", "付", "付出", "往账", "转出", "d", "dr", "debit", "dbit", "-", "out"}
)
OURS: Final = frozenset({"cny", "rmb", "人民币", "人民币元", "156", "10", "01", ""})
"""How banks name the yuan; ``10`` and ``01`` are old codes of theirs."""
EXACT: Final = 15
"""Digits a workbook's number keeps; a longer one has been changed by it."""

NO_DAY = BadCell(
    "banking.day", _("第 %(row)s 行“%(column)s”“%(value)s”不是有效日期。"), _("请写成 2026-11-25 或 20261125 的形式。")
)
NO_AMOUNT = BadCell(
    "banking.amount",
    _("第 %(row)s 行“%(column)s”“%(value)s”不是有效金额。"),
    _("请填写人民币元，最多两位小数，例如 1,234.50；不要带文字。"),
)
PLACES = BadCell(
    "banking.amount_places",
    _("第 %(row)s 行“%(column)s”“%(value)s”超过两位小数。"),
    _("银行流水以分为最小单位：请从网银重新导出，不要在表格软件中计算后另存。"),
)
NO_SIDE = BadCell(
    "banking.side",
    _("第 %(row)s 行“%(column)s”“%(value)s”无法判断收支方向。"),
    _("请填写“贷”（收入）或“借”（支出）。"),
)
CHANGED = BadCell(
    "banking.number_changed",
    _("第 %(row)s 行“%(column)s”是超过 15 位的数字，表格软件已把末尾改成了 0。"),
    _("请从网银重新导出，或把这一列设为“文本”后重新粘贴。"),
)
EMPTY = BadCell("banking.empty_cell", _("第 %(row)s 行“%(column)s”没有填写。"), _("请从网银重新导出完整的明细。"))


def plain(value: Any) -> str:
    """Return what a cell says as text: width folded, a bank's ``="123"`` unwrapped, inner runs of spaces as one.

    A workbook's number is written out in full. Raises BadCell for one whose last digits the workbook has lost.
    """
    if value is None:
        return ""
    if isinstance(value, float | int) and not isinstance(value, bool):
        if abs(value) >= 10**EXACT:
            raise CHANGED
        return format(Decimal(format(value, ".15g")), "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    text = unicodedata.normalize("NFKC", str(value)).translate(DASHES).strip().lstrip("'")
    if match := LITERAL.fullmatch(text):
        text = match[1]
    return " ".join("".join(letter if letter >= " " and letter != "\x7f" else " " for letter in text).split())


def is_blank(text: str) -> bool:
    """Say whether a cell holds nothing; banks also write dashes for it."""
    return not text.strip("-/ ") and text != "-0"


def digits(text: str) -> str:
    """Return an account's number without what people put between its digits."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", text) if letter.isalnum()).upper()


def number_of(text: str) -> str:
    """Return a bank's reference in one form: upper case, without spaces."""
    return "".join(text.upper().split())[:60]


def day_of(value: Any) -> date:
    """Return a day; a time of day behind it is left out."""
    if isinstance(value, datetime):
        found = value.date()
    elif isinstance(value, date):
        found = value
    else:
        text = re.split(r"[ T]", plain(value))[0]
        match = DAY.match(text) or PACKED.fullmatch(text)
        try:
            found = date(*map(int, match.groups()[:3])) if match else date.min
        except ValueError:
            found = date.min
    if not 2000 <= found.year < 2100:
        raise NO_DAY
    return found


def fen_of(value: Any) -> int | None:
    """Return signed fen, None for an empty cell. A minus may lead, trail, or be written as brackets; 借/贷 signs are not read."""
    if isinstance(value, bool):
        raise NO_AMOUNT
    if isinstance(value, int | float | Decimal):
        number = _decimal(value if isinstance(value, Decimal) else format(value, ".15g"))
    else:
        text = plain(value)
        if is_blank(text):
            return None
        number = _decimal(_bare(text))
    if not number.is_finite() or abs(number) * 100 > MAX_FEN:
        raise NO_AMOUNT
    if number * 100 != (number * 100).to_integral_value():
        raise PLACES
    return int(number * 100)


def _bare(text: str) -> str:
    bare = re.sub(r"\s|[¥￥$]|cny|rmb|元", "", text.casefold())
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    elif bare.endswith("-"):
        bare = f"-{bare[:-1]}"
    if not AMOUNT.fullmatch(bare):
        raise NO_AMOUNT
    return bare.replace(",", "")


def _decimal(text: str | Decimal) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NO_AMOUNT from None


def side_of(value: Any) -> int:
    """Return 1 for money that came in, -1 for money that went out."""
    word = plain(value).casefold().replace(" ", "")
    if word in IN or word.startswith("来账"):
        return 1
    if word in OUT or word.startswith("往账"):
        return -1
    raise NO_SIDE


def currency_of(text: str) -> str:
    """Return "" for the yuan, else what the bank calls the currency."""
    word = plain(text).casefold().replace(" ", "")
    return "" if word in OURS or word.removesuffix("元") in OURS else plain(text)[:20]
