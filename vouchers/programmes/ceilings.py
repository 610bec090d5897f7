"""What lowers an award: caps, the other award on the same contract, rounding, the pool, the least award. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import Money, round_half_up
from vouchers.programmes import names, years
from vouchers.programmes.benefits import Chosen, Paid, conditions, contract_missing, down, same_contract
from vouchers.programmes.decisions import Outcome, Step, Test
from vouchers.programmes.predicates import ABSENT, Truth, judge
from vouchers.programmes.requests import PastAward, Request
from vouchers.programmes.schemes import (
    Cap,
    DoubleSubsidy,
    PoolShort,
    Programme,
    Rounding,
    RoundingMode,
    Same,
    Scope,
    Window,
)

__all__ = ["Catalogue", "Settlement", "is_bound", "other_awards", "rounded", "settle", "split"]

Catalogue = Mapping[str, Programme]
EMPTY: Final[tuple[str, ...]] = ()
CNY: Final = "CNY"


@dataclass(slots=True)
class Settlement:
    """An award on its way through the ceilings: fen, exact until `rounded`; None once refused or unknown."""

    amount: Fraction | None
    steps: list[Step] = field(default_factory=list)
    manual: str = ""
    """The test that leaves the amount to people, "" if none."""
    least_room: Fraction | None = None
    """The lowest ceiling met: rounding up must not pass it."""

    @property
    def outcomes(self) -> set[Outcome]:
        return {step.outcome for step in self.steps}

    def bound(self, room: Fraction) -> bool:
        """Lower the award to `room`. Return whether that changed it."""
        self.least_room = room if self.least_room is None else min(self.least_room, room)
        if self.amount is None or self.amount <= room:
            return False
        self.amount = room
        return True

    def shown(self) -> Money | None:
        return None if self.amount is None else down(self.amount)


def settle(programme: Programme, request: Request, catalogue: Catalogue, chosen: Chosen) -> Settlement:
    """Take an award through every ceiling in order. An unknown award still meets the ceilings that are used up."""
    settlement = Settlement(chosen.amount)
    _check_payable(programme, settlement)
    for cap in programme.caps:
        _apply_cap(cap, programme, request, settlement)
    _apply_counts(programme, request, settlement)
    _apply_coefficient(chosen.ceilings, request, settlement)
    _keep_highest(programme, request, catalogue, settlement)
    _round(programme.rounding, settlement)
    _draw_on_pool(programme, request, settlement)
    _fit_face_values(programme, settlement)
    _check_floor(programme, settlement)
    return settlement


def rounded(amount: Fraction, rounding: Rounding) -> Fraction:
    """Return `amount` as a multiple of `rounding.to`."""
    steps = amount / rounding.to.fen
    if rounding.mode is RoundingMode.HALF_UP:
        whole = round_half_up(steps)
    elif rounding.mode is RoundingMode.UP:
        whole = -(-steps.numerator // steps.denominator)
    else:
        whole = steps.numerator // steps.denominator
    return Fraction(whole * rounding.to.fen)


def _check_payable(programme: Programme, settlement: Settlement) -> None:
    if settlement.amount is not None and not rounded(settlement.amount, programme.rounding):
        settlement.steps.append(Step("nothing_payable", Test.BENEFIT, Outcome.FAIL, after=Money(0)))
        settlement.amount = None


def _used(cap: Cap, programme: Programme, request: Request) -> Paid:
    """Return what earlier awards used of `cap`."""
    total = Paid()
    if cap.window is Window.APPLICATION:
        return total
    for award in request.history:
        if award.programme != programme.code and award.programme not in cap.across:
            continue
        if award.of_group and cap.scope is Scope.APPLICANT:
            continue
        within, missing = Truth.TRUE, EMPTY
        if cap.window is Window.YEAR:
            within, missing = years.same_year(award, programme, request)
        elif cap.window is Window.CYCLE:
            within, missing = years.same_cycle(award, programme, request)
        elif cap.window is Window.CONTRACT:
            within, missing = same_contract(award, request), contract_missing(request)
        if within is Truth.TRUE:
            total += Paid(surely=Fraction(award.amount.fen))
        elif within is Truth.UNKNOWN:
            total += Paid(possibly=Fraction(award.amount.fen), missing=missing)
    return total


def _apply_counts(programme: Programme, request: Request, settlement: Settlement) -> None:
    """Bound the award by the quota of one application, and by what may be held at once beside what is held."""
    count = programme.count
    if count.per_application_max is not None:
        _apply_quota("application_quota", count.per_application_max, Money(0), programme, settlement)
    if count.holding_max is not None and request.holding is not None:
        _apply_quota("holding", count.holding_max, request.holding, programme, settlement)


def _apply_quota(kind: str, limit: Money, held: Money, programme: Programme, settlement: Settlement) -> None:
    before, left = settlement.shown(), Fraction(max(0, limit.fen - held.fen))
    params: dict[str, Any] = {"limit": names.money(limit), "used": names.money(held)}
    if not rounded(left, _downwards(programme.rounding)):
        settlement.steps.append(Step(kind, Test.CAP, Outcome.FAIL, params, (), before, Money(0)))
        settlement.amount = None
        return
    params["lowered"] = settlement.bound(left)
    settlement.steps.append(Step(kind, Test.CAP, Outcome.PASS, params, (), before, settlement.shown()))


def _apply_coefficient(bound: Fraction, request: Request, settlement: Settlement) -> None:
    """Multiply the part of the award that rests on "at most" rates by the coefficient of the batch."""
    if request.k == 1 or not bound or settlement.amount is None:
        return
    before = settlement.shown()
    lowered = settlement.bound(settlement.amount * (1 - bound + bound * request.k))
    params = {"k": names.percent(request.k), "lowered": lowered}
    settlement.steps.append(Step("coefficient", "", Outcome.NOTE, params, (), before, settlement.shown()))


def _apply_cap(cap: Cap, programme: Programme, request: Request, settlement: Settlement) -> None:
    """Apply one cap. Whether it applies being unknown, it does; an exception must be shown, or it is none."""
    applies, lifted = judge(cap.when, request.facts), judge(cap.unless, request.facts)
    before = settlement.shown()
    params: dict[str, Any] = {"window": cap.window.value, "limit": names.money(cap.amount)}
    if applies.truth is Truth.FALSE:
        params["conditions"] = conditions(applies.because)
        settlement.steps.append(Step("cap_not_for", Test.CAP, Outcome.SKIPPED, params))
        return
    if cap.unless is not None and lifted.truth is Truth.TRUE:
        params["conditions"] = conditions(lifted.because)
        settlement.manual = settlement.manual or Test.DISCRETION
        settlement.steps.append(Step("cap_lifted", Test.DISCRETION, Outcome.NOTE, params, before=before, after=before))
        return
    if cap.unless is not None and lifted.truth is Truth.UNKNOWN:
        params["exception"] = conditions(lifted.because)
    limit = cap.amount
    if cap.soft is not None:
        waived = request.fact("approval.soft_cap_waived") is True
        limit = cap.amount if waived else cap.soft
        params |= {"limit": names.money(limit), "soft": names.money(cap.soft), "waived": waived}
    used = _used(cap, programme, request)
    params["used"] = names.money(down(used.surely + used.possibly))
    surely, left = limit.fen - used.surely, limit.fen - used.surely - used.possibly
    if not rounded(max(left, Fraction(0)), _downwards(programme.rounding)):
        is_sure = applies.truth is Truth.TRUE and not rounded(max(surely, Fraction(0)), _downwards(programme.rounding))
        missing = () if is_sure else (*applies.missing, *used.missing)
        outcome = Outcome.FAIL if is_sure else Outcome.UNKNOWN
        settlement.steps.append(Step("cap", Test.CAP, outcome, params, missing, before, Money(0)))
        settlement.amount = None
        return
    lowered = settlement.bound(left)
    params["lowered"] = lowered
    settlement.steps.append(Step("cap", Test.CAP, Outcome.PASS, params, (), before, settlement.shown()))


def _downwards(rounding: Rounding) -> Rounding:
    return Rounding(rounding.to, RoundingMode.DOWN)


def is_bound(programme: Programme, request: Request, catalogue: Catalogue, mode: DoubleSubsidy) -> bool:
    """Tell whether a rule of this mode binds the programme: its own, or that of an earlier award's programme."""
    return programme.double_subsidy is mode or any(
        _their_rule(award, programme, catalogue) is mode for award in request.history
    )


def other_awards(programme: Programme, request: Request, catalogue: Catalogue, mode: DoubleSubsidy) -> Paid:
    """Return what other programmes paid on the same contract (project, cost) that a rule of this mode counts.

    An award for the other side (to the builder of a service, not its buyer) is no double subsidy. A programme's rule
    binds both ways: what a city forbids beside its own award, a district cannot add afterwards, unless the district's
    own text builds on the city's award (武汉市资金管理办法 2025 第十六条: city and district money once).
    """
    total = Paid()
    for award in request.history:
        if award.programme == programme.code or not award.amount or _other_side(award, programme, catalogue):
            continue
        ours = programme.double_subsidy is mode
        if not ours and _their_rule(award, programme, catalogue) is not mode:
            continue
        same, missing = _same(award, programme, request)
        level = _level_counts(award, programme, catalogue) if ours else Truth.TRUE
        counts = min(same, level)
        if counts is Truth.TRUE:
            total += Paid(surely=Fraction(award.amount.fen))
        elif counts is Truth.UNKNOWN:
            total += Paid(
                possibly=Fraction(award.amount.fen),
                missing=(
                    *(missing if same is Truth.UNKNOWN else ()),
                    *(("history.level",) if level is Truth.UNKNOWN else ()),
                ),
            )
    return total


def _their_rule(award: PastAward, programme: Programme, catalogue: Catalogue) -> DoubleSubsidy:
    """Return what the programme of an earlier award says about ours; allowed where ours builds on it."""
    theirs = catalogue.get(award.programme)
    if theirs is None or theirs.code == programme.code:
        return DoubleSubsidy.ALLOWED
    if any(line.derived_from == theirs.code or theirs.code in line.combined_with for line in programme.lines):
        return DoubleSubsidy.ALLOWED
    is_meant = not theirs.double_levels or programme.level in theirs.double_levels
    return theirs.double_subsidy if is_meant else DoubleSubsidy.ALLOWED


def _same(award: PastAward, programme: Programme, request: Request) -> tuple[Truth, tuple[str, ...]]:
    """Tell whether an earlier award meets the request in what the programme does not pay twice."""
    by_contract = same_contract(award, request)
    if programme.same is Same.CONTRACT:
        return by_contract, contract_missing(request)
    if programme.same is Same.PROJECT:
        ours, theirs = request.fact("contract.project"), award.project
        if by_contract is Truth.TRUE:
            return Truth.TRUE, ()
        if ours is None or theirs is None:
            return by_contract, contract_missing(request)
        if ours is ABSENT or theirs is ABSENT:
            return Truth.UNKNOWN, ("contract.project" if ours is ABSENT else "history.project",)
        return (Truth.TRUE if str(ours) == str(theirs) else by_contract), contract_missing(request)
    invoices = request.fact("contract.invoices")
    if not isinstance(invoices, list) or award.invoices is ABSENT:
        if by_contract is Truth.FALSE:
            return Truth.FALSE, ()
        return Truth.UNKNOWN, ("contract.invoices" if not isinstance(invoices, list) else "history.invoices",)
    return (Truth.TRUE if {*invoices} & {*award.invoices} else Truth.FALSE), ()


def _other_side(award: PastAward, programme: Programme, catalogue: Catalogue) -> bool:
    known = catalogue.get(award.programme)
    side = award.side if award.side is not ABSENT else known.side if known else ABSENT
    return side is not ABSENT and side != programme.side


def _level_counts(award: PastAward, programme: Programme, catalogue: Catalogue) -> Truth:
    if not programme.double_levels:
        return Truth.TRUE
    known = catalogue.get(award.programme)
    level: Any = award.level
    if level is ABSENT and known is not None and known.level is not None:
        level = known.level
    if level is ABSENT:
        return Truth.UNKNOWN
    return Truth.TRUE if level in programme.double_levels else Truth.FALSE


def _keep_highest(programme: Programme, request: Request, catalogue: Catalogue, settlement: Settlement) -> None:
    """Under *highest, not cumulative* an award only tops up to the higher of the two."""
    if not is_bound(programme, request, catalogue, DoubleSubsidy.HIGHEST):
        return
    others = other_awards(programme, request, catalogue, DoubleSubsidy.HIGHEST)
    params: dict[str, Any] = {"paid": names.money(down(others.surely + others.possibly))}
    before = settlement.shown()
    if settlement.amount is None:
        return
    if others.possibly:
        settlement.steps.append(Step("highest", Test.DOUBLE_SUBSIDY, Outcome.UNKNOWN, params, others.missing, before))
        settlement.amount = None
    elif others.surely and settlement.amount <= others.surely:
        settlement.steps.append(Step("highest", Test.DOUBLE_SUBSIDY, Outcome.FAIL, params, (), before, Money(0)))
        settlement.amount = None
    elif others.surely:
        settlement.bound(settlement.amount - others.surely)
        params |= {"lowered": True}
        settlement.steps.append(
            Step("highest", Test.DOUBLE_SUBSIDY, Outcome.PASS, params, (), before, settlement.shown())
        )


def _round(rounding: Rounding, settlement: Settlement) -> None:
    if settlement.amount is None:
        return
    before, exact = settlement.shown(), settlement.amount
    settlement.amount = rounded(exact, rounding)
    if settlement.least_room is not None and settlement.amount > settlement.least_room:
        settlement.amount = rounded(settlement.least_room, _downwards(rounding))
    if settlement.amount != exact:
        params = {"to": names.money(rounding.to), "mode": rounding.mode.value}
        settlement.steps.append(Step("round", "", Outcome.NOTE, params, (), before, settlement.shown()))


def _draw_on_pool(programme: Programme, request: Request, settlement: Settlement) -> None:
    if request.pool is None:
        return
    before, pool, short = settlement.shown(), request.pool, programme.pool_short
    params: dict[str, Any] = {"pool": names.money(pool), "policy": short.value}
    waits = short in (PoolShort.QUEUE, PoolShort.PRORATE)
    usable = rounded(Fraction(pool.fen), _downwards(programme.rounding))
    if settlement.amount is None and (usable or waits):
        return
    if settlement.amount is not None and settlement.amount <= pool.fen:
        settlement.steps.append(Step("pool", Test.POOL, Outcome.PASS, params, (), before, before))
    elif waits:
        settlement.manual = settlement.manual or Test.POOL
        settlement.steps.append(Step("pool_waits", Test.POOL, Outcome.NOTE, params, (), before, before))
    elif short is PoolShort.PARTIAL and usable:
        settlement.amount = usable
        params |= {"lowered": True}
        settlement.steps.append(Step("pool", Test.POOL, Outcome.PASS, params, (), before, settlement.shown()))
    else:
        settlement.steps.append(Step("pool", Test.POOL, Outcome.FAIL, params, (), before, Money(0)))
        settlement.amount = None


def _fit_face_values(programme: Programme, settlement: Settlement) -> None:
    """Issue in vouchers of the face values there are: as many of the largest as fit, then of the next."""
    form = programme.terms.voucher
    if not form.face_values or form.unit != CNY or settlement.amount is None:
        return
    before, left = settlement.shown(), down(settlement.amount).fen
    pieces = []
    for value in sorted(form.face_values, reverse=True):
        count, left = divmod(left, value.fen)
        if count:
            pieces.append([names.money(value), count])
    whole = settlement.amount - left
    if not whole:
        settlement.steps.append(Step("nothing_payable", Test.BENEFIT, Outcome.FAIL, {}, (), before, Money(0)))
        settlement.amount = None
        return
    settlement.amount = whole
    settlement.steps.append(Step("face_values", "", Outcome.NOTE, {"pieces": pieces}, (), before, settlement.shown()))


def _check_floor(programme: Programme, settlement: Settlement) -> None:
    if programme.floor is None or settlement.amount is None:
        return
    award = down(settlement.amount)
    fails = award < programme.floor
    params = {"amount": names.money(award), "floor": names.money(programme.floor)}
    outcome = Outcome.FAIL if fails else Outcome.PASS
    settlement.steps.append(Step("floor", Test.MINIMUM_AWARD, outcome, params, (), award, award))
    if fails:
        settlement.amount = None


def split(programme: Programme, request: Request, amount: Money) -> tuple[tuple[str, Money], ...]:
    """Share `amount` among the payers: half up for each in turn, the last takes the remainder.

    A payer that is the path of a fact is replaced by the fact where it is stated.
    """
    parts: dict[str, Money] = {}
    left = amount
    for at, funder in enumerate(programme.funding):
        is_last = at == len(programme.funding) - 1
        part = left if is_last else min(left, amount.times(funder.share))
        left -= part
        payer = _payer(funder.payer, request)
        parts[payer] = parts.get(payer, Money(0)) + part
    return tuple(parts.items())


def _payer(payer: str, request: Request) -> str:
    fact = request.fact(payer) if "." in payer else ABSENT
    return fact if isinstance(fact, str) and fact.strip() else payer
