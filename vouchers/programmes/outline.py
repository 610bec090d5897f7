"""What a programme file holds, arranged as a form for people: sections, tables and fields with their words. Pure.

`drafting` moves a document into such a form and back. Keys are those of the file (``docs/programme-file.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vouchers.programmes.words import Words

__all__ = [
    "BENEFITS",
    "EACH_LINE",
    "LEVELS",
    "MONTHS",
    "PARTIES",
    "WORKING_DAYS",
    "YUAN",
    "Condition",
    "Entry",
    "Group",
    "Item",
    "Kind",
    "Pairs",
    "Part",
    "Span",
    "Table",
    "called",
    "choices",
]

W = Words
Choices = tuple[tuple[str, Words], ...]


class Kind(StrEnum):
    """How a value is written in the form. RATE is a percentage there and a share in the file."""

    TEXT = "text"
    LONG = "long"
    WHOLE = "whole"
    AMOUNT = "amount"
    RATE = "rate"
    DAY = "day"
    MOMENT = "moment"
    FLAG = "flag"
    CHOICE = "choice"
    LINES = "lines"
    AMOUNTS = "amounts"
    MANY = "many"


@dataclass(frozen=True, slots=True)
class Entry:
    """One value. `shapes`: other fields appear or go with it. `only`: shown where the row's benefit is one of these."""

    key: str
    kind: Kind
    label: Words
    choices: Choices = ()
    unit: Words | None = None
    hint: Words | None = None
    required: bool = False
    only: tuple[str, ...] = ()
    shapes: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, built of groups and comparisons."""

    key: str
    label: Words
    hint: Words | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A first and a last day: a list of two, null = open."""

    key: str
    label: Words


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of two values. `is_map`: an object, first → second; else a list of lists of two."""

    key: str
    label: Words
    first: Entry
    second: Entry
    is_map: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """An object within the file."""

    key: str
    items: tuple[Item, ...]
    label: Words | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A list of objects, each a row that can be moved and removed."""

    key: str
    label: Words
    row: Words
    items: tuple[Item, ...]
    has_benefit: bool = False


Item = Entry | Condition | Span | Pairs | Group | Table


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the editor, with a page of its own."""

    name: str
    title: Words
    items: tuple[Item, ...]
    text: Words | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(item.key for item in self.items)


def choices(**words: tuple[str, str]) -> Choices:
    return tuple((code, W(*said)) for code, said in words.items())


def called(codes: Iterable[str], words: Mapping[str, Words]) -> Choices:
    return tuple((code, words.get(code, W(code, code))) for code in codes)


LEVELS: Final = choices(
    nation=("国家", "nation"),
    province=("省", "province"),
    city=("市", "city"),
    district=("区县", "district"),
    park=("园区", "park"),
)
BENEFITS: Final = choices(
    rate=("按比例", "a share of the spending"),
    amount=("定额", "a fixed amount"),
    brackets=("分档比例", "shares by brackets"),
    derived=("按其他项目的支付额", "a share of another programme's award"),
)
"""How a line pays. The file says it by the keys a line has; see `drafting.benefit_of`."""
PARTIES: Final = choices(applicant=("申请人", "applicant"), provider=("服务机构", "provider"))
YUAN: Final = W("元", "yuan")
MONTHS: Final = W("个月", "months")
WORKING_DAYS: Final = W("个工作日", "working days")
EACH_LINE: Final = W("每行一个。", "One a line.")
