"""What a dry run asks and answers, and the states it goes through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.money import Money
from vouchers.programmes import rules as engine
from vouchers.programmes.allocation import Allocation, Claim, allocate
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.requests import load_request
from vouchers.programmes.schemes import PoolShort, Programme, YearBasis
from vouchers.programmes.terms import AwardOrder, Terms

__all__ = [
    "MOST_CASES",
    "TRANSITIONS",
    "Answer",
    "BadPool",
    "BadRange",
    "DryRunAction",
    "DryRunState",
    "NoQuotas",
    "NotReady",
    "NothingToRun",
    "Question",
    "Shift",
    "TooMany",
    "Totals",
    "judge",
    "shift",
    "simulate",
    "timeless",
    "totals",
]

_ = noop

MOST_CASES: Final = 10_000
"""Cases of one run: a minute or two of one worker."""


class DryRunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class DryRunAction(StrEnum):
    START = "start"
    FINISH = "finish"
    FAIL = "fail"


S, A = DryRunState, DryRunAction

TRANSITIONS: Final[Mapping[tuple[DryRunState, DryRunAction], DryRunState]] = MappingProxyType(
    {
        (S.QUEUED, A.START): S.RUNNING,
        # a worker that was stopped in the middle gives its run back: it is begun anew
        (S.RUNNING, A.START): S.RUNNING,
        (S.RUNNING, A.FINISH): S.DONE,
        (S.RUNNING, A.FAIL): S.FAILED,
    }
)


class BadRange(Invalid):
    code = "dry_run.range"
    message = _("起始日不能晚于截止日。")


class NothingToRun(Invalid):
    code = "dry_run.nothing"
    message = _("所选范围内没有申请可以试算。请放宽日期，或上传案例文件。")


class TooMany(Invalid):
    code = "dry_run.too_many"
    message = _("一次最多试算 %(most)s 件，所选范围有 %(count)s 件。请缩小日期范围。")


class NotReady(Conflict):
    code = "dry_run.not_ready"
    message = _("试算还没有完成，完成后才能模拟资金池。")


class BadPool(Invalid):
    code = "dry_run.pool"
    message = _("资金池金额不能小于零。")


class NoQuotas(Invalid):
    code = "dry_run.no_quotas"
    message = _("这份规则没有地区配额，不能按地区配额模拟。请先在规则中填写，或改选其他次序。")


class Shift(StrEnum):
    """What the rules mean for a case, compared with before."""

    NEW = "new"
    """Nothing before, something now."""
    MORE = "more"
    SAME = "same"
    LESS = "less"
    LOST = "lost"
    """Something before, nothing now."""
    NONE = "none"
    """Nothing before, nothing now."""


@dataclass(frozen=True, slots=True)
class Question:
    """One case to judge: its facts, and what it was awarded before (None = nothing known)."""

    number: str
    name: str
    request: Mapping[str, Any] = field(repr=False)
    region: str = ""
    at: datetime | None = None
    before_fen: int = 0
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rules say of a case. `after_fen` is what would be granted; 0 unless granted or left to people."""

    decision: DecisionKind
    after_fen: int
    rule: str
    lines: tuple[str, ...]
    missing: tuple[str, ...]


def timeless(scheme: Programme) -> Programme:
    """Return the rules as if in force on the day of every past case: a draft begins in the future.

    A programme that counts years from its own first day keeps it.
    """
    return scheme if scheme.year_basis is YearBasis.POLICY else replace(scheme, in_force=None)


def judge(scheme: Programme, question: Question, catalogue: Mapping[str, Programme]) -> Answer:
    """Decide one case without regard to what the pool has left. Raises BadRequest for facts that cannot be read."""
    request = replace(load_request(question.request), pool=None)
    decision = engine.evaluate(scheme, request, catalogue=catalogue)
    return Answer(
        decision.decision,
        decision.amount.fen if decision.amount else 0,
        decision.rule,
        decision.lines,
        tuple(fact.path for fact in decision.missing),
    )


def shift(before_fen: int, after_fen: int) -> Shift:
    """Say what became of a case."""
    if not before_fen:
        return Shift.NEW if after_fen else Shift.NONE
    if not after_fen:
        return Shift.LOST
    if after_fen == before_fen:
        return Shift.SAME
    return Shift.MORE if after_fen > before_fen else Shift.LESS


@dataclass(frozen=True, slots=True)
class Totals:
    """A run in figures: cases, sums in fen, cases by shift and by decision, sums by benefit line."""

    cases: int
    before_fen: int
    after_fen: int
    shifts: Mapping[str, int]
    decisions: Mapping[str, int]
    lines: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def totals(pairs: Iterable[tuple[int, Answer]]) -> Totals:
    """Add up a run: pairs of what was awarded before, in fen, and the answer."""
    shifts: dict[str, int] = {kind.value: 0 for kind in Shift}
    decisions: dict[str, int] = {kind.value: 0 for kind in DecisionKind}
    lines: dict[str, int] = {}
    cases = before = after = 0
    for before_fen, answer in pairs:
        cases, before, after = cases + 1, before + before_fen, after + answer.after_fen
        shifts[shift(before_fen, answer.after_fen).value] += 1
        decisions[answer.decision.value] += 1
        if answer.lines and answer.after_fen:
            name = " + ".join(answer.lines)
            lines[name] = lines.get(name, 0) + answer.after_fen
    return Totals(cases, before, after, shifts, decisions, lines)


def simulate(
    claims: Sequence[Claim],
    *,
    pool: Money,
    order: AwardOrder,
    short: PoolShort,
    terms: Terms,
    seed: str,
) -> Allocation:
    """Divide a pool among what the run would grant, exactly as a round would. Raises NoQuotas."""
    if order is AwardOrder.REGION_QUOTA and not terms.region_quotas:
        raise NoQuotas(field="order")
    return allocate(
        order=order,
        pool=pool,
        short=short,
        claims=claims,
        quotas=terms.region_quotas,
        seed=(seed or "dry run").encode(),
        leftovers=terms.region_leftovers,
    )
