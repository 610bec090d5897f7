"""Read a programme file: one JSON object per benefit scheme. The format is described in ``docs/programme-file.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from portal.kernel.errors import noop
from portal.kernel.money import Money
from vouchers.programmes import readers
from vouchers.programmes.parsing import BadDocument, Problem, Problems, child, decode
from vouchers.programmes.predicates import predicate
from vouchers.programmes.readers import amount, choice, flag, listing, nullable, rate, record, refuse, text, whole
from vouchers.programmes.requests import BadRequest, load_request
from vouchers.programmes.schemes import (
    Brackets,
    Cap,
    Choose,
    Cost,
    Count,
    DoubleSubsidy,
    FreeQuota,
    Funder,
    Level,
    Line,
    PoolShort,
    Programme,
    Rounding,
    RoundingMode,
    Side,
    Window,
)
from vouchers.programmes.terms import Terms
from vouchers.programmes.terms_reading import TERMS, terms_of
from vouchers.programmes.words import Words

__all__ = [
    "BadCatalogue",
    "BadProgramme",
    "BadRequest",
    "Problem",
    "Programme",
    "catalogue",
    "load",
    "load_request",
    "missing_to_publish",
]

_ = noop


class BadProgramme(BadDocument):
    code = "invalid.programme"
    message = _("项目文件有 %(count)s 处问题。第一处：%(first)s")


class BadCatalogue(BadDocument):
    """Programmes are each right, but not together: a code given twice, or a circle of derived awards."""

    code = "invalid.catalogue"
    message = _("项目之间有 %(count)s 处矛盾。第一处：%(first)s")


code = text(most=60)
codes = listing(code, least=1, most=50)
sizes = amount(least_fen=1)


def _name(value: Any, path: str, problems: Problems) -> Words | None:
    if isinstance(value, str):
        plain = text(most=160)(value, path, problems)
        return None if plain is None else Words(plain, plain)
    both = record({"zh": text(most=160), "en": text(most=200)}, required=("zh", "en"))(value, path, problems)
    return Words(str(both.get("zh")), str(both.get("en")))


def _codes_or_code(value: Any, path: str, problems: Problems) -> tuple[str, ...]:
    if isinstance(value, str):
        read = code(value, path, problems)
        return () if read is None else (read,)
    return tuple(codes(value, path, problems))


def _in_force(value: Any, path: str, problems: Problems) -> tuple[date | None, date | None]:
    bounds = listing(nullable(readers.day), least=2, most=2)(value, path, problems)
    start, end = bounds if len(bounds) == 2 else (None, None)
    if start and end and start > end:
        refuse(value, path, problems, Words("起始日不晚于截止日", "a first day not after the last day"))
    return start, end


_free_quota = record({"unit": text(most=60), "amount": amount()}, required=("unit", "amount"))

_cost = record(
    {
        "include": listing(text(most=60), least=1, most=100),
        "when": predicate,
        "basis": choice("contract", "approved", "order", "invoiced", "paid", "usage", "derived"),
        "period": text(),
        "signed_from": readers.day,
        "max_months": whole(1, 600),
        "min_base": amount(),
        "free_quota": _free_quota,
    }
)


def _bracket(value: Any, path: str, problems: Problems) -> tuple[Any, Fraction]:
    if not isinstance(value, list) or len(value) != 2:
        refuse(value, path, problems, Words("[上限或 null, 比例]", "[upper bound or null, rate]"))
        return None, Fraction(0)
    return nullable(sizes)(value[0], child(path, 0), problems), rate(value[1], child(path, 1), problems)


def _brackets(value: Any, path: str, problems: Problems) -> Brackets | None:
    shape = {"mode": choice("marginal", "whole"), "table": listing(_bracket, least=1, most=50)}
    read = record(shape, required=("mode", "table"))(value, path, problems)
    table = read.get("table", ())
    bounds = [upper for upper, _rate in table]
    if None in bounds[:-1] or any(low >= high for low, high in pairwise(bounds) if low and high):
        ascending = Words("上限由低到高，只有最后一档可为 null", "ascending bounds, null only in the last")
        refuse(value.get("table"), child(path, "table"), problems, ascending)
    return Brackets(read.get("mode") == "marginal", table)


_line_fields = record(
    {
        "id": text(most=120),
        "when": predicate,
        "rate": rate,
        "amount": sizes,
        "brackets": _brackets,
        "derived_from": code,
        "cap": sizes,
        "combined_rate_cap": rate,
        "combined_with": codes,
    },
    required=("id",),
)

ONE_BENEFIT = Words(
    "rate、amount、brackets 三者之一；derived_from 须配 rate",
    "exactly one of rate, amount, brackets; derived_from goes with rate",
)
COMBINED = Words(
    "combined_rate_cap 与 combined_with 成对出现，并配 rate",
    "combined_rate_cap and combined_with together, with a rate",
)


def _line(value: Any, path: str, problems: Problems) -> Line | None:
    read = _line_fields(value, path, problems)
    if not isinstance(value, dict):
        return None
    benefits = [key for key in ("rate", "amount", "brackets") if key in read]
    if len(benefits) != 1 or ("derived_from" in read and benefits != ["rate"]):
        refuse(sorted({*benefits, *({"derived_from"} & read.keys())}), path, problems, ONE_BENEFIT)
    combined = {"combined_rate_cap", "combined_with"} & read.keys()
    if combined and (len(combined) == 1 or benefits != ["rate"] or "derived_from" in read):
        refuse(sorted(combined), path, problems, COMBINED)
    return Line(**{"id": "", **read})


_cap_fields = record(
    {
        "window": choice(*Window),
        "amount": sizes,
        "soft": sizes,
        "across": codes,
        "when": predicate,
        "unless": predicate,
    },
    required=("window", "amount"),
)


def _cap(value: Any, path: str, problems: Problems) -> Cap | None:
    read = _cap_fields(value, path, problems)
    if not {"window", "amount"} <= read.keys() or read["window"] is None:
        return None
    if "soft" in read and read["soft"] > read["amount"]:
        most = read["amount"].yuan()
        refuse(
            value["soft"], child(path, "soft"), problems, Words(f"不高于 amount（{most}）", f"at most amount ({most})")
        )
    return Cap(**{**read, "window": Window(read["window"])})


_funder = record({"payer": text(most=120), "share": rate}, required=("payer", "share"))


def _funding(value: Any, path: str, problems: Problems) -> tuple[Funder, ...]:
    parts = [
        part for part in listing(_funder, least=1, most=20)(value, path, problems) if {"payer", "share"} <= part.keys()
    ]
    total = sum((part["share"] for part in parts), Fraction(0))
    if parts and total != 1:
        problems.add(
            path,
            Words("各方份额之和为 %(total)s。", "The shares add up to %(total)s.").fill(total=_plain(total)),
            Words("份额之和等于 1", "shares that add up to 1"),
        )
    payers = [part["payer"] for part in parts]
    _no_repeats(payers, path, "payer", problems)
    return tuple(Funder(**part) for part in parts)


def _plain(value: Fraction) -> str:
    return format((Decimal(value.numerator) / Decimal(value.denominator)).normalize(), "f")


def _no_repeats(values: Iterable[str], path: str, key: str, problems: Problems) -> None:
    seen: set[str] = set()
    for at, value in enumerate(values):
        if value in seen:
            refuse(value, child(child(path, at), key), problems, Words("各项互不相同", "a value no other item has"))
        seen.add(value)


def _lines(value: Any, path: str, problems: Problems) -> tuple[Line, ...]:
    lines = listing(_line, least=1, most=100)(value, path, problems)
    _no_repeats([line.id if line else str(at) for at, line in enumerate(lines)], path, "id", problems)
    return tuple(line for line in lines if line)


_pool = record({"period": text(), "amount": sizes, "admin_cost_in": flag}, required=("amount",))
_count = record({"per_application_max": sizes, "holding_max": sizes})
_rounding = record({"to": sizes, "mode": choice(*RoundingMode)})

_programme = record(
    {
        "code": code,
        "name": _name,
        "doc_no": text(),
        "issuer": text(),
        "lead": text(),
        "co_leads": listing(text(), most=50),
        "level": choice(*Level),
        "source": text(most=2000),
        "grade": text(most=20),
        "supersedes": _codes_or_code,
        "in_force": _in_force,
        "side": choice(*Side),
        "eligibility": predicate,
        "provider": predicate,
        "related_party": choice("forbidden", "allowed"),
        "double_subsidy": choice(*DoubleSubsidy),
        "double_levels": listing(choice(*Level), least=1, most=len(Level)),
        "cost": _cost,
        "per_contract_count": whole(1, 1000),
        "max_cycles": whole(1, 100),
        "count": _count,
        "lines": _lines,
        "choose": choice(*Choose),
        "caps": listing(_cap, most=50),
        "floor": amount(),
        "pool": listing(_pool, most=50),
        "pool_short": choice(*PoolShort),
        "funding": _funding,
        "rounding": _rounding,
        **TERMS,
    },
    required=("code", "lines"),
)


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


def _cross_check(read: Mapping[str, Any], problems: Problems) -> None:
    """Check what no key can know alone."""
    for at, line in enumerate(read.get("lines", ())):
        if line.derived_from and line.derived_from == read.get("code"):
            other = Words("另一个项目的代码", "the code of another programme")
            refuse(line.derived_from, f"lines[{at}].derived_from", problems, other)
    signed_from = read.get("cost", {}).get("signed_from")
    end = read.get("in_force", (None, None))[1]
    if signed_from and end and signed_from > end:
        by = Words(f"不晚于项目截止日 {end}", f"not after the programme's last day {end}")
        refuse(signed_from.isoformat(), "cost.signed_from", problems, by)


def _build(read: Mapping[str, Any], document: Mapping[str, Any], terms: Terms) -> Programme:
    cost = dict(read.get("cost", {}))
    if quota := cost.get("free_quota"):
        cost["free_quota"] = FreeQuota(quota["unit"], Fraction(quota["amount"].fen, 100))
    rounding = read.get("rounding", {})
    kept = {
        key: value
        for key, value in read.items()
        if key not in TERMS and key not in ("related_party", "cost", "count", "rounding")
    }
    enums = {"level": Level, "side": Side, "double_subsidy": DoubleSubsidy, "choose": Choose, "pool_short": PoolShort}
    kept |= {key: kind(kept[key]) for key, kind in enums.items() if key in kept}
    kept["double_levels"] = tuple(Level(level) for level in kept.get("double_levels", ()))
    return Programme(
        **kept,
        document=_as_plain_json(document),
        related_party_forbidden=read.get("related_party") == "forbidden",
        cost=Cost(**cost),
        count=Count(**read.get("count", {})),
        rounding=Rounding(rounding.get("to", Money(1)), RoundingMode(rounding.get("mode", "down"))),
        terms=terms,
    )


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
