"""The readers programme and request files are built from. See `parsing` for what a reader is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from portal.kernel.money import MAX_FEN, Money
from vouchers.programmes.parsing import Problems, Reader, Shaped, child, found, shape_of, shaped, suggestion
from vouchers.programmes.words import Words

__all__ = [
    "amount",
    "choice",
    "day",
    "either",
    "flag",
    "listing",
    "moment",
    "no_repeats",
    "nullable",
    "number",
    "rate",
    "record",
    "refuse",
    "text",
    "whole",
    "word",
]

PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,12})?\Z")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")

CLOSED = {"additionalProperties": False}
NULL = {"type": "null"}
UNSIGNED = r"(?=[0-9]{1,20}(\.|$))0*([0-9]{1,13}(\.[0-9]{1,2})?|10{13}(\.0{1,2})?)"
AMOUNT_OR_ZERO = rf"^(-0{{1,20}}(\.0{{1,2}})?|{UNSIGNED})$"
AMOUNT_TEXT = rf"^(?![0.]+$){UNSIGNED}$"
RATE_TEXT = r"^(?=-?[0-9]{1,20}(\.|$))(-?0+(\.0{1,6})?|0+(\.[0-9]{1,6})?|0*1(\.0{1,6})?)$"
DAY_TEXT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT_TEXT = (
    rf"{DAY_TEXT[:-1]}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?$"
)

MOMENT = re.compile(MOMENT_TEXT[:-1] + r"\Z")

NOT_ALLOWED = Words("值 %(found)s 不可用。", "The value %(found)s will not do.")
MISSING = Words("缺少这一项。", "This is missing.")
UNKNOWN_KEY = Words("没有这个键。", "There is no such key.")
MEANT = Words("没有这个键；是不是“%(meant)s”？", "There is no such key; did you mean “%(meant)s”?")


def refuse(value: Any, path: str, problems: Problems, allowed: Words) -> None:
    """Say that `value` will not do at `path`, and what would."""
    problems.add(path, NOT_ALLOWED.fill(found=found(value)), allowed)


def no_repeats(values: Iterable[str], path: str, key: str, problems: Problems) -> None:
    """Refuse each value an earlier item of the list at `path` has; the problem is that of its `key`."""
    seen: set[str] = set()
    for at, value in enumerate(values):
        if value in seen:
            refuse(value, child(child(path, at), key), problems, Words("各项互不相同", "a value no other item has"))
        seen.add(value)


def record(fields: Mapping[str, Reader], required: Collection[str] = ()) -> Reader:
    """Read an object with only these keys; absent keys are absent from the result."""
    names = ", ".join(fields)
    keys = Words(f"这些键：{names}", f"these keys: {names}")

    def read(value: Any, path: str, problems: Problems) -> dict[str, Any]:
        if not isinstance(value, dict):
            refuse(value, path, problems, Words(f"一个对象，可用键：{names}", f"an object with the keys {names}"))
            return {}
        for key in value:
            if key not in fields:
                meant = suggestion(key, fields)
                problems.add(child(path, key), MEANT.fill(meant=meant) if meant else UNKNOWN_KEY, keys)
        for key in required:
            if key not in value:
                problems.add(child(path, key), MISSING, Words(f"必须填写 {key}", f"{key} is required"))
        return {key: reader(value[key], child(path, key), problems) for key, reader in fields.items() if key in value}

    shapes = {key: shape_of(reader) for key, reader in fields.items()}
    return Shaped(read, {"type": "object", "properties": shapes, "required": list(required), **CLOSED})


def listing(item: Reader, *, least: int = 0, most: int = 500) -> Reader:
    """Read a list of `least` to `most` items."""
    allowed = Words(f"{least} 到 {most} 项的列表", f"a list of {least} to {most} items")

    def read(value: Any, path: str, problems: Problems) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            refuse(value, path, problems, allowed)
            return ()
        return tuple(item(part, child(path, at), problems) for at, part in enumerate(value))

    return Shaped(read, {"type": "array", "items": shape_of(item), "minItems": least, "maxItems": most})


def either(shape: Mapping[str, Any], reader: Reader) -> Shaped:
    """Say that `reader` also takes what has `shape`."""
    return Shaped(reader, {"anyOf": [shape, shape_of(reader)]})


def nullable(reader: Reader) -> Reader:
    """Read null as None, anything else with `reader`."""
    return either(NULL, shaped(reader)(lambda value, path, at: None if value is None else reader(value, path, at)))


def choice(*values: str) -> Reader:
    """Read one of these words."""
    allowed = Words(" / ".join(values), " / ".join(values))

    def read(value: Any, path: str, problems: Problems) -> str | None:
        if isinstance(value, str) and value in values:
            return value
        refuse(value, path, problems, allowed)
        return None

    return Shaped(read, {"enum": list(values)})


def word(kind: type[StrEnum]) -> Shaped:
    """Read one of the words of `kind`, as such."""
    read = choice(*kind)

    @shaped(read)
    def reader(value: Any, path: str, problems: Problems) -> StrEnum | None:
        found = read(value, path, problems)
        return None if found is None else kind(found)

    return reader


def text(*, most: int = 300) -> Reader:
    """Read a non-blank text of at most `most` characters."""
    allowed = Words(f"1 到 {most} 个字符的文字", f"text of 1 to {most} characters")

    def read(value: Any, path: str, problems: Problems) -> str | None:
        if isinstance(value, str) and value.strip() and len(value) <= most:
            return value
        refuse(value, path, problems, allowed)
        return None

    return Shaped(read, {"type": "string", "minLength": 1, "maxLength": most, "pattern": r"\S"})


@shaped({"type": "boolean"})
def flag(value: Any, path: str, problems: Problems) -> bool | None:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    refuse(value, path, problems, Words("true / false", "true / false"))
    return None


def whole(least: int, most: int) -> Reader:
    """Read a whole number from `least` to `most`."""
    allowed = Words(f"{least} 到 {most} 的整数", f"a whole number from {least} to {most}")

    def read(value: Any, path: str, problems: Problems) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        refuse(value, path, problems, allowed)
        return None

    return Shaped(read, {"type": "integer", "minimum": least, "maximum": most})


def number(value: Any) -> int | Decimal | None:
    """Return `value` as an exact number if it is one, or plain decimal text; else None. Booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    return Decimal(value) if isinstance(value, str) and PLAIN_DECIMAL.match(value) else None


def decimals(value: int | Decimal) -> int:
    """Return how many decimals `value` was written with."""
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def amount(*, least_fen: int = 0) -> Reader:
    """Read CNY, a number or decimal text of at most two decimals, as `Money`."""
    lowest, most = Money(least_fen).yuan(), Money(MAX_FEN).yuan()
    allowed = Words(
        f"人民币元，数字或十进制文本，{lowest} 到 {most}，最多两位小数",
        f"yuan as a number or decimal text from {lowest} to {most}, at most two decimals",
    )

    def read(value: Any, path: str, problems: Problems) -> Money:
        exact = number(value)
        if exact is None or decimals(exact) > 2 or not least_fen <= exact * 100 <= MAX_FEN:
            refuse(value, path, problems, allowed)
            return Money(0)
        return Money(int(exact * 100))

    least = float(lowest) if least_fen else 0
    numeric = {"type": "number", "minimum": least, "maximum": MAX_FEN // 100}
    return Shaped(
        read, {"anyOf": [numeric, {"type": "string", "pattern": AMOUNT_TEXT if least_fen else AMOUNT_OR_ZERO}]}
    )


@shaped({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": RATE_TEXT}]})
def rate(value: Any, path: str, problems: Problems) -> Fraction:
    """Read a share from 0 to 1, decimal text or number of at most six decimals."""
    exact = number(value)
    if exact is None or decimals(exact) > 6 or not 0 <= exact <= 1:
        allowed = Words(
            '0 到 1 的十进制文本，最多六位小数，例如 "0.30"',
            'decimal text from 0 to 1, at most six decimals, such as "0.30"',
        )
        refuse(value, path, problems, allowed)
        return Fraction(0)
    return Fraction(exact)


def parsed_day(value: Any) -> date | None:
    """Return the ISO date in `value` (exactly ``YYYY-MM-DD``), else None."""
    if isinstance(value, str) and DAY.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return None


@shaped({"type": "string", "format": "date", "pattern": DAY_TEXT})
def day(value: Any, path: str, problems: Problems) -> date | None:
    """Read an ISO date."""
    read = parsed_day(value)
    if read is None:
        refuse(value, path, problems, Words("日期 YYYY-MM-DD", "a date YYYY-MM-DD"))
    return read


@shaped({"type": "string", "pattern": MOMENT_TEXT})
def moment(value: Any, path: str, problems: Problems) -> str | None:
    """Read an ISO date, or date and time, and keep its text."""
    try:
        if not MOMENT.match(value):
            raise ValueError(value)
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        refuse(value, path, problems, Words("日期或日期时间，ISO 8601", "a date or a date and time, ISO 8601"))
        return None
    return str(value)
