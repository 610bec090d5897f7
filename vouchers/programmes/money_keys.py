"""Read the keys of a programme file that speak of money: what counts, what is paid, and up to how much."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from vouchers.programmes import readers
from vouchers.programmes.parsing import Problems, Reader, child, shape_of, shaped
from vouchers.programmes.pools import period as pool_period
from vouchers.programmes.predicates import predicate
from vouchers.programmes.readers import (
    amount,
    choice,
    either,
    flag,
    listing,
    no_repeats,
    nullable,
    rate,
    record,
    refuse,
    text,
    whole,
)
from vouchers.programmes.schemes import (
    Basis,
    Brackets,
    Cap,
    Choose,
    Cost,
    Count,
    Cycles,
    FreeQuota,
    Funder,
    Line,
    Measure,
    Period,
    Pool,
    PoolShort,
    Rounding,
    RoundingMode,
    Scope,
    Window,
    YearBasis,
)
from vouchers.programmes.words import Words

__all__ = ["MONEY_KEYS"]

code = text(most=60)
codes = listing(code, least=1, most=50)
sizes = amount(least_fen=1)

_period_fields = record({"from": nullable(readers.day), "to": nullable(readers.day), "note": text()})


@shaped(either(shape_of(text()), _period_fields))
def _period(value: Any, path: str, problems: Problems) -> Period:
    if isinstance(value, str):
        return Period(text=text()(value, path, problems) or "")
    read = _period_fields(value, path, problems)
    start, end = read.get("from"), read.get("to")
    if start and end and start > end:
        refuse(value, path, problems, Words("起始日不晚于截止日", "a first day not after the last day"))
    return Period(start, end, read.get("note") or "")


_quota_fields = record(
    {"unit": text(most=60), "amount": amount(), "period": choice("year", "lifetime")}, required=("unit", "amount")
)


@shaped(_quota_fields)
def _free_quota(value: Any, path: str, problems: Problems) -> FreeQuota | None:
    read = _quota_fields(value, path, problems)
    if not {"unit", "amount"} <= read.keys():
        return None
    return FreeQuota(read["unit"], Fraction(read["amount"].fen, 100), read.get("period") or "")


_categories = listing(text(most=60), least=1, most=100)

_cost_fields = record(
    {
        "include": _categories,
        "exclude": _categories,
        "when": predicate,
        "basis": choice(*Basis),
        "period": _period,
        "signed_from": readers.day,
        "max_months": whole(1, 600),
        "min_base": amount(),
        "free_quota": _free_quota,
    }
)


@shaped(_cost_fields)
def _cost(value: Any, path: str, problems: Problems) -> Cost:
    read = _cost_fields(value, path, problems)
    for at, kind in enumerate(read.get("exclude", ())):
        if kind in read.get("include", ()):
            neither = Words("没有列在 include 里的类别", "a category that include does not name")
            refuse(kind, child(child(path, "exclude"), at), problems, neither)
    if read.get("basis"):
        read["basis"] = Basis(read["basis"])
    return Cost(**read)


@shaped(
    {
        "type": "array",
        "prefixItems": [{"anyOf": [{"type": "null"}, shape_of(sizes)]}, shape_of(rate)],
        "minItems": 2,
        "maxItems": 2,
    }
)
def _bracket(value: Any, path: str, problems: Problems) -> tuple[Any, Fraction]:
    if not isinstance(value, list) or len(value) != 2:
        refuse(value, path, problems, Words("[上限或 null, 比例]", "[upper bound or null, rate]"))
        return None, Fraction(0)
    return nullable(sizes)(value[0], child(path, 0), problems), rate(value[1], child(path, 1), problems)


_bracket_fields = record(
    {"mode": choice("marginal", "whole"), "table": listing(_bracket, least=1, most=50)}, required=("mode", "table")
)


@shaped(_bracket_fields)
def _brackets(value: Any, path: str, problems: Problems) -> Brackets | None:
    read = _bracket_fields(value, path, problems)
    table = read.get("table", ())
    bounds = [upper for upper, _rate in table]
    if None in bounds[:-1] or any(low >= high for low, high in pairwise(bounds) if low and high):
        ascending = Words("上限由低到高，只有最后一档可为 null", "ascending bounds, null only in the last")
        refuse(value.get("table"), child(path, "table"), problems, ascending)
    return Brackets(read.get("mode") == "marginal", table)


_derived_fields = record({"programme": code, "measure": choice(*Measure)}, required=("programme",))


@shaped({"anyOf": [shape_of(code), shape_of(_derived_fields)]})
def _derived(value: Any, path: str, problems: Problems) -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = _derived_fields(value, path, problems)
        return found
    return {"programme": code(value, path, problems)}


_combined_fields = record({"with": codes, "rate_cap": rate, "amount_cap": sizes}, required=("with",))

_line_fields = record(
    {
        "id": text(most=120),
        "when": predicate,
        "rate": rate,
        "rate_is_ceiling": flag,
        "amount": sizes,
        "brackets": _brackets,
        "derived_from": _derived,
        "cap": sizes,
        "combined": _combined_fields,
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
CEILING = Words("仅在档次有 rate 时为 true", "true only where the line has a rate")
ONE_CAP = Words("rate_cap、amount_cap 至少其一", "at least one of rate_cap and amount_cap")


@shaped(_line_fields)
def _line(value: Any, path: str, problems: Problems) -> Line | None:
    read = _line_fields(value, path, problems)
    if not isinstance(value, dict):
        return None
    benefits = [key for key in ("rate", "amount", "brackets") if key in read]
    if len(benefits) != 1 or ("derived_from" in read and benefits != ["rate"]):
        refuse(sorted({*benefits, *({"derived_from"} & read.keys())}), path, problems, ONE_BENEFIT)
    old = {"combined_rate_cap", "combined_with"} & read.keys()
    new = {"combined"} & read.keys()
    is_whole = len(old) == 2 or (new and not old)
    if (old or new) and (not is_whole or benefits != ["rate"] or "derived_from" in read):
        refuse(sorted(old | new), path, problems, COMBINED)
    if read.get("rate_is_ceiling") and benefits != ["rate"]:
        refuse(value=True, path=child(path, "rate_is_ceiling"), problems=problems, allowed=CEILING)
    together = read.pop("combined", None) or {}
    if new and not {"rate_cap", "amount_cap"} & together.keys():
        refuse(sorted(together), child(path, "combined"), problems, ONE_CAP)
    if derived := read.pop("derived_from", None):
        read["derived_from"] = derived.get("programme") or ""
        read["measure"] = Measure(derived.get("measure") or Measure.PAID)
    names = {"with": "combined_with", "rate_cap": "combined_rate_cap", "amount_cap": "combined_amount_cap"}
    read |= {names[key]: found for key, found in together.items()}
    return Line(**{"id": "", **read})


_cap_fields = record(
    {
        "scope": choice(*Scope),
        "window": choice(*Window),
        "amount": sizes,
        "soft": sizes,
        "across": codes,
        "when": predicate,
        "unless": predicate,
    },
    required=("window", "amount"),
)


@shaped(_cap_fields)
def _cap(value: Any, path: str, problems: Problems) -> Cap | None:
    read = _cap_fields(value, path, problems)
    if not {"window", "amount"} <= read.keys() or read["window"] is None:
        return None
    if "soft" in read and read["soft"] > read["amount"]:
        most = read["amount"].yuan()
        refuse(
            value["soft"], child(path, "soft"), problems, Words(f"不高于 amount（{most}）", f"at most amount ({most})")
        )
    read["scope"] = Scope(read.get("scope") or Scope.APPLICANT)
    return Cap(**{**read, "window": Window(read["window"])})


_cycle_fields = record({"total": whole(1, 100), "consecutive": whole(1, 100)})


@shaped({"anyOf": [shape_of(whole(1, 100)), shape_of(_cycle_fields)]})
def _cycles(value: Any, path: str, problems: Problems) -> Cycles:
    if isinstance(value, dict):
        return Cycles(**_cycle_fields(value, path, problems))
    return Cycles(total=whole(1, 100)(value, path, problems))


_funder = record({"payer": text(most=120), "share": rate}, required=("payer", "share"))
_funders = listing(_funder, least=1, most=20)


@shaped(_funders)
def _funding(value: Any, path: str, problems: Problems) -> tuple[Funder, ...]:
    parts = [part for part in _funders(value, path, problems) if {"payer", "share"} <= part.keys()]
    total = sum((part["share"] for part in parts), Fraction(0))
    if parts and total != 1:
        problems.add(
            path,
            Words("各方份额之和为 %(total)s。", "The shares add up to %(total)s.").fill(total=_plain(total)),
            Words("份额之和等于 1", "shares that add up to 1"),
        )
    payers = [part["payer"] for part in parts]
    no_repeats(payers, path, "payer", problems)
    return tuple(Funder(**part) for part in parts)


def _plain(value: Fraction) -> str:
    return format((Decimal(value.numerator) / Decimal(value.denominator)).normalize(), "f")


_line_list = listing(_line, least=1, most=100)


@shaped(_line_list)
def _lines(value: Any, path: str, problems: Problems) -> tuple[Line, ...]:
    lines = _line_list(value, path, problems)
    no_repeats([line.id if line else str(at) for at, line in enumerate(lines)], path, "id", problems)
    return tuple(line for line in lines if line)


_pool_fields = record(
    {"period": pool_period, "amount": sizes, "admin_cost_in": flag, "admin_share": rate}, required=("amount",)
)


@shaped(_pool_fields)
def _pool(value: Any, path: str, problems: Problems) -> Pool | None:
    read = _pool_fields(value, path, problems)
    if read.get("admin_share") is not None and not read.get("admin_cost_in"):
        inside = Words("仅在 admin_cost_in 为 true 时填写", "given only with admin_cost_in true")
        refuse(value["admin_share"], child(path, "admin_share"), problems, inside)
    return Pool(**{**read, "period": read.get("period") or ""}) if "amount" in read else None


_pool_list = listing(_pool, most=50)


@shaped(_pool_list)
def _pools(value: Any, path: str, problems: Problems) -> tuple[Pool, ...]:
    rows = _pool_list(value, path, problems)
    no_repeats([row.period if row else f"#{at}" for at, row in enumerate(rows)], path, "period", problems)
    return tuple(row for row in rows if row)


_count_fields = record(
    {
        "per_contract": whole(1, 1000),
        "per_year": whole(1, 1000),
        "per_application_max": sizes,
        "holding_max": sizes,
    }
)


@shaped(_count_fields)
def _count(value: Any, path: str, problems: Problems) -> Count:
    return Count(**_count_fields(value, path, problems))


_rounding_fields = record({"to": sizes, "mode": choice(*RoundingMode)})


@shaped(_rounding_fields)
def _rounding(value: Any, path: str, problems: Problems) -> Rounding:
    read = _rounding_fields(value, path, problems)
    return Rounding(read.get("to") or Rounding().to, RoundingMode(read.get("mode") or "down"))


MONEY_KEYS: Final[Mapping[str, Reader]] = {
    "cost": _cost,
    "per_contract_count": whole(1, 1000),
    "count": _count,
    "max_cycles": _cycles,
    "year_basis": readers.word(YearBasis),
    "lines": _lines,
    "choose": readers.word(Choose),
    "caps": listing(_cap, most=50),
    "floor": amount(),
    "pool": _pools,
    "pool_short": readers.word(PoolShort),
    "funding": _funding,
    "rounding": _rounding,
}
"""The keys this module reads."""
