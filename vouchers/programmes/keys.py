"""Read the keys of a programme file that the engine evaluates. What they mean: ``docs/programme-file.md``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from vouchers.programmes import readers
from vouchers.programmes.money_keys import MONEY_KEYS
from vouchers.programmes.parsing import Problems, Reader, child, shape_of, shaped
from vouchers.programmes.predicates import PATHS, SECTIONS, predicate
from vouchers.programmes.readers import choice, flag, listing, no_repeats, nullable, record, refuse, text, whole, word
from vouchers.programmes.schemes import CoLead, DeclaredFact, DoubleSubsidy, Kind, Level, Same, Side
from vouchers.programmes.terms_reading import TERMS
from vouchers.programmes.words import Words

__all__ = ["APPLICANT_KINDS", "KEYS", "RELATED_TESTS", "REQUIRED", "SUBJECTS"]

SUBJECTS: Final = (
    "compute",
    "model_api",
    "model_private",
    "model_cloud",
    "agent_service",
    "corpus",
    "data_product",
    "instrument_use",
    "test",
    "rd_service",
)
"""The classes of service a programme may be for."""

APPLICANT_KINDS: Final = ("enterprise", "public_institution", "university", "institute", "team", "maker", "OPC")
"""Who may be an applicant. A team and a maker have no legal personality; an OPC is a one-person company."""

RELATED_TESTS: Final = ("control", "common_control", "legal_representative", "shareholder", "contact")
"""Relations between buyer and seller that a programme may name; a declared relation always counts."""

code = text(most=60)
codes = listing(code, least=1, most=50)


FACT_NAME: Final = record({"zh": text(most=160), "en": text(most=200)}, required=("zh", "en"))


@shaped({"anyOf": [shape_of(text(most=160)), {"$ref": "#/$defs/name"}]})
def _name(value: Any, path: str, problems: Problems) -> Words | None:
    if isinstance(value, str):
        plain = text(most=160)(value, path, problems)
        return None if plain is None else Words(plain, plain)
    both = FACT_NAME(value, path, problems)
    return Words(str(both.get("zh")), str(both.get("en")))


@shaped({"anyOf": [shape_of(code), shape_of(codes)]})
def _codes_or_code(value: Any, path: str, problems: Problems) -> tuple[str, ...]:
    if isinstance(value, str):
        read = code(value, path, problems)
        return () if read is None else (read,)
    return tuple(codes(value, path, problems))


CREDIT_CODE: Final = r"^[0-9A-HJ-NP-RT-UW-Y]{18}$"
"""A unified social credit code (GB 32100-2015)."""


@shaped({"type": "string", "pattern": CREDIT_CODE})
def _credit_code(value: Any, path: str, problems: Problems) -> str:
    if isinstance(value, str) and re.match(CREDIT_CODE[:-1] + r"\Z", value):
        return value
    refuse(value, path, problems, Words("18 位统一社会信用代码", "a unified social credit code of 18 characters"))
    return ""


_bounds = listing(nullable(readers.day), least=2, most=2)


@shaped(_bounds)
def _in_force(value: Any, path: str, problems: Problems) -> tuple[date | None, date | None]:
    bounds = _bounds(value, path, problems)
    start, end = bounds if len(bounds) == 2 else (None, None)
    if start and end and start > end:
        refuse(value, path, problems, Words("起始日不晚于截止日", "a first day not after the last day"))
    return start, end


_co_lead_fields = record(
    {
        "name": text(),
        "credit_code": _credit_code,
        "level": word(Level),
        "regions": listing(text(most=60), least=1, most=50),
    },
    required=("name",),
)


@shaped({"anyOf": [shape_of(text()), shape_of(_co_lead_fields)]})
def _co_lead(value: Any, path: str, problems: Problems) -> CoLead:
    if isinstance(value, dict):
        return CoLead(**{"name": "", **_co_lead_fields(value, path, problems)})
    return CoLead(text()(value, path, problems) or "")


_co_lead_list = listing(_co_lead, most=50)


@shaped(_co_lead_list)
def _co_leads(value: Any, path: str, problems: Problems) -> tuple[CoLead, ...]:
    """Read the further departments: of one level, no two for the same region, and one for all others."""
    found: tuple[CoLead, ...] = _co_lead_list(value, path, problems)
    taken: set[tuple[str, str]] = set()
    for at, one in enumerate(found):
        for region in one.regions or ("",) if one.level else ():
            if (one.level or "", region) in taken:
                where = child(child(path, at), "regions" if region else "level")
                allowed = Words("同一级别每个地区只由一个单位办理", "one department of a level for each region")
                refuse(region or str(one.level), where, problems, allowed)
            taken.add((one.level or "", region))
    return found


_kind_fields = record({"kind": choice(*APPLICANT_KINDS), "when": predicate}, required=("kind",))


@shaped({"anyOf": [{"enum": list(APPLICANT_KINDS)}, shape_of(_kind_fields)]})
def _kind(value: Any, path: str, problems: Problems) -> Kind:
    if isinstance(value, dict):
        return Kind(**{"kind": "", **_kind_fields(value, path, problems)})
    return Kind(choice(*APPLICANT_KINDS)(value, path, problems) or "")


_kinds = listing(_kind, least=1, most=50)


@shaped(_kinds)
def _applicant_kinds(value: Any, path: str, problems: Problems) -> tuple[Kind, ...]:
    kinds: tuple[Kind, ...] = _kinds(value, path, problems)
    no_repeats([kind.kind or str(at) for at, kind in enumerate(kinds)], path, "kind", problems)
    return kinds


_provider_fields = record({"when": predicate, "roster": text(most=60), "documents": listing(text(), most=100)})


@shaped({"anyOf": [shape_of(predicate), shape_of(_provider_fields)]})
def _provider(value: Any, path: str, problems: Problems) -> dict[str, Any]:
    """Read a condition, or an object of a condition, a roster and the documents a provider brings to get on it."""
    if isinstance(value, dict) and not {"all", "any", "not"} & value.keys():
        found: dict[str, Any] = _provider_fields(value, path, problems)
        return found
    return {"when": predicate(value, path, problems)}


_related_fields = record(
    {"mode": choice("forbidden", "allowed"), "tests": listing(choice(*RELATED_TESTS), least=1, most=20)},
    required=("mode",),
)


@shaped({"anyOf": [{"enum": ["forbidden", "allowed"]}, shape_of(_related_fields)]})
def _related(value: Any, path: str, problems: Problems) -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = _related_fields(value, path, problems)
        return found
    return {"mode": choice("forbidden", "allowed")(value, path, problems)}


_double_fields = record(
    {
        "mode": choice(*DoubleSubsidy),
        "levels": listing(choice(*Level), least=1, most=len(Level)),
        "same": choice(*Same),
    },
    required=("mode",),
)


@shaped({"anyOf": [{"enum": list(DoubleSubsidy)}, shape_of(_double_fields)]})
def _double(value: Any, path: str, problems: Problems) -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = _double_fields(value, path, problems)
        return found
    return {"mode": choice(*DoubleSubsidy)(value, path, problems)}


FACT_PATH: Final = rf"^({'|'.join(SECTIONS)})(\.[^\W\d]\w*)+$"
FACT = re.compile(FACT_PATH[:-1] + r"\Z")


@shaped({"type": "string", "pattern": FACT_PATH, "maxLength": 200})
def _fact_path(value: Any, path: str, problems: Problems) -> str:
    if isinstance(value, str) and len(value) <= 200 and FACT.match(value):
        return value
    refuse(value, path, problems, PATHS)
    return ""


_fact_fields = record({"path": _fact_path, "name": _name, "unit": _name, "money": flag}, required=("path", "name"))


@shaped(_fact_fields)
def _fact(value: Any, path: str, problems: Problems) -> DeclaredFact | None:
    read = _fact_fields(value, path, problems)
    if not {"path", "name"} <= read.keys():
        return None
    return DeclaredFact(read["path"], read["name"], read.get("unit"), is_money=bool(read.get("money")))


_fact_list = listing(_fact, most=200)


@shaped(_fact_list)
def _facts(value: Any, path: str, problems: Problems) -> tuple[DeclaredFact, ...]:
    facts = _fact_list(value, path, problems)
    no_repeats([fact.path if fact else str(at) for at, fact in enumerate(facts)], path, "path", problems)
    return tuple(fact for fact in facts if fact)


REQUIRED: Final = ("code", "lines")

KEYS: Final[Mapping[str, Reader]] = {
    "code": code,
    "name": _name,
    "doc_no": text(),
    "issuer": text(),
    "lead": text(),
    "co_leads": _co_leads,
    "level": word(Level),
    "source": text(most=2000),
    "grade": text(most=20),
    "supersedes": _codes_or_code,
    "in_force": _in_force,
    "side": word(Side),
    "facts": _facts,
    "subject": listing(choice(*SUBJECTS), least=1, most=len(SUBJECTS)),
    "purpose": predicate,
    "eligibility": predicate,
    "applicant_kinds": _applicant_kinds,
    "provider": _provider,
    "channel": listing(text(most=60), least=1, most=50),
    "related_party": _related,
    "double_subsidy": _double,
    "double_levels": listing(word(Level), least=1, most=len(Level)),
    **MONEY_KEYS,
    **TERMS,
    "schema": whole(1, 1),
}
"""Every key of a programme file, in the order in which they are best written."""
