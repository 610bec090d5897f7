"""Shapes every endpoint of the API shares: who calls, how errors look, how lists page, which key makes a call once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language, gettext
from ninja import Header, Schema
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from portal.http import Explained
from portal.kernel.actors import Actor
from portal.kernel.idempotency import check_key
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = [
    "ActorRequest",
    "Block",
    "Cursor",
    "Day",
    "DecimalText",
    "Document",
    "Facts",
    "Flag",
    "IdempotencyKey",
    "Line",
    "Moment",
    "MoneyIn",
    "MoneyOut",
    "Number",
    "PageOut",
    "PeriodIn",
    "PeriodOut",
    "Problem",
    "ReasonOut",
    "StrictIn",
    "Text",
    "Whole",
    "YuanText",
    "body_of",
    "key_from",
    "language",
    "money",
    "paged",
    "problems",
    "span",
]

Row = TypeVar("Row")
MAX_LIMIT = 100


class ActorRequest(HttpRequest):
    """A request behind authentication: somebody is asking."""

    actor: Actor


class ReasonOut(Schema):
    """One ground: what is wrong and what would fix it."""

    code: str
    text: str
    remedy: str = ""
    field: str = ""


class Problem(Schema):
    """Every error of the API. `code` is stable, `detail` in the caller's language (Accept-Language)."""

    code: str
    detail: str
    reasons: list[ReasonOut] = []
    fields: dict[str, str] = {}
    data: dict[str, Any] = {}


def body_of(problem: Explained) -> dict[str, Any]:
    """Return an explained error as the `Problem` body."""
    return {
        "code": problem.code,
        "detail": problem.text,
        "reasons": list(problem.reasons),
        "fields": dict(problem.fields),
        "data": _plain(problem.data),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Period):
        return span(value)
    if isinstance(value, Money):
        return value.fen
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def problems(*statuses: int) -> dict[int, type[Problem]]:
    """Return the error answers of an endpoint; those every endpoint can give are always among them."""
    return dict.fromkeys((400, 401, 403, 422, 429, 503, *statuses), Problem)


IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="8-80 of A-Z a-z 0-9 . _ : -  New act, new key; retry, same key.",
    ),
]


def key_from(value: str) -> str:
    """Return the checked key. Raises BadKey."""
    return check_key(value)


class StrictIn(Schema):
    """A request body: a field nobody asked for is an error, so that a typing error is never silently ignored."""

    model_config = ConfigDict(extra="forbid")


def _encodable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("text_encoding", gettext("含有无法用 UTF-8 表示的字符。"))
    return text


def _one_line(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise PydanticCustomError("text_control", gettext("不能含有换行或控制字符。"))
    return _encodable(text)


def _lines(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("text_nul", gettext("不能含有空字符（NUL）。"))
    return _encodable(text)


Text = Annotated[str, AfterValidator(_encodable)]
"""Any text; JSON may carry lone surrogates, which nothing can store."""
Line = Annotated[str, AfterValidator(_one_line)]
"""Text on one line, without control characters."""
Block = Annotated[str, AfterValidator(_lines)]
"""Text of many lines, without NUL, which the database cannot store."""
Number = Annotated[Line, Field(min_length=1, max_length=60)]
"""The number or code a thing is known by, such as ``B2611-000042``."""
Whole = Annotated[int, Field(strict=True)]
"""A JSON integer: no text, no ``1.0``, no ``true``."""
Flag = Annotated[bool, Field(strict=True)]


def _text_only(value: object) -> object:
    """Refuse numbers, which would be read as seconds since 1970."""
    if not isinstance(value, str | date):
        raise PydanticCustomError("time_text", gettext("时间和日期须为文本，例如 2026-11-26T09:00:00+08:00。"))
    return value


FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2099


def _near(value: datetime) -> datetime:
    # UTC from here on: the database refuses offsets of sixteen hours and more, which ISO 8601 allows.
    return _in_reach(value, value.year).astimezone(UTC)


def _near_day(value: date) -> date:
    return _in_reach(value, value.year)


Reached = TypeVar("Reached")


def _in_reach(value: Reached, year: int) -> Reached:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        message = gettext("年份须在 {first} 到 {last} 之间。").format(first=FIRST_YEAR, last=LAST_YEAR)
        raise PydanticCustomError("year", "{message}", {"message": message})
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_near)]
"""A time with its offset, in the years 2000 to 2099 (beyond, arithmetic with offsets leaves the calendar)."""
Day = Annotated[date, BeforeValidator(_text_only), AfterValidator(_near_day)]


class PeriodIn(StrictIn):
    """Half-open, with zone offsets: ``2026-11-26T09:00:00+08:00``. A time without an offset is refused."""

    starts_at: Moment
    ends_at: Moment

    def value(self) -> Period:
        """Raises BadPeriod unless start < end."""
        return Period(self.starts_at, self.ends_at)


class PeriodOut(Schema):
    """Half-open, in UTC."""

    starts_at: datetime
    ends_at: datetime


def span(period: Period) -> dict[str, datetime]:
    """Return a period as `PeriodOut`."""
    return {"starts_at": period.start, "ends_at": period.end}


@dataclass(frozen=True, slots=True)
class DecimalText:
    """A decimal number as text: JSON floats are not exact. One written otherwise is told in words how to write it."""

    digits: int
    places: int
    signed: bool = False

    @property
    def pattern(self) -> str:
        return rf"^{'-?' if self.signed else ''}[0-9]{{1,{self.digits}}}(\.[0-9]{{1,{self.places}}})?$"

    def check(self, value: str) -> str:
        """Return the text as it is. Raises for anything but such a number, with the remedy."""
        if re.fullmatch(self.pattern.removeprefix("^").removesuffix("$"), value):
            return value
        if re.fullmatch(r"-?[0-9]+\.[0-9]+", value) and len(value.partition(".")[2]) > self.places:
            said, remedy = gettext("小数超过 {places} 位。"), gettext("请四舍五入到 {places} 位小数。")
        else:
            said = gettext("不是可以接受的数：整数至多 {digits} 位，小数至多 {places} 位。")
            remedy = gettext("请写成不带单位、千分位和空格的文本，例如 1234.5。")
        limits = {"digits": self.digits, "places": self.places}
        told = {"message": said.format(**limits), "remedy": remedy.format(**limits)}
        raise PydanticCustomError("decimal_text", "{message}", told)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}


YuanText = Annotated[str, DecimalText(digits=13, places=2, signed=True)]
"""Yuan as text: whole fen, at most two decimals."""


class MoneyIn(StrictIn):
    """An amount in yuan as text, ``"1234.50"``; JSON floats are refused, they are not exact."""

    yuan: YuanText

    def value(self) -> Money:
        return Money.from_yuan(self.yuan)


class MoneyOut(Schema):
    """An amount twice: whole fen to calculate with, yuan to read."""

    fen: int
    yuan: str


def money(amount: Money | int) -> dict[str, Any]:
    """Return an amount, or fen, as `MoneyOut`."""
    amount = Money(amount) if isinstance(amount, int) else amount
    return {"fen": amount.fen, "yuan": amount.yuan()}


MAX_DEPTH: Final = 32
MAX_FACTS: Final = 200
LARGEST: Final = 10**18


def _storable(value: Any, *, floats: bool, depth: int = 0) -> None:
    """Raises for anything PostgreSQL or the engine could not keep exactly as stated."""
    if depth > MAX_DEPTH:
        raise PydanticCustomError("json_depth", gettext("嵌套过深。"))
    if isinstance(value, str):
        _lines(value)
    elif isinstance(value, float):
        if not floats:
            raise PydanticCustomError("float", gettext('小数请写成文本，例如 "0.05"，以保持精确。'))
    elif isinstance(value, int):
        if abs(value) > LARGEST:
            raise PydanticCustomError("int_size", gettext("数值过大。"))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _storable(key, floats=floats, depth=depth + 1)
            _storable(item, floats=floats, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            _storable(item, floats=floats, depth=depth + 1)


def _exact(value: dict[str, Any]) -> dict[str, Any]:
    _storable(value, floats=False)
    return value


def _document(value: dict[str, Any]) -> dict[str, Any]:
    _storable(value, floats=True)
    return value


Facts = Annotated[dict[str, Any], Field(max_length=MAX_FACTS), AfterValidator(_exact)]
"""Facts by path, such as ``{"contract.purpose": "training"}``: plain JSON without floats."""
Document = Annotated[dict[str, Any], AfterValidator(_document)]
"""A JSON object whose own reader says what is wrong with it."""


def language() -> str:
    """Return ``zh`` or ``en``, whichever the caller reads."""
    return "en" if (get_language() or "").startswith("en") else "zh"


class Cursor(Schema):
    """``?limit=25&before=<next_before of the previous page>``; newest first."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 25
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class PageOut(Schema, Generic[Row]):
    items: list[Row]
    next_before: int | None = None


def paged(rows: QuerySet[Any], cursor: Cursor, show: Callable[[Any], Any]) -> dict[str, Any]:
    """Return one page of `rows`, newest first, by primary key; one query whatever the page."""
    if cursor.before is not None:
        rows = rows.filter(pk__lt=cursor.before)
    found = list(rows.order_by("-pk")[: cursor.limit + 1])
    more = len(found) > cursor.limit
    found = found[: cursor.limit]
    return {"items": [show(row) for row in found], "next_before": found[-1].pk if more else None}
