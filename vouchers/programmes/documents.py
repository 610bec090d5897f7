"""Read a programme file: one JSON object per benefit scheme. The format is described in ``docs/programme-file.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from portal.kernel.errors import noop
from vouchers.programmes import names, readers
from vouchers.programmes.keys import KEYS, REQUIRED
from vouchers.programmes.parsing import BadDocument, Problem, Problems, decode, suggestion
from vouchers.programmes.predicates import leaf_paths
from vouchers.programmes.readers import record, refuse
from vouchers.programmes.requests import BadRequest, load_request
from vouchers.programmes.schemes import Basis, Cost, Count, DoubleSubsidy, Level, Programme, Same, YearBasis
from vouchers.programmes.terms import Terms
from vouchers.programmes.terms_reading import TERMS, terms_of
from vouchers.programmes.words import Words

__all__ = [
    "BadCatalogue",
    "BadProgramme",
    "BadRequest",
    "Problem",
    "Programme",
    "admit",
    "catalogue",
    "load",
    "load_request",
    "missing_to_publish",
    "unknown_facts",
]

_ = noop


class BadProgramme(BadDocument):
    code = "invalid.programme"
    message = _("项目文件有 %(count)s 处问题。第一处：%(first)s")


class BadCatalogue(BadDocument):
    """Programmes are each right, but not together: a code given twice, or a circle of derived awards."""

    code = "invalid.catalogue"
    message = _("项目之间有 %(count)s 处矛盾。第一处：%(first)s")


_programme = record(KEYS, required=REQUIRED)


def load(raw: bytes | str | Mapping[str, Any]) -> Programme:
    """Read and check a programme file. Raises BadProgramme with every problem found.

    JSON in UTF-8, at most 256 KiB. Amounts are yuan (numbers or decimal text, at most two decimals), rates decimal
    text from 0 to 1; nothing passes through a float.
    """
    problems = Problems()
    document = decode(raw, problems)
    problems.raise_as(BadProgramme)
    read = _programme(document, "", problems)
    terms = terms_of(read, problems)
    if isinstance(document, dict):
        _cross_check(read, problems)
    problems.raise_as(BadProgramme)
    return _build(read, document, terms)


def admit(raw: bytes | str | Mapping[str, Any]) -> Programme:
    """Read a file that is to become a version: as `load`, and every fact its conditions name must have a name.

    Versions stored before keep being read by `load`. Raises BadProgramme.
    """
    programme = load(raw)
    problems = Problems()
    for problem in unknown_facts(programme):
        problems.append(problem)
    problems.raise_as(BadProgramme)
    return programme


def unknown_facts(programme: Programme) -> tuple[Problem, ...]:
    """Return a problem for each fact of a condition that neither the portal knows nor the file declares in `facts`."""
    known = [*names.FACTS, *(fact.path for fact in programme.facts)]
    problems = Problems()
    for where, condition in programme.predicates:
        for below, fact in leaf_paths(condition):
            if fact in known or names.is_item(fact):
                continue
            meant = suggestion(fact, known)
            said = UNKNOWN_FACT.fill(fact=fact)
            said = MEANT_FACT.fill(fact=fact, meant=meant) if meant else said
            problems.add(f"{where}{below}", said, KNOWN_FACT)
    return tuple(problems)


UNKNOWN_FACT = Words("没有事实“%(fact)s”。", "There is no fact “%(fact)s”.")
MEANT_FACT = Words("没有事实“%(fact)s”；是不是“%(meant)s”？", "There is no fact “%(fact)s”; did you mean “%(meant)s”?")
KNOWN_FACT = Words("已知的事实，或在 facts 中声明", "a known fact, or one declared in facts")


def _cross_check(read: Mapping[str, Any], problems: Problems) -> None:
    """Check what no key can know alone."""
    lines = read.get("lines", ())
    for at, line in enumerate(lines):
        if line.derived_from and line.derived_from == read.get("code"):
            other = Words("另一个项目的代码", "the code of another programme")
            refuse(line.derived_from, f"lines[{at}].derived_from", problems, other)
    cost = read.get("cost") or Cost()
    end = (read.get("in_force") or (None, None))[1]
    if cost.signed_from and end and cost.signed_from > end:
        by = Words(f"不晚于项目截止日 {end}", f"not after the programme's last day {end}")
        refuse(cost.signed_from.isoformat(), "cost.signed_from", problems, by)
    if cost.basis is Basis.DERIVED and not any(line.derived_from for line in lines):
        derived = Words("仅在有档次使用 derived_from 时用 derived", "derived only where a line has derived_from")
        refuse("derived", "cost.basis", problems, derived)
    if read.get("year_basis") is YearBasis.POLICY and not (read.get("in_force") or (None,))[0]:
        start = Words("in_force 有起始日时才能用 policy", "policy only where in_force has a first day")
        refuse("policy", "year_basis", problems, start)
    for old, new, given in (
        ("per_contract_count", "count.per_contract", (read.get("count") or Count()).per_contract),
        ("double_levels", "double_subsidy.levels", (read.get("double_subsidy") or {}).get("levels")),
    ):
        if old in read and given:
            refuse(old, old, problems, Words(f"{old} 与 {new} 只写一处", f"either {old} or {new}, not both"))


def _build(read: Mapping[str, Any], document: Mapping[str, Any], terms: Terms) -> Programme:
    kept = {key: value for key, value in read.items() if key in PLAIN and value is not None}
    provider, related = read.get("provider") or {}, read.get("related_party") or {}
    double = read.get("double_subsidy") or {}
    count = read.get("count") or Count()
    return Programme(
        **kept,
        document=_as_plain_json(document),
        provider=provider.get("when"),
        provider_roster=provider.get("roster") or "",
        provider_documents=provider.get("documents") or (),
        related_party_forbidden=related.get("mode") == "forbidden",
        related_tests=related.get("tests") or (),
        double_subsidy=DoubleSubsidy(double.get("mode") or DoubleSubsidy.ALLOWED),
        double_levels=tuple(Level(level) for level in double.get("levels") or read.get("double_levels") or ()),
        same=Same(double.get("same") or Same.CONTRACT),
        count=replace(count, per_contract=count.per_contract or read.get("per_contract_count")),
        terms=terms,
    )


RESHAPED = frozenset(
    {"schema", "provider", "related_party", "double_subsidy", "double_levels", "count", "per_contract_count"}
)
PLAIN = KEYS.keys() - TERMS.keys() - RESHAPED
"""Keys that become a field of the same name."""


def _as_plain_json(value: Any) -> Any:
    """Return `value` without decimals: each becomes its text, which reads back as the same number."""
    if isinstance(value, dict):
        return {key: _as_plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_plain_json(item) for item in value]
    return format(value, "f") if isinstance(value, Decimal) else value


def catalogue(programmes: Iterable[Programme]) -> dict[str, Programme]:
    """Return programmes by code. Raises BadCatalogue for a code given twice or awards derived in a circle."""
    problems = Problems()
    by_code: dict[str, Programme] = {}
    for programme in programmes:
        if programme.code in by_code:
            refuse(programme.code, "code", problems, Words("没有其他项目使用的代码", "a code no other programme has"))
        by_code[programme.code] = programme
    for programme in by_code.values():
        for at, line in enumerate(programme.lines):
            if circle := _circle(programme.code, line.derived_from, by_code):
                problems.add(
                    f"{programme.code}: lines[{at}].derived_from",
                    Words("派生关系成环：%(circle)s。", "Derived in a circle: %(circle)s.").fill(
                        circle=" → ".join(circle)
                    ),
                    Words("不依赖本项目的项目", "a programme that does not depend on this one"),
                )
    problems.raise_as(BadCatalogue)
    return by_code


def _circle(start: str, towards: str, by_code: Mapping[str, Programme]) -> tuple[str, ...]:
    """Return the codes from `start` back to itself by way of `towards`; empty if there is no way back."""
    trails: list[tuple[str, ...]] = [(start, towards)] if towards else []
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        if trail[-1] == start:
            return trail
        if trail[-1] in seen or trail[-1] not in by_code:
            continue
        seen.add(trail[-1])
        trails += [(*trail, line.derived_from) for line in by_code[trail[-1]].lines if line.derived_from]
    return ()


PROVENANCE = ("name", "doc_no", "issuer", "lead", "level", "source", "grade", "in_force")


def missing_to_publish(programme: Programme) -> tuple[Problem, ...]:
    """Return what a programme must still say before it may be published: where its rules come from, and since when."""
    problems = Problems()
    for key in PROVENANCE:
        if not getattr(programme, key):
            needed = Words(f"发布前必须填写 {key}", f"{key} is required to publish")
            problems.add(key, readers.MISSING, needed)
    return tuple(problems)
