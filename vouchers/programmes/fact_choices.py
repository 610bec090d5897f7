"""What a condition may be made of: the facts to choose from, the comparisons each takes, the values it is known to have.

Nothing here limits a programme: facts, tags and values nobody has named yet can be typed as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, Final

from vouchers.programmes import names
from vouchers.programmes.predicates import LISTED, SECTIONS, Operator
from vouchers.programmes.words import Words

__all__ = [
    "OPERATORS",
    "FactKind",
    "facts",
    "kind_of",
    "operators_of",
    "path_of",
    "split",
    "typed",
    "values_of",
    "word_of",
]

W = Words


class FactKind(StrEnum):
    """What a fact's value is; OTHER for facts nobody has described."""

    YES_NO = "yes_no"
    NUMBER = "number"
    DAY = "day"
    TAGS = "tags"
    WORD = "word"
    OTHER = "other"


OPERATORS: Final[Mapping[Operator, Words]] = {
    Operator.EQUAL: W("为", "is"),
    Operator.UNEQUAL: W("不是", "is not"),
    Operator.IN: W("为其中之一", "is one of"),
    Operator.HAS: W("包括", "includes"),
    Operator.HAS_ANY: W("至少包括其中一项", "includes at least one of"),
    Operator.AT_LEAST: W("不少于（含）", "is at least"),
    Operator.AT_MOST: W("不超过（含）", "is at most"),
    Operator.OVER: W("超过（不含）", "is more than"),
    Operator.UNDER: W("不足（不含）", "is less than"),
    Operator.EXISTS: W("是否提供", "is given"),
}

COMPARED: Final = (Operator.AT_LEAST, Operator.AT_MOST, Operator.OVER, Operator.UNDER)
TAKEN: Final[Mapping[FactKind, tuple[Operator, ...]]] = {
    FactKind.YES_NO: (Operator.EQUAL, Operator.EXISTS),
    FactKind.NUMBER: (*COMPARED, Operator.EQUAL, Operator.UNEQUAL, Operator.IN, Operator.EXISTS),
    FactKind.DAY: (*COMPARED, Operator.EQUAL, Operator.EXISTS),
    FactKind.TAGS: (Operator.HAS, Operator.HAS_ANY, Operator.EXISTS),
    FactKind.WORD: (Operator.EQUAL, Operator.UNEQUAL, Operator.IN, Operator.EXISTS),
    FactKind.OTHER: tuple(Operator),
}

DAYS: Final = frozenset({"contract.signed", "contract.service_from", "contract.service_to", "applicant.barred_until"})
NUMBERS: Final = frozenset(
    {
        "applicant.members",
        "applicant.cycles_used",
        "applicant.cycles_in_a_row",
        "contract.national_class",
        "contract.service_year",
        "usage.free_used",
    }
)
TAGS: Final = frozenset({"applicant.tags", "provider.rosters", "contract.relations", "contract.invoices"})
NOT_ASKED: Final = frozenset(
    {
        *SECTIONS,
        *(f"contract.{which}items" for which in ("", "approved_", "ordered_", "invoiced_", "paid_")),
        "contract.id",
        "usage.items",
    }
)

REGIONS: Final = (*names.CITIES, "西湖区", "汉阳区", "山东", "浙江")
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "applicant.type": ("enterprise", "institute", "university", "public_institution", "team", "maker"),
    "applicant.region": REGIONS,
    "applicant.city": tuple(names.CITIES),
    "applicant.industry": ("制造业", "软件信息服务业"),
    "applicant.tags": (
        "OPC",
        "tech_sme",
        "hnte",
        "specialised_sme",
        "tech_enterprise",
        "filed_llm",
        "multimodal_foundation_model",
        "selected_vertical_model_lead",
        "bj_key_ai_firm",
        "bj_partner",
    ),
    "applicant.project_level": ("national", "provincial"),
    "provider.region": REGIONS,
    "provider.kind": ("supercomputing_centre", "ai_centre", "data_centre"),
    "contract.purpose": ("training", "inference"),
    "contract.channel": ("data_exchange", "direct"),
    "contract.facility": ("domestic", "tier1", "other"),
    "contract.use": ("maas_filed_model", "other"),
    "contract.tier": ("A", "B", "C"),
    "contract.centre": ("国家超算成都中心", "成都智算中心"),
    "request.kind": ("settle_in", "use"),
    "request.route": ("exempt_match", "separate"),
}
"""The values a fact is known to have; codes and Chinese words as the request states them."""

INTEGER = re.compile(r"(0|-?[1-9][0-9]{0,17})\Z")
DECIMAL = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,12}\Z")
FACT_PATH = re.compile(rf"({'|'.join(SECTIONS)})\.\S+\Z")


def kind_of(path: str) -> FactKind:
    """Return what the values of the fact at `path` are."""
    if path in TAGS:
        return FactKind.TAGS
    if path in DAYS:
        return FactKind.DAY
    about = names.fact(path)
    if about.yes is not None:
        return FactKind.YES_NO
    if path in NUMBERS or about.unit is not None or about.is_money:
        return FactKind.NUMBER
    return FactKind.WORD if path in names.FACTS else FactKind.OTHER


def operators_of(path: str, *, current: str = "") -> list[Operator]:
    """Return the comparisons the fact at `path` takes, and `current` whatever it is."""
    taken = list(TAKEN[kind_of(path)])
    if current in list(Operator) and Operator(current) not in taken:
        taken.append(Operator(current))
    return taken


def values_of(path: str) -> tuple[str, ...]:
    """Return the values the fact at `path` is known to have; empty where anything may be said."""
    return KNOWN.get(path, ())


def facts() -> tuple[tuple[str, Words], ...]:
    """Return the facts that can be chosen, path and name: the named ones, and the amount of each kind of spending.

    Within `names.declared` also those a programme declares for itself.
    """
    return (*_named(), *((path, about.name) for path, about in names.DECLARED.get().items()))


@cache
def _named() -> tuple[tuple[str, Words], ...]:
    named = [(path, about.name) for path, about in names.FACTS.items() if FACT_PATH.match(path)]
    items = [(f"contract.items.{kind}", names.fact(f"contract.items.{kind}").name) for kind in names.KINDS]
    return tuple((path, name) for path, name in [*named, *items] if path not in NOT_ASKED)


def _paths() -> Mapping[str, str]:
    return {word: path for path, name in facts() for word in (name.zh, name.en)}


def path_of(said: str) -> str:
    """Return the path of the fact called `said` in either language; what is no known name is taken as it is."""
    return _paths().get(said.strip(), said.strip())


def name_of(path: str, language: str) -> str:
    """Return the name under which a known fact is chosen, of others the path."""
    known = dict(facts())
    return known[path].say(language) if path in known else path


def word_of(value: Any, path: str, language: str) -> str:
    """Return a single value as it stands in a form: in words where the fact has known values, else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return names.value(text).say(language) if text in values_of(path) else text


BETWEEN: Final = re.compile(r"[、,，;；\n]+")


def split(text: str) -> list[str]:
    """Return the values several of which stand in one text, between commas or 顿号."""
    return [part.strip() for part in BETWEEN.split(text) if part.strip()]


def typed(said: Iterable[str], path: str, operator: str) -> Any:
    """Return what was typed or chosen as the value of a condition: with the type and the code the fact has.

    Total: what fits nothing stays text, for the reader of the file to refuse it by its place.
    """
    texts = [text.strip() for text in said]
    if operator == Operator.EXISTS.value:
        return "".join(texts[:1]) != "false"
    values = [_one(text, path) for text in texts if text]
    if operator in {word.value for word in LISTED}:
        return values
    return values[0] if values else ""


def _one(text: str, path: str) -> Any:
    kind = kind_of(path)
    for code in values_of(path):
        if text in (code, names.value(code).zh, names.value(code).en):
            return code
    if kind in (FactKind.YES_NO, FactKind.OTHER) and text in ("true", "false"):
        return text == "true"
    if kind in (FactKind.NUMBER, FactKind.OTHER):
        plain = text.replace(",", "").replace("，", "") if kind is FactKind.NUMBER else text
        if INTEGER.match(plain):
            return int(plain)
        if DECIMAL.match(plain):
            return plain
    return text
