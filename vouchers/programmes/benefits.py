"""What the benefit lines pay: the base, each line, the choice among them. Exact fractions of fen; nothing is rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import Money
from vouchers.programmes import names, years
from vouchers.programmes.decisions import Outcome, Step
from vouchers.programmes.predicates import ABSENT, Seen, Truth, judge
from vouchers.programmes.readers import number
from vouchers.programmes.requests import PastAward, Request
from vouchers.programmes.schemes import Basis, Choose, Cost, FreeQuota, Line, Measure, Programme

__all__ = ["Base", "Paid", "Payout", "base_of", "choose", "conditions", "down", "paid", "payouts", "same_contract"]


def down(amount: Fraction) -> Money:
    """Return `amount` in whole fen, rounded down: for showing it, never for computing on."""
    return Money(amount.numerator // amount.denominator)


def conditions(because: Iterable[Seen]) -> list[list[Any]]:
    """Return the leaves that decided as plain JSON: ``[path, operator, value, fact, negated, stated]``."""
    return [
        [
            seen.leaf.path,
            seen.leaf.operator.value,
            _plain(seen.leaf.value),
            None if seen.actual is ABSENT else _plain(seen.actual),
            seen.negated,
            seen.actual is not ABSENT,
        ]
        for seen in because
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else format(value, "f")


@dataclass(frozen=True, slots=True)
class Base:
    """The spending that counts, in fen; None where `missing` facts keep it unknown."""

    amount: Fraction | None
    missing: tuple[str, ...]
    step: Step


def base_of(programme: Programme, request: Request) -> Base:
    """Return the base: the amounts of the kinds that count, or the paid-for use beyond a free quota.

    Which amounts: those of the programme's basis where stated (`STATED`), else the contract's; never more of a kind than a
    reviewer approved.
    """
    cost = programme.cost
    if cost.free_quota is not None:
        return _metered(programme, cost.free_quota, request)
    if cost.basis is Basis.DERIVED:
        return _derived_base(programme, request)
    source = STATED.get(cost.basis or Basis.CONTRACT, "contract.items")
    items = request.priced(source)
    if items is None:
        source, items = "contract.items", request.items
    approved = request.priced("contract.approved_items")
    if items is None and approved is not None:
        source, items = "contract.approved_items", approved
    if items is None:
        missing = ("contract.items",)
        return Base(None, missing, Step("base", "", Outcome.UNKNOWN, missing=missing))
    counted = {kind: price for kind, price in items.items() if _counts(kind, cost)}
    if approved is not None:
        counted = {kind: min(price, approved.get(kind, Money(0))) for kind, price in counted.items()}
    total = Fraction(sum(price.fen for price in counted.values()))
    params: dict[str, Any] = {
        "counted": [[kind, names.money(price)] for kind, price in counted.items()],
        "not_counted": [[kind, names.money(price)] for kind, price in items.items() if kind not in counted],
    }
    if source != "contract.items":
        params["source"] = source
    if approved is not None and counted != {kind: items[kind] for kind in counted}:
        params["cut"] = [[kind, names.money(items[kind])] for kind, price in counted.items() if price != items[kind]]
    return Base(total, (), Step("base", params=params, after=down(total)))


STATED: Final[Mapping[Basis, str]] = {
    Basis.APPROVED: "contract.approved_items",
    Basis.ORDER: "contract.ordered_items",
    Basis.INVOICED: "contract.invoiced_items",
    Basis.PAID: "contract.paid_items",
    Basis.USAGE: "usage.items",
}
"""The facts that hold the amounts of a basis."""


def _counts(kind: str, cost: Cost) -> bool:
    return (not cost.include or kind in cost.include) and kind not in cost.exclude


def _derived_base(programme: Programme, request: Request) -> Base:
    """Return what the programmes its lines derive from paid on the same contract."""
    sources = {(line.derived_from, line.measure) for line in programme.lines if line.derived_from}
    found = sum((paid(request, (code,), measure) for code, measure in sorted(sources)), Paid())
    params = {"derived_from": sorted(code for code, _measure in sources), "paid": names.money(down(found.surely))}
    if found.possibly:
        return Base(None, found.missing, Step("base_derived", "", Outcome.UNKNOWN, params, found.missing))
    return Base(found.surely, (), Step("base_derived", params=params, after=down(found.surely)))


def _metered(programme: Programme, quota: FreeQuota, request: Request) -> Base:
    paths = (f"usage.{quota.unit}", "usage.price")
    stated = [_quantity(request.fact(path)) for path in paths]
    missing = tuple(path for path, quantity in zip(paths, stated, strict=True) if quantity is None)
    used, price = stated
    if used is None or price is None:
        return Base(None, missing, Step("base_metered", "", Outcome.UNKNOWN, missing=missing))
    before = _free_before(programme, quota, request)
    free = max(Fraction(0), quota.amount - before)
    total = max(Fraction(0), used - free) * price * 100
    params = {
        "used": [paths[0], _decimal(used)],
        "free": [paths[0], _decimal(free)],
        "price": _decimal(price),
    }
    if before:
        params["before"] = [paths[0], _decimal(before)]
    return Base(total, (), Step("base_metered", params=params, after=down(total)))


def _free_before(programme: Programme, quota: FreeQuota, request: Request) -> Fraction:
    """Return the units of the free quota that earlier awards of its period used, and those stated besides.

    What history does not say was used free counts as nothing: the quota is given, and its use is metered by the portal.
    """
    if not quota.period:
        return Fraction(0)
    total = _quantity(request.fact("usage.free_used")) if request.fact("usage.free_used") is not ABSENT else None
    units = total or Fraction(0)
    for award in request.history:
        if award.programme != programme.code or award.free_used is ABSENT or award.of_group:
            continue
        within = Truth.TRUE if quota.period == "lifetime" else years.same_year(award, programme, request)[0]
        if within is Truth.TRUE:
            units += Fraction(award.free_used.fen, 100)
    return units


def _quantity(value: Any) -> Fraction | None:
    """Return a stated quantity; zero where known to be absent, None where not stated or not a quantity."""
    if value is None:
        return Fraction(0)
    exact = number(value)
    return None if exact is None or exact < 0 else Fraction(exact)


def _decimal(value: Fraction) -> str:
    """Return a decimal fraction of at most twelve decimals as text."""
    whole, rest = divmod(int(value * 10**12), 10**12)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Paid:
    """What history shows, in fen: surely, and possibly besides (`missing` facts would tell)."""

    surely: Fraction = Fraction(0)
    possibly: Fraction = Fraction(0)
    missing: tuple[str, ...] = ()

    def __add__(self, other: Paid) -> Paid:
        return Paid(self.surely + other.surely, self.possibly + other.possibly, self.missing + other.missing)


def same_contract(award: PastAward, request: Request) -> Truth:
    """Tell whether a past award was made on the contract of the request."""
    contract = request.fact("contract.id")
    if award.contract is None or contract is None:
        return Truth.FALSE
    if award.contract is ABSENT or contract is ABSENT:
        return Truth.UNKNOWN
    return Truth.TRUE if str(award.contract) == str(contract) else Truth.FALSE


def contract_missing(request: Request) -> tuple[str, ...]:
    """Return the path of the fact that would tell `same_contract`."""
    return ("contract.id",) if request.fact("contract.id") is ABSENT else ("history.contract",)


def paid(request: Request, codes: Iterable[str], measure: Measure = Measure.PAID) -> Paid:
    """Return what programmes `codes` paid on the contract of the request (less recoveries), or granted."""
    wanted, total = set(codes), Paid()
    for award in request.history:
        given = award.amount if measure is Measure.GRANTED or award.paid is ABSENT else award.paid
        if award.programme in wanted and given:
            same = same_contract(award, request)
            amount = Fraction(given.fen)
            if same is Truth.TRUE:
                total += Paid(surely=amount)
            elif same is Truth.UNKNOWN:
                total += Paid(possibly=amount, missing=contract_missing(request))
    return total


@dataclass(frozen=True, slots=True)
class Payout:
    """What one line pays: whether it applies, its amount in fen (None while facts are missing), how it came about."""

    line: Line
    number: int
    truth: Truth
    amount: Fraction | None
    missing: tuple[str, ...]
    step: Step
    rate: Fraction | None = None


def payouts(programme: Programme, request: Request, base: Base) -> list[Payout]:
    """Return every line of the programme with what it would pay, in order."""
    return [_payout(line, at + 1, request, base) for at, line in enumerate(programme.lines)]


def _payout(line: Line, number_: int, request: Request, base: Base) -> Payout:
    verdict = judge(line.when, request.facts)
    amount, rate, missing, params = _line_amount(line, request, base)
    if amount is not None and line.cap is not None and amount > line.cap.fen:
        params["cap"] = names.money(line.cap)
        amount = Fraction(line.cap.fen)
    params |= {"number": number_, "conditions": conditions(verdict.because)}
    outcome = {Truth.TRUE: Outcome.PASS, Truth.FALSE: Outcome.SKIPPED, Truth.UNKNOWN: Outcome.UNKNOWN}[verdict.truth]
    unknown = verdict.missing or (missing if verdict.truth is Truth.TRUE else ())
    step = Step(
        "line",
        "",
        Outcome.UNKNOWN if unknown else outcome,
        params,
        unknown,
        after=down(amount) if amount is not None and verdict.truth is Truth.TRUE else None,
    )
    return Payout(line, number_, verdict.truth, amount, verdict.missing or missing, step, rate)


Amounts = tuple[Fraction | None, Fraction | None, tuple[str, ...], dict[str, Any]]


def _line_amount(line: Line, request: Request, base: Base) -> Amounts:
    """Return amount, rate, missing facts and parameters of the line's step."""
    if line.amount is not None:
        return Fraction(line.amount.fen), None, (), {"amount": names.money(line.amount)}
    if line.derived_from and line.rate is not None:
        return _derived(line, line.rate, request)
    if base.amount is None:
        return None, line.rate, base.missing, {"rate": names.percent(line.rate)} if line.rate is not None else {}
    if line.rate is None:
        amount, rate = _bracketed(line, base.amount)
        return amount, rate, (), {"brackets": True} | ({"rate": names.percent(rate)} if rate is not None else {})
    amount, params = base.amount * line.rate, {"rate": names.percent(line.rate)}
    if not line.combined_with:
        return amount, line.rate, (), params
    before = paid(request, line.combined_with)
    params["paid"] = names.money(down(before.surely))
    limits = []
    if line.combined_rate_cap is not None:
        params["combined"] = names.percent(line.combined_rate_cap)
        limits.append(base.amount * line.combined_rate_cap)
    if line.combined_amount_cap is not None:
        params["combined_amount"] = names.money(line.combined_amount_cap)
        limits.append(Fraction(line.combined_amount_cap.fen))
    if before.possibly:
        return None, line.rate, before.missing, params
    room = max(Fraction(0), min(limits) - before.surely)
    return min(amount, room), line.rate, (), params


def _derived(line: Line, rate: Fraction, request: Request) -> Amounts:
    before = paid(request, (line.derived_from,), line.measure)
    params = {
        "rate": names.percent(rate),
        "derived_from": line.derived_from,
        "paid": names.money(down(before.surely)),
    }
    if before.possibly:
        return None, None, before.missing, params
    return before.surely * rate, None, (), params


def _bracketed(line: Line, base: Fraction) -> tuple[Fraction, Fraction | None]:
    """Return what brackets pay on `base`, and the one rate where the whole base has one. Upper bounds are inclusive."""
    assert line.brackets is not None
    lower, total = Fraction(0), Fraction(0)
    for upper, rate in line.brackets.table:
        inside = upper is None or base <= upper.fen
        if not line.brackets.marginal and inside:
            return base * rate, rate
        if line.brackets.marginal:
            reach = base if upper is None or inside else Fraction(upper.fen)
            total += (reach - lower) * rate
            lower = reach
        if inside:
            break
    return total, None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The line or lines that pay. `amount` is None when a fact they need is missing."""

    payouts: tuple[Payout, ...]
    amount: Fraction | None
    missing: tuple[str, ...] = ()

    @property
    def ceilings(self) -> Fraction:
        """The share of the amount that lines pay whose rate is a ceiling."""
        bound = sum(
            (payout.amount or Fraction(0) for payout in self.payouts if payout.line.rate_is_ceiling), Fraction(0)
        )
        return bound / self.amount if self.amount else Fraction(0)

    @property
    def rate(self) -> Fraction | None:
        """The rate of the deciding line, if a single line with a rate decides."""
        return self.payouts[0].rate if len(self.payouts) == 1 else None


def choose(how: Choose, lines: Sequence[Payout]) -> Chosen:
    """Choose among lines that apply: the first, the one that pays most (the first of equals), or all together."""
    if how is Choose.FIRST:
        lines = lines[:1]
    if unknown := tuple(fact for payout in lines if payout.amount is None for fact in payout.missing):
        return Chosen(tuple(lines), None, unknown)
    known = [(payout.amount or Fraction(0), payout) for payout in lines]
    if how is Choose.MAX and known:
        most, payout = max(known, key=lambda pair: pair[0])
        return Chosen((payout,), most)
    return Chosen(tuple(lines), sum((amount for amount, _payout in known), Fraction(0)))
