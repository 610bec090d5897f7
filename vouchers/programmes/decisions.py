"""What the engine answers: the decision, its amount, every ground for it, and the way it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from vouchers.programmes import names
from vouchers.programmes.schemes import DeclaredFact
from vouchers.programmes.words import Words

__all__ = ["REASONS", "Decision", "DecisionKind", "LeftOut", "MissingFact", "Outcome", "Step", "Test", "reason"]

_ = noop


class DecisionKind(StrEnum):
    """Grant the amount; refuse; ask for facts; or let people decide about the computed amount."""

    GRANT = "grant"
    REJECT = "reject"
    SUPPLEMENT = "supplement"
    MANUAL = "manual"


class Test(StrEnum):
    """The tests in the order they are made; the first that fails is the reason given."""

    __test__ = False  # not a test of pytest's

    IN_FORCE = "R01"
    WINDOW = "R18"
    DISHONESTY = "R03"
    APPLICANT = "R02"
    PROVIDER = "R04"
    RELATED_PARTY = "R05"
    CONTRACT_DATE = "R06"
    CONTRACT_TERM = "R07"
    SERVICE_PERIOD = "R19"
    PURCHASE = "R17"
    DUPLICATE = "R09"
    DOUBLE_SUBSIDY = "R10"
    CYCLES = "R11"
    COUNT = "R20"
    MINIMUM_SPEND = "R08"
    BENEFIT = "R16"
    CAP = "R12"
    POOL = "R13"
    MINIMUM_AWARD = "R14"
    DISCRETION = "M01"


ORDER: Final[Mapping[str, int]] = {test.value: at for at, test in enumerate(Test)}


class Outcome(StrEnum):
    """How a step came out. `note` neither passes nor fails: it only moves the amount or records something."""

    PASS = "pass"  # noqa: S105  an outcome, no password
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the evaluation. `kind` and `params` say what was looked at, in plain JSON, for `wording` to tell.

    `test` is the id of the test it belongs to, "" for none; `before` and `after` are the award around it, shown
    rounded down to the fen (the computation itself is exact); `missing` are paths of facts that would settle it.
    """

    kind: str
    test: str = ""
    outcome: Outcome = Outcome.NOTE
    params: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    before: Money | None = None
    after: Money | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "test": self.test,
            "outcome": self.outcome.value,
            "params": dict(self.params),
            "missing": list(self.missing),
            "before": _yuan(self.before),
            "after": _yuan(self.after),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Step:
        return cls(
            kind=value["kind"],
            test=value["test"],
            outcome=Outcome(value["outcome"]),
            params=value["params"],
            missing=tuple(value["missing"]),
            before=_money(value["before"]),
            after=_money(value["after"]),
        )


def _yuan(value: Money | None) -> str | None:
    return None if value is None else value.yuan()


def _money(value: str | None) -> Money | None:
    return None if value is None else Money(int(Decimal(value) * 100))


@dataclass(frozen=True, slots=True)
class MissingFact:
    """A fact to bring; `called`: what the programme calls it, if it alone asks for it."""

    path: str
    called: Words | None = None

    @property
    def name(self) -> Words:
        return self.called or names.fact(self.path).name


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A benefit line (its id and its place, from 1) not considered because these facts were not stated."""

    line: str
    number: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one request under one programme.

    `rule` is the id of the deciding test, "" for a plain grant; `rule_ids` are all that decided (for a grant: those that
    lowered the amount). `failures` holds a reason per failing test, the first being the reason. `amount` is None
    unless granted or left to people. `share` is the rate of the deciding line, where there is one. `funding` sums to
    `amount`; a payer not stated in the request stays the path of its fact.
    """

    programme: str
    decision: DecisionKind
    amount: Money | None = None
    rule: str = ""
    rule_ids: tuple[str, ...] = ()
    failures: tuple[Reason, ...] = ()
    missing: tuple[MissingFact, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    lines: tuple[str, ...] = ()
    share: Fraction | None = None
    funding: tuple[tuple[str, Money], ...] = ()
    trace: tuple[Step, ...] = ()
    facts: tuple[DeclaredFact, ...] = ()
    """What the programme calls the facts it alone asks for."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, amounts as decimal text; `from_json` reads it back. Key order is stable."""
        return {
            "programme": self.programme,
            "decision": self.decision.value,
            "amount": _yuan(self.amount),
            "rule": self.rule,
            "rule_ids": list(self.rule_ids),
            "lines": list(self.lines),
            "share": None if self.share is None else str(self.share),
            "funding": {payer: part.yuan() for payer, part in self.funding},
            "failures": [{"rule": failure.code, "params": dict(failure.params)} for failure in self.failures],
            "missing": [{"path": fact.path, "zh": fact.name.zh, "en": fact.name.en} for fact in self.missing],
            "left_out": [
                {"line": left.line, "number": left.number, "missing": list(left.missing)} for left in self.left_out
            ],
            "trace": [step.as_json() for step in self.trace],
            **({"facts": [fact.as_json() for fact in self.facts]} if self.facts else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Decision:
        """Read what `as_json` wrote."""
        facts = tuple(DeclaredFact.from_json(fact) for fact in value.get("facts", ()))
        called = {fact.path: fact.name for fact in facts}
        return cls(
            programme=value["programme"],
            decision=DecisionKind(value["decision"]),
            amount=_money(value["amount"]),
            rule=value["rule"],
            rule_ids=tuple(value["rule_ids"]),
            failures=tuple(reason(failure["rule"], failure["params"]) for failure in value["failures"]),
            missing=tuple(MissingFact(fact["path"], called.get(fact["path"])) for fact in value["missing"]),
            left_out=tuple(LeftOut(left["line"], left["number"], tuple(left["missing"])) for left in value["left_out"]),
            lines=tuple(value["lines"]),
            share=None if value["share"] is None else Fraction(value["share"]),
            funding=tuple((payer, Money(int(Decimal(part) * 100))) for payer, part in value["funding"].items()),
            trace=tuple(Step.from_json(step) for step in value["trace"]),
            facts=facts,
        )


REASONS: Final[Mapping[str, tuple[Words, Words]]] = {
    Test.IN_FORCE: (
        Words(
            _("本项目在 %(today)s 不在有效期（%(period)s）内。"),
            "The programme is not in force on %(today)s; it runs %(period)s.",
        ),
        Words(
            _("请在有效期内申报，或查看正在实施的项目。"), "Apply while it is in force, or see the programmes now open."
        ),
    ),
    Test.WINDOW: (
        Words(_("%(today)s 不在申报受理期内。"), "Applications are not taken on %(today)s."),
        Words(_("请在公布的受理期内申报。"), "Apply within the intake period that was announced."),
    ),
    Test.DISHONESTY: (
        Words(_("申请人有失信记录，或仍在禁止申报期内。"), "The applicant has a dishonesty record or is still barred."),
        Words(
            _("请先完成信用修复，或在期满后申报；记录有误的请联系主管部门更正。"),
            "Repair the record first or apply after the bar ends; ask the department to correct a wrong record.",
        ),
    ),
    Test.APPLICANT: (
        Words(_("申请人不符合申报条件。"), "The applicant does not meet the conditions."),
        Words(
            _("请对照申报条件；单位信息有误的，请更正后再申报。"),
            "Compare the conditions; if the organisation's data are wrong, correct them and apply again.",
        ),
    ),
    Test.PROVIDER: (
        Words(_("服务机构不符合要求。"), "The provider does not meet the requirements."),
        Words(_("请选择符合要求的服务机构。"), "Choose a provider that meets the requirements."),
    ),
    Test.RELATED_PARTY: (
        Words(_("合同双方是关联方。"), "The parties to the contract are related."),
        Words(_("请与没有关联关系的服务机构签订合同。"), "Contract with a provider that is not a related party."),
    ),
    Test.CONTRACT_DATE: (
        Words(
            _("合同签订日期 %(signed)s 早于规定的 %(signed_from)s。"),
            "The contract was signed on %(signed)s, before %(signed_from)s.",
        ),
        Words(_("请使用 %(signed_from)s（含）以后签订的合同。"), "Use a contract signed on or after %(signed_from)s."),
    ),
    Test.CONTRACT_TERM: (
        Words(
            _("合同期 %(months)s 个月，超过规定的 %(max_months)s 个月。"),
            "The contract runs %(months)s months, longer than %(max_months)s.",
        ),
        Words(_("请使用合同期不超过 %(max_months)s 个月的合同。"), "Use a contract of at most %(max_months)s months."),
    ),
    Test.SERVICE_PERIOD: (
        Words(
            _("服务期（%(service)s）超出可计入的期间（%(period)s）。"),
            "The service (%(service)s) lies outside the period that counts (%(period)s).",
        ),
        Words(_("请只申报 %(period)s 内提供的服务。"), "Apply for service rendered within %(period)s only."),
    ),
    Test.PURCHASE: (
        Words(_("所购服务不在支持范围内。"), "The purchase is not eligible."),
        Words(_("请对照支持范围选择服务或渠道。"), "Compare what the programme supports and choose accordingly."),
    ),
    Test.DUPLICATE: (
        Words(
            _("同一合同已获支持 %(count)s 次，每份合同最多 %(limit)s 次。"),
            "This contract was already supported (%(count)s of at most %(limit)s).",
        ),
        Words(_("请以另一份合同申报。"), "Apply with another contract."),
    ),
    Test.DOUBLE_SUBSIDY: (
        Words(_("同一合同已获得其他财政补贴 %(paid)s。"), "Other public money was paid on this contract: %(paid)s."),
        Words(
            _("同一合同不能重复享受补贴；请以另一份合同申报。"),
            "One contract cannot be subsidised twice; apply with another contract.",
        ),
    ),
    Test.CYCLES: (
        Words(
            _("已享受 %(used)s 个支持周期，最多 %(limit)s 个。"),
            "The applicant used %(used)s of at most %(limit)s support cycles.",
        ),
        Words(
            _("本项目的支持年限已满，请查看其他项目。"),
            "Support under this programme is used up; see other programmes.",
        ),
    ),
    Test.COUNT: (
        Words(
            _("本年度已获支持 %(count)s 次，每年最多 %(limit)s 次。"),
            "The applicant was supported %(count)s times this year, at most %(limit)s are allowed.",
        ),
        Words(_("请在下一年度申报。"), "Apply next year."),
    ),
    Test.MINIMUM_SPEND: (
        Words(
            _("计入补贴的金额 %(base)s 低于最低要求 %(min_base)s。"),
            "The amount that counts, %(base)s, is below the minimum of %(min_base)s.",
        ),
        Words(_("达到 %(min_base)s（含）后再申报。"), "Apply once it reaches %(min_base)s (inclusive)."),
    ),
    Test.BENEFIT: (
        Words(_("没有适用的支持档次，或可支持金额为零。"), "No benefit line applies, or nothing is payable."),
        Words(
            _("请核对合同明细和申报类别是否属于支持范围。"),
            "Check whether the contract's items and the kind of request are supported.",
        ),
    ),
    Test.CAP: (
        Words(
            _("额度已用完：上限 %(limit)s，已使用 %(used)s。"), "The ceiling of %(limit)s is used up: %(used)s so far."
        ),
        Words(_("额度恢复后（例如下一年度）再申报。"), "Apply when there is room again, such as next year."),
    ),
    Test.POOL: (
        Words(_("资金池余额 %(pool)s 不足。"), "The pool holds only %(pool)s."),
        Words(_("请等待下一批资金或下一年度预算。"), "Wait for the next batch or next year's budget."),
    ),
    Test.MINIMUM_AWARD: (
        Words(
            _("可支持金额 %(amount)s 低于最低发放额 %(floor)s。"),
            "The award of %(amount)s is below the least award of %(floor)s.",
        ),
        Words(_("请合并采购或增加合同金额后再申报。"), "Combine purchases or apply with a larger contract."),
    ),
}
"""Message and remedy of each test that can fail. Filled from the parameters of its failing step."""


def reason(test: str, params: Mapping[str, Any]) -> Reason:
    """Return the reason for a failing `test`, filled from the parameters of its step."""
    message, remedy = REASONS[test]
    return Reason(code=test, message=message.zh, remedy=remedy.zh, params=params)
