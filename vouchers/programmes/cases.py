"""Worked cases: requests with the decision they must give. Run over a catalogue, one result per case. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from portal.kernel.errors import noop
from portal.kernel.money import Money
from vouchers.programmes import rules
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.parsing import BadDocument, Problem, Problems, Reader, child, decode, shaped
from vouchers.programmes.readers import MISSING, amount, choice, listing, record, refuse, text
from vouchers.programmes.requests import Request, read_request
from vouchers.programmes.schemes import Programme
from vouchers.programmes.words import Words

__all__ = ["MAX_CASE_BYTES", "BadCases", "Case", "Result", "load_cases", "run"]

_ = noop

MAX_CASE_BYTES = 16 * 1024 * 1024


class BadCases(BadDocument):
    code = "invalid.cases"
    message = _("案例文件有 %(count)s 处问题。第一处：%(first)s")


@dataclass(frozen=True, slots=True)
class Case:
    """One worked case. A case with `problems` cannot be run and counts as failed."""

    id: str
    programme: str
    request: Request
    decision: str
    amount: Money | None = None
    rule: str = ""
    funding: Mapping[str, Money] | None = None
    missing: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def expected(self) -> str:
        """What must come out, in the words of `Result.line`."""
        parts = [self.decision, self.amount.yuan() if self.amount is not None else "", self.rule]
        parts += [f"{payer}={part.yuan()}" for payer, part in (self.funding or {}).items()]
        parts += [f"missing={path}" for path in self.missing or ()]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Result:
    """How a case came out: `decision` is None if it could not be run, then `reason` says why."""

    case: Case
    decision: Decision | None
    differences: tuple[str, ...] = field(default=())
    reason: str = ""

    @property
    def is_passed(self) -> bool:
        return self.decision is not None and not self.differences

    def line(self) -> str:
        """Return ``id ok|FAIL programme decision amount-or-rule``, and what was expected where it differs."""
        head = f"{self.case.id} {'ok' if self.is_passed else 'FAIL'} {self.case.programme}"
        if self.decision is None:
            return f"{head} {self.reason}"
        money = self.decision.amount.yuan() if self.decision.amount is not None else ""
        parts = [head, self.decision.decision.value, money, self.decision.rule]
        if self.differences:
            parts.append(f"({', '.join(self.differences)}; expected {self.case.expected})")
        return " ".join(part for part in parts if part)


def load_cases(raw: bytes | str) -> tuple[Case, ...]:
    """Read a case file: a list of cases. Raises BadCases if it is no such list.

    A case that is itself malformed is kept, with its problems, so that the others still run.
    """
    problems = Problems()
    tree = decode(raw, problems, max_bytes=MAX_CASE_BYTES)
    if not problems and not isinstance(tree, list):
        refuse(tree, "$", problems, Words("案例的列表", "a list of cases"))
    problems.raise_as(BadCases)
    return tuple(_case(item, f"[{at}]") for at, item in enumerate(tree))


@shaped({})
def _funding(value: Any, path: str, problems: Problems) -> dict[str, Money]:
    if not isinstance(value, dict):
        refuse(value, path, problems, Words("对象：出资方 → 金额", "an object: payer → amount"))
        return {}
    return {payer: amount()(part, child(path, payer), problems) for payer, part in value.items()}


_expect = record(
    {
        "decision": choice(*DecisionKind),
        "amount": amount(),
        "rule": text(most=120),
        "funding": _funding,
        "missing": listing(text()),
    },
    required=("decision",),
)


_fields: Mapping[str, Reader] = {
    "id": text(most=80),
    "programme": text(most=60),
    "request": read_request,
    "expect": _expect,
}


def _case(value: Any, path: str) -> Case:
    problems = Problems()
    read: dict[str, Any] = {}
    if not isinstance(value, dict):
        refuse(value, path, problems, Words("一个案例对象", "an object, one case"))
    else:
        for key in (key for key in _fields if key not in value):
            problems.add(child(path, key), MISSING, Words(f"必须填写 {key}", f"{key} is required"))
        read = {key: reader(value[key], child(path, key), problems) for key, reader in _fields.items() if key in value}
    expect = read.get("expect") or {}
    return Case(
        id=read.get("id") or path,
        programme=read.get("programme") or "-",
        request=read.get("request") or Request(),
        decision=expect.get("decision") or "-",
        amount=expect.get("amount"),
        rule=expect.get("rule") or "",
        funding=expect.get("funding"),
        missing=expect.get("missing"),
        problems=tuple(problems),
    )


def run(cases: tuple[Case, ...], catalogue: Mapping[str, Programme]) -> Iterator[Result]:
    """Evaluate each case and compare; never raises for a case that is wrong."""
    for case in cases:
        programme = catalogue.get(case.programme)
        if case.problems:
            yield Result(case, None, reason=f"malformed: {case.problems[0].say('en')}")
        elif programme is None:
            yield Result(case, None, reason="no such programme")
        else:
            decision = rules.evaluate(programme, case.request, catalogue=catalogue)
            yield Result(case, decision, tuple(_differences(case, decision)))


def _differences(case: Case, decision: Decision) -> Iterator[str]:
    if decision.decision != case.decision:
        yield "decision differs"
    if case.amount is not None and decision.amount != case.amount:
        yield "amount differs"
    if not decision.rule.startswith(case.rule):
        yield "rule differs"
    if case.funding is not None and dict(decision.funding) != dict(case.funding):
        yield "funding differs"
    if case.missing is not None and {fact.path for fact in decision.missing} != set(case.missing):
        yield "missing facts differ"
