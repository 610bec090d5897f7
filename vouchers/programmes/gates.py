"""The tests that need no award: when, who, from whom, what, and what was given before. One step each, in order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from vouchers.programmes import benefits, ceilings, names, readers
from vouchers.programmes.benefits import Base
from vouchers.programmes.ceilings import Catalogue
from vouchers.programmes.decisions import Outcome, Step, Test
from vouchers.programmes.predicates import ABSENT, AllOf, Predicate, Truth, judge, leaves
from vouchers.programmes.requests import Request
from vouchers.programmes.schemes import DoubleSubsidy, Programme

__all__ = ["GATES", "minimum_spend"]

OUTCOMES: Final = {Truth.TRUE: Outcome.PASS, Truth.FALSE: Outcome.FAIL, Truth.UNKNOWN: Outcome.UNKNOWN}

Gate = Callable[[Programme, Request, Catalogue], Step]


def _in_force(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    if programme.in_force is None or programme.in_force == (None, None):
        return Step("in_force", Test.IN_FORCE, Outcome.SKIPPED)
    start, end = programme.in_force
    params = {"period": f"{start or ''} – {end or ''}".strip()}
    if request.today is None:
        return Step("in_force", Test.IN_FORCE, Outcome.UNKNOWN, params, ("today",))
    is_within = (start is None or start <= request.today) and (end is None or request.today <= end)
    params["today"] = request.today.isoformat()
    return Step("in_force", Test.IN_FORCE, Outcome.PASS if is_within else Outcome.FAIL, params)


def _conjuncts(condition: Predicate | None) -> Iterable[Predicate]:
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


HONESTY: Final = ("applicant.dishonest", "applicant.barred", "applicant.blacklist")


def _is_about_honesty(condition: Predicate) -> bool:
    return all(leaf.path.startswith(HONESTY) for leaf in leaves(condition))


def _dishonesty(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test listing and bars, which hold for every programme, and the eligibility conditions that speak of nothing else.

    Not being said to be listed or barred is enough; a condition in the programme must be shown like any other.
    """
    asked = tuple(part for part in _conjuncts(programme.eligibility) if _is_about_honesty(part))
    step = _condition("dishonesty", Test.DISHONESTY, AllOf(asked) if asked else None, request)
    until = readers.parsed_day(request.fact("applicant.barred_until"))
    listed = [fact for fact in ("applicant.dishonest", "applicant.barred") if request.fact(fact) is True]
    if until is not None and request.today is not None and request.today <= until:
        listed.append("applicant.barred_until")
    if listed:
        found = [[fact, "=", request.fact(fact), request.fact(fact), False, True] for fact in listed]
        kept = step.params.get("conditions", []) if step.outcome is Outcome.FAIL else []
        return replace(step, outcome=Outcome.FAIL, params={"conditions": [*found, *kept]}, missing=())
    if until is not None and request.today is None and step.outcome is not Outcome.FAIL:
        return replace(step, outcome=Outcome.UNKNOWN, missing=(*step.missing, "today"))
    return step


def _applicant(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    rest = tuple(part for part in _conjuncts(programme.eligibility) if not _is_about_honesty(part))
    return _condition("applicant", Test.APPLICANT, AllOf(rest) if rest else None, request)


def _condition(kind: str, test: Test, condition: Predicate | None, request: Request) -> Step:
    if condition is None:
        return Step(kind, test, Outcome.SKIPPED)
    verdict = judge(condition, request.facts)
    params = {"conditions": benefits.conditions(verdict.because)}
    return Step(kind, test, OUTCOMES[verdict.truth], params, verdict.missing)


def _provider(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    return _condition("provider", Test.PROVIDER, programme.provider, request)


def _purchase(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    return _condition("purchase", Test.PURCHASE, programme.cost.when, request)


def _related_party(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    if not programme.related_party_forbidden:
        return Step("related_party", Test.RELATED_PARTY, Outcome.SKIPPED)
    related = request.fact("contract.related")
    if related is ABSENT:
        return Step("related_party", Test.RELATED_PARTY, Outcome.UNKNOWN, missing=("contract.related",))
    return Step("related_party", Test.RELATED_PARTY, Outcome.FAIL if related else Outcome.PASS)


def _contract_date(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    earliest = programme.cost.signed_from
    if earliest is None:
        return Step("contract_date", Test.CONTRACT_DATE, Outcome.SKIPPED)
    signed = readers.parsed_day(request.fact("contract.signed"))
    passes = signed is not None and signed >= earliest
    params = {"signed": signed.isoformat() if signed else "—", "signed_from": earliest.isoformat()}
    step = Step("contract_date", Test.CONTRACT_DATE, Outcome.PASS if passes else Outcome.FAIL, params)
    return _unless_unstated(step, "contract.signed", request)


def _contract_term(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    most = programme.cost.max_months
    if most is None:
        return Step("contract_term", Test.CONTRACT_TERM, Outcome.SKIPPED)
    months = readers.number(request.fact("contract.months"))
    passes = months is not None and months <= most
    params = {"months": "—" if months is None else str(months), "max_months": most}
    step = Step("contract_term", Test.CONTRACT_TERM, Outcome.PASS if passes else Outcome.FAIL, params)
    return _unless_unstated(step, "contract.months", request)


def _unless_unstated(step: Step, path: str, request: Request) -> Step:
    """Return `step`, or unknown if the fact it tests is not stated; known to be absent is known."""
    is_stated = request.fact(path) is not ABSENT
    return step if is_stated else replace(step, outcome=Outcome.UNKNOWN, missing=(path,))


def _duplicate(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    limit = programme.per_contract_count
    if limit is None:
        return Step("duplicate", Test.DUPLICATE, Outcome.SKIPPED)
    same = [benefits.same_contract(award, request) for award in request.history if award.programme == programme.code]
    surely, possibly = same.count(Truth.TRUE), same.count(Truth.UNKNOWN)
    params = {"count": surely, "limit": limit}
    if surely < limit <= surely + possibly:
        return Step("duplicate", Test.DUPLICATE, Outcome.UNKNOWN, params, benefits.contract_missing(request))
    return Step("duplicate", Test.DUPLICATE, Outcome.FAIL if surely >= limit else Outcome.PASS, params)


def _double_subsidy(programme: Programme, request: Request, catalogue: Catalogue) -> Step:
    """Test awards of other programmes on the same contract; *highest* is applied to the amount, not here."""
    if programme.double_subsidy is not DoubleSubsidy.FORBIDDEN:
        return Step("double_subsidy", Test.DOUBLE_SUBSIDY, Outcome.SKIPPED)
    others = ceilings.other_awards(programme, request, catalogue)
    params = {"paid": names.money(benefits.down(others.surely))}
    if others.surely:
        return Step("double_subsidy", Test.DOUBLE_SUBSIDY, Outcome.FAIL, params)
    outcome = Outcome.UNKNOWN if others.possibly else Outcome.PASS
    return Step("double_subsidy", Test.DOUBLE_SUBSIDY, outcome, params, tuple(dict.fromkeys(others.missing)))


def _cycles(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test support cycles used: as stated, else the earlier years in which history shows an award."""
    limit = programme.max_cycles
    if limit is None:
        return Step("cycles", Test.CYCLES, Outcome.SKIPPED)
    stated = request.fact("applicant.cycles_used")
    if isinstance(stated, int):
        used = stated
    else:
        years = {award.year for award in request.history if award.programme == programme.code}
        used = len(years - {request.award_year, ABSENT})
    params = {"used": used, "limit": limit}
    return Step("cycles", Test.CYCLES, Outcome.FAIL if used >= limit else Outcome.PASS, params)


def minimum_spend(programme: Programme, base: Base) -> Step:
    least = programme.cost.min_base
    if least is None:
        return Step("minimum_spend", Test.MINIMUM_SPEND, Outcome.SKIPPED)
    if base.amount is None:
        return Step("minimum_spend", Test.MINIMUM_SPEND, Outcome.UNKNOWN, missing=base.missing)
    params = {"base": names.money(benefits.down(base.amount)), "min_base": names.money(least)}
    outcome = Outcome.PASS if base.amount >= least.fen else Outcome.FAIL
    return Step("minimum_spend", Test.MINIMUM_SPEND, outcome, params)


GATES: Final[tuple[Gate, ...]] = (
    _in_force,
    _dishonesty,
    _applicant,
    _provider,
    _related_party,
    _contract_date,
    _contract_term,
    _purchase,
    _duplicate,
    _double_subsidy,
    _cycles,
)
