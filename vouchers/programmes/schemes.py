"""What a programme says, as values. Built by `documents.load` only, so every value here has been checked."""

from __future__ import annotations

from collections.abc import Mapping
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
    "Brackets",
    "Cap",
    "Choose",
    "Cost",
    "Count",
    "DoubleSubsidy",
    "FreeQuota",
    "Funder",
    "Level",
    "Line",
    "PoolShort",
    "Programme",
    "Rounding",
    "RoundingMode",
    "Side",
    "Window",
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
    """What counts against a cap: awards of the same year, all awards, this one alone, or those on this contract."""

    YEAR = "year"
    LIFETIME = "lifetime"
    APPLICATION = "application"
    CONTRACT = "contract"


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
    """Units used free of charge before the benefit starts: base = max(0, usage.unit − amount) × usage.price."""

    unit: str
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Cost:
    """Which spending counts. `signed_from`, `max_months` and `min_base` are inclusive."""

    include: tuple[str, ...] = ()
    when: Predicate | None = None
    basis: str = ""
    period: str = ""
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
    """One benefit. Exactly one of: `rate` alone, `amount`, `brackets`, or `rate` of what `derived_from` paid."""

    id: str
    when: Predicate | None = None
    rate: Fraction | None = None
    amount: Money | None = None
    brackets: Brackets | None = None
    derived_from: str = ""
    cap: Money | None = None
    combined_rate_cap: Fraction | None = None
    combined_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cap:
    """A ceiling for one applicant. `soft` binds until waived; `unless` lifts the cap and leaves it to people."""

    window: Window
    amount: Money
    soft: Money | None = None
    across: tuple[str, ...] = ()
    when: Predicate | None = None
    unless: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Ceilings of the quota applied for; they do not enter the payout formula."""

    per_application_max: Money | None = None
    holding_max: Money | None = None


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
    co_leads: tuple[str, ...] = ()
    level: Level | None = None
    source: str = ""
    grade: str = ""
    supersedes: tuple[str, ...] = ()
    in_force: tuple[date | None, date | None] | None = None
    side: Side = Side.DEMAND
    eligibility: Predicate | None = None
    provider: Predicate | None = None
    related_party_forbidden: bool = False
    double_subsidy: DoubleSubsidy = DoubleSubsidy.ALLOWED
    double_levels: tuple[Level, ...] = ()
    cost: Cost = Cost()
    per_contract_count: int | None = None
    max_cycles: int | None = None
    count: Count = Count()
    choose: Choose = Choose.FIRST
    caps: tuple[Cap, ...] = ()
    floor: Money | None = None
    pool: tuple[Mapping[str, Any], ...] = ()
    pool_short: PoolShort = PoolShort.PARTIAL
    funding: tuple[Funder, ...] = ()
    rounding: Rounding = Rounding()
    terms: Terms = field(default_factory=Terms)

    def title(self, language: str) -> str:
        """Return the name, or the code in quotes where the file carries no name."""
        return self.name.say(language) if self.name else f"“{self.code}”"
