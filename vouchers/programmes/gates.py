"""The tests that need no award: when, who, from whom, what, and what was given before. One step each, in order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from vouchers.programmes import benefits, ceilings, names, readers, years
from vouchers.programmes.benefits import Base
from vouchers.programmes.ceilings import Catalogue
from vouchers.programmes.decisions import Outcome, Step, Test
from vouchers.programmes.predicates import ABSENT, AllOf, AnyOf, Leaf, Operator, Predicate, Truth, judge, leaves
from vouchers.programmes.requests import Request
from vouchers.programmes.schemes import DoubleSubsidy, Kind, Programme
from vouchers.programmes.terms import BEIJING, instant

__all__ = ["GATES", "admitted", "minimum_spend"]

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


def _window(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test the intake windows at the instant of submission, or whether the day meets one; not stated is not asked."""
    windows = programme.terms.windows
    if not windows or (request.at is None and request.today is None):
        return Step("window", Test.WINDOW, Outcome.SKIPPED)
    if request.at is not None:
        at = request.at.astimezone(BEIJING)
        is_open, said = programme.terms.takes_applications(at), at.strftime("%Y-%m-%d %H:%M:%S")
    else:
        assert request.today is not None
        first, last = instant(request.today.isoformat()), instant(request.today.isoformat(), is_end=True)
        is_open = any(window.starts < last and (window.ends is None or first < window.ends) for window in windows)
        said = request.today.isoformat()
    params = {"today": said, "periods": [window.said() for window in windows]}
    return Step("window", Test.WINDOW, Outcome.PASS if is_open else Outcome.FAIL, params)


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
    if programme.applicant_kinds:
        rest = (*_conjuncts(admitted(programme.applicant_kinds)), *rest)
    return _condition("applicant", Test.APPLICANT, AllOf(rest) if rest else None, request)


def admitted(kinds: Sequence[Kind]) -> Predicate:
    """Return the condition that an applicant is of an admitted kind and meets what is asked of that kind.

    A one-person company is also known by its recognition.
    """
    plain = tuple(kind.kind for kind in kinds if kind.when is None and kind.kind != ONE_PERSON)
    parts: list[Predicate] = [Leaf("applicant.type", Operator.IN, plain)] if plain else []
    for kind in kinds:
        of_kind: Predicate = Leaf("applicant.type", Operator.EQUAL, kind.kind)
        if kind.kind == ONE_PERSON:
            of_kind = AnyOf((of_kind, Leaf("applicant.tags", Operator.HAS, ONE_PERSON)))
        if kind.when is not None:
            parts.append(AllOf((of_kind, *_conjuncts(kind.when))))
        elif kind.kind == ONE_PERSON:
            parts.append(of_kind)
    return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))


ONE_PERSON: Final = "OPC"


def _condition(kind: str, test: Test, condition: Predicate | None, request: Request) -> Step:
    if condition is None:
        return Step(kind, test, Outcome.SKIPPED)
    verdict = judge(condition, request.facts)
    params = {"conditions": benefits.conditions(verdict.because)}
    return Step(kind, test, OUTCOMES[verdict.truth], params, verdict.missing)


def _provider(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    parts = tuple(_conjuncts(programme.provider))
    if programme.provider_roster:
        parts = (*parts, Leaf("provider.rosters", Operator.HAS, programme.provider_roster))
    return _condition("provider", Test.PROVIDER, AllOf(parts) if parts else None, request)


def _purchase(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test what is bought, through which channel and for what purpose."""
    parts = (*_conjuncts(programme.purpose), *_conjuncts(programme.cost.when))
    if programme.channel:
        parts = (Leaf("contract.channel", Operator.IN, programme.channel), *parts)
    return _condition("purchase", Test.PURCHASE, AllOf(parts) if parts else None, request)


def _subject(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test that the contract buys a service the programme is for. What it costs beside that is the base's concern."""
    metered = programme.cost.free_quota is not None
    if not programme.subject or (metered and request.items is None):
        return Step("subject", Test.PURCHASE, Outcome.SKIPPED)
    params: dict[str, Any] = {"subject": list(programme.subject)}
    if request.items is None:
        return Step("subject", Test.PURCHASE, Outcome.UNKNOWN, params, ("contract.items",))
    params["bought"] = [kind for kind, price in request.items.items() if price]
    meets = bool({*params["bought"]} & {*programme.subject})
    return Step("subject", Test.PURCHASE, Outcome.PASS if meets or not params["bought"] else Outcome.FAIL, params)


def _related_party(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    if not programme.related_party_forbidden:
        return Step("related_party", Test.RELATED_PARTY, Outcome.SKIPPED)
    related, found = request.fact("contract.related"), request.fact("contract.relations")
    tested = [name for name in (found if isinstance(found, list) else ()) if name in programme.related_tests]
    if tested:
        return Step("related_party", Test.RELATED_PARTY, Outcome.FAIL, {"relations": tested})
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


def _service_period(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test that the service is rendered within the period that counts, first and last day included."""
    period = programme.cost.period
    if period is None or (period.starts is None and period.ends is None):
        return Step("service_period", Test.SERVICE_PERIOD, Outcome.SKIPPED)
    bounds = (("contract.service_from", period.starts), ("contract.service_to", period.ends))
    missing = tuple(path for path, bound in bounds if bound and request.fact(path) is ABSENT)
    first, last = (readers.parsed_day(request.fact(path)) for path, _bound in bounds)
    params = {
        "service": f"{first or ''} – {last or ''}".strip(),
        "period": f"{period.starts or ''} – {period.ends or ''}".strip(),
    }
    is_early = period.starts is not None and not missing and (first is None or first < period.starts)
    is_late = period.ends is not None and not missing and (last is None or last > period.ends)
    outcome = Outcome.UNKNOWN if missing else Outcome.FAIL if is_early or is_late else Outcome.PASS
    return Step("service_period", Test.SERVICE_PERIOD, outcome, params, missing)


def _unless_unstated(step: Step, path: str, request: Request) -> Step:
    """Return `step`, or unknown if the fact it tests is not stated; known to be absent is known."""
    is_stated = request.fact(path) is not ABSENT
    return step if is_stated else replace(step, outcome=Outcome.UNKNOWN, missing=(path,))


def _duplicate(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    limit = programme.count.per_contract
    if limit is None:
        return Step("duplicate", Test.DUPLICATE, Outcome.SKIPPED)
    same = [benefits.same_contract(award, request) for award in request.history if award.programme == programme.code]
    surely, possibly = same.count(Truth.TRUE), same.count(Truth.UNKNOWN)
    params = {"count": surely, "limit": limit}
    if surely < limit <= surely + possibly:
        return Step("duplicate", Test.DUPLICATE, Outcome.UNKNOWN, params, benefits.contract_missing(request))
    return Step("duplicate", Test.DUPLICATE, Outcome.FAIL if surely >= limit else Outcome.PASS, params)


def _double_subsidy(programme: Programme, request: Request, catalogue: Catalogue) -> Step:
    """Test awards of other programmes on the same contract; *highest* is applied to the amount, not here.

    A ban binds both ways: an award already made under a programme that forbids ours forbids ours.
    """
    if not ceilings.is_bound(programme, request, catalogue, DoubleSubsidy.FORBIDDEN):
        return Step("double_subsidy", Test.DOUBLE_SUBSIDY, Outcome.SKIPPED)
    others = ceilings.other_awards(programme, request, catalogue, DoubleSubsidy.FORBIDDEN)
    params = {"paid": names.money(benefits.down(others.surely))}
    if others.surely:
        return Step("double_subsidy", Test.DOUBLE_SUBSIDY, Outcome.FAIL, params)
    outcome = Outcome.UNKNOWN if others.possibly else Outcome.PASS
    return Step("double_subsidy", Test.DOUBLE_SUBSIDY, outcome, params, tuple(dict.fromkeys(others.missing)))


def _cycles(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    """Test support cycles used: as stated, else the other years in which history shows an award."""
    total, in_a_row = programme.max_cycles.total, programme.max_cycles.consecutive
    if total is None and in_a_row is None:
        return Step("cycles", Test.CYCLES, Outcome.SKIPPED)
    before = years.used(programme, request)
    stated, run = request.fact("applicant.cycles_used"), request.fact("applicant.cycles_in_a_row")
    used = stated if isinstance(stated, int) else len(before)
    running = run if isinstance(run, int) else _run(before, years.of_request(programme, request))
    if total is not None and used >= total:
        return Step("cycles", Test.CYCLES, Outcome.FAIL, {"used": used, "limit": total})
    if in_a_row is not None and running >= in_a_row:
        return Step("cycles", Test.CYCLES, Outcome.FAIL, {"used": running, "limit": in_a_row, "in_a_row": True})
    params = {"used": used, "limit": total} if total is not None else {"used": running, "limit": in_a_row}
    return Step("cycles", Test.CYCLES, Outcome.PASS, params | ({"in_a_row": True} if total is None else {}))


def _run(before: set[int], year: int | None) -> int:
    """Return how many of the years right before `year` are among `before`."""
    if year is None:
        return 0
    length = 0
    while year - length - 1 in before:
        length += 1
    return length


def _per_year(programme: Programme, request: Request, _catalogue: Catalogue) -> Step:
    limit = programme.count.per_year
    if limit is None:
        return Step("per_year", Test.COUNT, Outcome.SKIPPED)
    own = [award for award in request.history if award.programme == programme.code and not award.of_group]
    found = [years.same_year(award, programme, request) for award in own]
    surely = sum(truth is Truth.TRUE for truth, _missing in found)
    missing = tuple(dict.fromkeys(fact for truth, facts in found if truth is Truth.UNKNOWN for fact in facts))
    params = {"count": surely, "limit": limit}
    if surely < limit <= surely + sum(truth is Truth.UNKNOWN for truth, _missing in found):
        return Step("per_year", Test.COUNT, Outcome.UNKNOWN, params, missing)
    return Step("per_year", Test.COUNT, Outcome.FAIL if surely >= limit else Outcome.PASS, params)


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
    _window,
    _dishonesty,
    _applicant,
    _provider,
    _related_party,
    _contract_date,
    _contract_term,
    _service_period,
    _subject,
    _purchase,
    _duplicate,
    _double_subsidy,
    _cycles,
    _per_year,
)
