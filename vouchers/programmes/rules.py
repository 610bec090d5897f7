"""Apply a programme to a request: one call decides and explains. Pure: no Django, no clock, no I/O.

Source of the order of tests and of three-valued logic: ``docs/programme-file.md``. A test whose facts are not all
stated is unknown. One test known to fail refuses, whatever else is unknown; else one unknown test asks for its facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from portal.kernel.money import Money
from vouchers.programmes import benefits, ceilings, names
from vouchers.programmes.benefits import Chosen, Payout
from vouchers.programmes.ceilings import Catalogue, Settlement
from vouchers.programmes.decisions import (
    ORDER,
    Decision,
    DecisionKind,
    LeftOut,
    MissingFact,
    Outcome,
    Step,
    Test,
    reason,
)
from vouchers.programmes.gates import GATES, minimum_spend
from vouchers.programmes.predicates import Truth
from vouchers.programmes.requests import Request
from vouchers.programmes.schemes import Choose, Programme

__all__ = ["Catalogue", "Decision", "DecisionKind", "Reassessment", "evaluate", "reassess"]


def evaluate(programme: Programme, request: Request, *, catalogue: Catalogue) -> Decision:
    """Decide `request` under `programme`.

    `catalogue` holds programmes by code; it tells the side and level of past awards that do not say so themselves,
    and may be empty. Never raises on what `documents.load` and `load_request` accepted; the same input always gives
    the same decision.
    """
    trace = [gate(programme, request, catalogue) for gate in GATES]
    base = benefits.base_of(programme, request)
    lines = _looked_at(programme, benefits.payouts(programme, request, base))
    trace += [base.step, minimum_spend(programme, base), *(line.step for line in lines)]

    applying = [line for line in lines if line.truth is Truth.TRUE]
    unsure = [line for line in lines if line.truth is Truth.UNKNOWN]
    chosen = benefits.choose(programme.choose, applying)
    settlement = ceilings.settle(programme, request, catalogue, chosen)
    amounts = [_benefit(chosen), *settlement.steps]
    if _refuses_for_too_little(amounts) and _would_do(programme, request, catalogue, lines, unsure):
        missing = tuple(dict.fromkeys(fact for line in unsure for fact in line.missing))
        amounts = [_asking(step, missing) for step in amounts]
    left_out = tuple(LeftOut(line.line.id, line.number, line.missing) for line in unsure)
    return _decide(
        programme, request, trace=(*trace, *amounts), settlement=settlement, chosen=chosen, left_out=left_out
    )


@dataclass(frozen=True, slots=True)
class Reassessment:
    """An award looked at again after its facts changed. `difference` is None while the answer is not certain.

    Money only moves on a person's confirmation: a `receivable` or a `top_up` is a proposal.
    """

    decision: Decision
    before: Money
    after: Money | None

    @property
    def difference(self) -> Money | None:
        """What the award changes by: below zero where too much was paid."""
        return None if self.after is None else self.after - self.before

    @property
    def receivable(self) -> Money:
        """What was paid too much."""
        return Money(0) if self.after is None else Money(max(0, self.before.fen - self.after.fen))

    @property
    def top_up(self) -> Money:
        """What was paid too little."""
        return Money(0) if self.after is None else Money(max(0, self.after.fen - self.before.fen))


def reassess(programme: Programme, request: Request, before: Money, *, catalogue: Catalogue) -> Reassessment:
    """Decide `request` again with its facts as they are now and compare with `before`, what was paid on it.

    For a refund, a cut of the contract, a yearly total that crosses a limit, or a derived award whose base was
    recovered (上海市语料券 2025: support is a share of the purchase; 汉阳区 2026: a share of the city's actual payment). The
    history must not hold the award itself. The pool is left out: money already paid out of it is no question of what is left.
    A refusal makes all of it receivable; missing facts and decisions left to people make nothing certain.
    """
    decision = evaluate(programme, replace(request, pool=None), catalogue=catalogue)
    after = decision.amount if decision.decision is DecisionKind.GRANT else None
    if decision.decision is DecisionKind.REJECT:
        after = Money(0)
    return Reassessment(decision, before, after)


def _looked_at(programme: Programme, lines: Sequence[Payout]) -> list[Payout]:
    """Return the lines that can matter: where the first counts, none after the first that applies."""
    if programme.choose is Choose.FIRST:
        end = next((at + 1 for at, line in enumerate(lines) if line.truth is Truth.TRUE), len(lines))
        return list(lines[:end])
    return list(lines)


def _benefit(chosen: Chosen) -> Step:
    numbers = [payout.number for payout in chosen.payouts]
    if not chosen.payouts:
        return Step("no_line", Test.BENEFIT, Outcome.FAIL)
    if chosen.amount is None:
        return Step("benefit", Test.BENEFIT, Outcome.UNKNOWN, {"lines": numbers}, chosen.missing)
    return Step("benefit", Test.BENEFIT, Outcome.PASS, {"lines": numbers}, after=benefits.down(chosen.amount))


TOO_LITTLE: Final = frozenset({Test.BENEFIT.value, Test.MINIMUM_AWARD.value, Test.DOUBLE_SUBSIDY.value})
"""Tests of the amount that a better line might pass; a cap or pool that is used up is used up for every line."""


def _refuses_for_too_little(steps: Sequence[Step]) -> bool:
    failing = {step.test for step in steps if step.outcome is Outcome.FAIL}
    return bool(failing) and failing <= TOO_LITTLE


def _would_do(
    programme: Programme,
    request: Request,
    catalogue: Catalogue,
    lines: Sequence[Payout],
    unsure: Sequence[Payout],
) -> bool:
    """Tell whether the award would pass if a line left out for want of facts applied after all."""
    for supposed in _suppositions(unsure):
        applying = [line for line in lines if line.truth is Truth.TRUE or line in supposed]
        chosen = benefits.choose(programme.choose, applying)
        if Outcome.FAIL not in ceilings.settle(programme, request, catalogue, chosen).outcomes:
            return True
    return False


def _suppositions(unsure: Sequence[Payout]) -> Iterator[Sequence[Payout]]:
    for line in unsure:
        yield (line,)
    if len(unsure) > 1:
        yield unsure


def _asking(step: Step, missing: tuple[str, ...]) -> Step:
    return replace(step, outcome=Outcome.UNKNOWN, missing=missing) if step.outcome is Outcome.FAIL else step


def _decide(
    programme: Programme,
    request: Request,
    *,
    trace: tuple[Step, ...],
    settlement: Settlement,
    chosen: Chosen,
    left_out: tuple[LeftOut, ...],
) -> Decision:
    failing, unknown = _deciding(trace, Outcome.FAIL), _deciding(trace, Outcome.UNKNOWN)
    decision = Decision(programme.code, DecisionKind.GRANT, left_out=left_out, trace=trace, facts=programme.facts)
    if failing:
        return replace(
            decision,
            decision=DecisionKind.REJECT,
            rule=failing[0].test,
            rule_ids=tuple(step.test for step in failing),
            failures=tuple(reason(step.test, step.params) for step in failing),
        )
    if unknown:
        missing = dict.fromkeys(fact for step in unknown for fact in step.missing)
        called = {fact.path: fact.name for fact in programme.facts}
        return replace(
            decision,
            decision=DecisionKind.SUPPLEMENT,
            rule=unknown[0].test,
            rule_ids=tuple(step.test for step in unknown),
            missing=tuple(MissingFact(path, called.get(path)) for path in missing),
        )
    assert settlement.amount is not None, "an amount that is neither refused nor unknown is known"
    amount = benefits.down(settlement.amount)
    funding = ceilings.split(programme, request, amount)
    step = Step("funding", params={"parts": [[payer, names.money(part)] for payer, part in funding]}, after=amount)
    lowering = [step.test for step in trace if step.params.get("lowered")]
    return replace(
        decision,
        decision=DecisionKind.MANUAL if settlement.manual else DecisionKind.GRANT,
        amount=amount,
        rule=settlement.manual,
        rule_ids=tuple(dict.fromkeys([settlement.manual, *lowering] if settlement.manual else lowering)),
        lines=tuple(payout.line.id for payout in chosen.payouts),
        share=chosen.rate,
        funding=funding,
        trace=(*trace, step) if funding else trace,
    )


def _deciding(trace: Sequence[Step], outcome: Outcome) -> list[Step]:
    """Return the first step of each test that came out so, in the order of the tests."""
    by_test: dict[str, Step] = {}
    for step in trace:
        if step.test and step.outcome is outcome:
            by_test.setdefault(step.test, step)
    return sorted(by_test.values(), key=lambda step: ORDER[step.test])
