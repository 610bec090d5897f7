"""What a programme says, as values. Built by `documents.load` only, so every value here has been checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import Money
from vouchers.programmes.predicates import Predicate
from vouchers.programmes.terms import Level, Terms
from vouchers.programmes.words import Words

__all__ = [
    "Basis",
    "Brackets",
    "Cap",
    "Choose",
    "CoLead",
    "Cost",
    "Count",
    "Cycles",
    "DeclaredFact",
    "DoubleSubsidy",
    "FreeQuota",
    "Funder",
    "Kind",
    "Level",
    "Line",
    "Measure",
    "Period",
    "Pool",
    "PoolShort",
    "Programme",
    "Rounding",
    "RoundingMode",
    "Same",
    "Scope",
    "Side",
    "Window",
    "YearBasis",
]


class Side(StrEnum):
    """Whom the award helps: the buyer of a service, or the one who builds it."""

    DEMAND = "demand"
    SUPPLY = "supply"


class DoubleSubsidy(StrEnum):
    """Another programme's award on the same contract: none may exist, the higher one counts, or no matter."""

    FORBIDDEN = "forbidden"
    HIGHEST = "highest"
    ALLOWED = "allowed"


class Choose(StrEnum):
    FIRST = "first"
    MAX = "max"
    SUM = "sum"


class Window(StrEnum):
    """What counts against a cap: awards of the same year or support cycle, all, this one alone, or on this contract."""

    YEAR = "year"
    CYCLE = "cycle"
    LIFETIME = "lifetime"
    APPLICATION = "application"
    CONTRACT = "contract"


class Scope(StrEnum):
    """Whose awards count against a cap: the applicant's own, or those of its group of companies too."""

    APPLICANT = "applicant"
    GROUP = "group"


class YearBasis(StrEnum):
    """Which year a yearly rule counts in: that of the decision, of the service, or the programme's own from its start."""

    DECISION = "decision"
    SERVICE = "service"
    POLICY = "policy"


class Same(StrEnum):
    """When two awards meet: on the same contract, in the same project, or on the same cost (a common invoice)."""

    CONTRACT = "contract"
    PROJECT = "project"
    COST = "cost"


class Basis(StrEnum):
    """Which amounts a share is taken of. Where the named amounts are not stated, those of the contract stand for them."""

    CONTRACT = "contract"
    APPROVED = "approved"
    ORDER = "order"
    INVOICED = "invoiced"
    PAID = "paid"
    USAGE = "usage"
    DERIVED = "derived"


class Measure(StrEnum):
    """What a derived award is a share of: what the other programme paid, net of recoveries, or what it granted."""

    PAID = "paid"
    GRANTED = "granted"


class PoolShort(StrEnum):
    """What happens when the pool holds less than the award."""

    PARTIAL = "partial"
    REJECT = "reject"
    QUEUE = "queue"
    PRORATE = "prorate"


class RoundingMode(StrEnum):
    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


FEN: Final = Money(1)


@dataclass(frozen=True, slots=True)
class FreeQuota:
    """Units used free of charge before the benefit starts: base = max(0, usage.unit − amount) × usage.price.

    `period`: year or lifetime renews or shares the quota over earlier awards; "" gives it to every request anew.
    """

    unit: str
    amount: Fraction
    period: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """When the service must be rendered; both days included. `text` is a period only said."""

    starts: date | None = None
    ends: date | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """Which spending counts. `signed_from`, `max_months` and `min_base` are inclusive."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    when: Predicate | None = None
    basis: Basis | None = None
    period: Period | None = None
    signed_from: date | None = None
    max_months: int | None = None
    min_base: Money | None = None
    free_quota: FreeQuota | None = None


@dataclass(frozen=True, slots=True)
class Brackets:
    """Rates by size of the base. Upper bounds are inclusive and ascending; None is without end."""

    marginal: bool
    table: tuple[tuple[Money | None, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One benefit. Exactly one of: `rate` alone, `amount`, `brackets`, or `rate` of what `derived_from` paid.

    `rate_is_ceiling`: "at most the rate"; the batch may fix a coefficient below one.
    """

    id: str
    when: Predicate | None = None
    rate: Fraction | None = None
    amount: Money | None = None
    brackets: Brackets | None = None
    derived_from: str = ""
    measure: Measure = Measure.PAID
    cap: Money | None = None
    rate_is_ceiling: bool = False
    combined_rate_cap: Fraction | None = None
    combined_amount_cap: Money | None = None
    combined_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cap:
    """A ceiling for one applicant. `soft` binds until waived; `unless` lifts the cap and leaves it to people."""

    window: Window
    amount: Money
    scope: Scope = Scope.APPLICANT
    soft: Money | None = None
    across: tuple[str, ...] = ()
    when: Predicate | None = None
    unless: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How often and how much: awards per contract and per year, the quota of one application, the quota held at once."""

    per_contract: int | None = None
    per_year: int | None = None
    per_application_max: Money | None = None
    holding_max: Money | None = None


@dataclass(frozen=True, slots=True)
class Cycles:
    """Support cycles (years on the programme's year basis): at most so many in all, and so many in a row."""

    total: int | None = None
    consecutive: int | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of applicant admitted, and on what condition."""

    kind: str
    when: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """Money set aside for a period (see `pools`). `admin_share` of it is for administration, where that is inside the sum."""

    amount: Money
    period: str = ""
    admin_cost_in: bool | None = None
    admin_share: Fraction | None = None


@dataclass(frozen=True, slots=True)
class CoLead:
    """A further department that takes part: it acts at the stages of its `level`.

    `regions`: only for applicants of these; empty = for all others of that level. `name` may be its credit code.
    """

    name: str
    credit_code: str = ""
    level: Level | None = None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredFact:
    """A fact this programme alone asks for: its path, its name, and its unit where it is a number."""

    path: str
    name: Words
    unit: Words | None = None
    is_money: bool = False

    def as_json(self) -> dict[str, Any]:
        unit = [self.unit.zh, self.unit.en] if self.unit else None
        return {"path": self.path, "name": [self.name.zh, self.name.en], "unit": unit, "is_money": self.is_money}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DeclaredFact:
        """Read what `as_json` wrote."""
        unit = Words(*value["unit"]) if value["unit"] else None
        return cls(value["path"], Words(*value["name"]), unit, is_money=value["is_money"])


@dataclass(frozen=True, slots=True)
class Funder:
    """Who pays which share. `payer` may be the path of a fact, such as ``applicant.city``."""

    payer: str
    share: Fraction


@dataclass(frozen=True, slots=True)
class Rounding:
    """Round the award to a multiple of `to`, once, at the end; to the fen and down unless the file says otherwise."""

    to: Money = FEN
    mode: RoundingMode = RoundingMode.DOWN


@dataclass(frozen=True, slots=True)
class Programme:
    """One benefit scheme. `document` is its file as plain JSON (decimals as text), `terms` its life after the decision."""

    code: str
    lines: tuple[Line, ...]
    document: Mapping[str, Any] = field(repr=False)
    name: Words | None = None
    doc_no: str = ""
    issuer: str = ""
    lead: str = ""
    co_leads: tuple[CoLead, ...] = ()
    level: Level | None = None
    source: str = ""
    grade: str = ""
    supersedes: tuple[str, ...] = ()
    in_force: tuple[date | None, date | None] | None = None
    side: Side = Side.DEMAND
    subject: tuple[str, ...] = ()
    purpose: Predicate | None = None
    eligibility: Predicate | None = None
    applicant_kinds: tuple[Kind, ...] = ()
    provider: Predicate | None = None
    provider_roster: str = ""
    provider_documents: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    related_party_forbidden: bool = False
    related_tests: tuple[str, ...] = ()
    double_subsidy: DoubleSubsidy = DoubleSubsidy.ALLOWED
    double_levels: tuple[Level, ...] = ()
    same: Same = Same.CONTRACT
    cost: Cost = Cost()
    max_cycles: Cycles = Cycles()
    year_basis: YearBasis = YearBasis.DECISION
    count: Count = Count()
    choose: Choose = Choose.FIRST
    caps: tuple[Cap, ...] = ()
    floor: Money | None = None
    pool: tuple[Pool, ...] = ()
    pool_short: PoolShort = PoolShort.PARTIAL
    funding: tuple[Funder, ...] = ()
    rounding: Rounding = Rounding()
    facts: tuple[DeclaredFact, ...] = ()
    terms: Terms = field(default_factory=Terms)

    @property
    def predicates(self) -> Iterator[tuple[str, Predicate]]:
        """Every condition with its path in the file, in reading order."""
        yield from _stated("eligibility", self.eligibility)
        for at, kind in enumerate(self.applicant_kinds):
            yield from _stated(f"applicant_kinds[{at}].when", kind.when)
        yield from _stated("provider", self.provider)
        yield from _stated("purpose", self.purpose)
        yield from _stated("cost.when", self.cost.when)
        for at, line in enumerate(self.lines):
            yield from _stated(f"lines[{at}].when", line.when)
        for at, cap in enumerate(self.caps):
            yield from _stated(f"caps[{at}].when", cap.when)
            yield from _stated(f"caps[{at}].unless", cap.unless)
        for at, item in enumerate(self.terms.evidence):
            yield from _stated(f"evidence[{at}].required_when", item.required_when)

    def title(self, language: str) -> str:
        """Return the name, or the code in quotes where the file carries no name."""
        return self.name.say(language) if self.name else f"“{self.code}”"


def _stated(path: str, condition: Predicate | None) -> Iterator[tuple[str, Predicate]]:
    if condition is not None:
        yield path, condition
