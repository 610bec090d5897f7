"""Shapes every endpoint of the API shares: who calls, how errors look, how lists page, which key makes a call once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Header, Schema
from pydantic import AwareDatetime, Field, StringConstraints

from portal.http import Explained
from portal.kernel.actors import Actor
from portal.kernel.idempotency import check_key
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = [
    "ActorRequest",
    "Cursor",
    "IdempotencyKey",
    "MoneyIn",
    "PageOut",
    "PeriodIn",
    "Problem",
    "body_of",
    "key_from",
    "paged",
    "problems",
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
        return {"starts_at": value.start.isoformat(), "ends_at": value.end.isoformat()}
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


class PeriodIn(Schema):
    """Half-open, with zone offsets: ``2026-11-26T09:00:00+08:00``. A time without an offset is refused."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime

    def value(self) -> Period:
        """Raises BadPeriod unless start < end."""
        return Period(self.starts_at, self.ends_at)


YuanText = Annotated[str, StringConstraints(pattern=r"^-?\d{1,13}(\.\d{1,2})?$")]


class MoneyIn(Schema):
    """An amount in yuan as text, ``"1234.50"``; JSON floats are refused, they are not exact."""

    yuan: YuanText

    def value(self) -> Money:
        return Money.from_yuan(self.yuan)


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
