"""How an award lives after the decision, as values: intake, review, notice, voucher, redemption, audit, sanctions.

The engine evaluates none of it; issuance, wallets, claims and settlements carry it out. Every key has a default, and a
programme file that says nothing keeps the plain way: first come, check then decide, twelve months, deducted at purchase,
no public notice. Shapes follow the parameters found in the published schemes (武汉市资金管理办法 2025 第十三条: stages,
five working days of notice; 浙江科技创新券 2.0: first come, three months, unused rest returns).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.money import Money
from vouchers.programmes.predicates import Predicate
from vouchers.programmes.readers import parsed_day

__all__ = [
    "BEIJING",
    "EVIDENCE_STAGES",
    "NOTICE_FIELDS",
    "AuditTerms",
    "Automation",
    "AwardOrder",
    "Cadence",
    "EvidenceTerm",
    "IntakeWindow",
    "Leftovers",
    "Level",
    "NoticeTerms",
    "Redeem",
    "RedeemMode",
    "Sanction",
    "Stage",
    "Terms",
    "Validity",
    "VoucherForm",
    "instant",
]

BEIJING: Final = ZoneInfo("Asia/Shanghai")


class Level(StrEnum):
    """Whose money it is, and whose office acts."""

    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"
    DISTRICT = "district"
    PARK = "park"


class RedeemMode(StrEnum):
    """Deducted from the bill at purchase; paid back after the buyer paid in full; paid as an award, with no voucher."""

    DEDUCT = "deduct"
    REIMBURSE = "reimburse"
    AWARD = "award"


class Cadence(StrEnum):
    """When accepted claims are paid: each at once, after the end of a month, quarter or year, or in called batches."""

    ON_CLAIM = "on_claim"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    BATCH = "batch"


class InvoiceScope(StrEnum):
    """What the tax invoice (发票) of a use covers: the own share only, or also what this programme's voucher pays."""

    OWN = "own"
    WHOLE = "whole"


class AwardOrder(StrEnum):
    """Who is served when money is short: as they come, all in proportion, by score, by lot, or by region's quota."""

    FIRST_COME = "first_come"
    ALL_THEN_PRORATE = "all_then_prorate"
    RANKED = "ranked"
    LOTTERY = "lottery"
    REGION_QUOTA = "region_quota"


class Leftovers(StrEnum):
    """What becomes of the money a region's claims do not use."""

    STAY = "stay"
    """It stays in the pool: a quota is a limit."""
    SHARE = "share"
    """It serves, in order of submission, the claims that their own region could not serve."""


class Automation(StrEnum):
    """Applied for; granted without application (免申即享); granted at once on application (即申即享)."""

    NONE = "none"
    NO_APPLICATION = "no_application"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the review. `role` reviewer, expert, approver or collective; `action` check, recheck, score, decide.

    `sla_days` are working days, None = no limit; `quorum` how many must act; `returns_to` an earlier stage, "" = the
    applicant.
    """

    stage: str
    role: str = "reviewer"
    level: str = ""
    action: str = "check"
    sla_days: int | None = None
    quorum: int = 1
    returns_to: str = ""


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a voucher lives. `length` and `grace` are months; `length` None = the portal's twelve.

    `starts` issue or contract. `on_expiry`: the rest returns to the pool, or is carried into the next year's.
    `grace`: how long orders placed in time may still be claimed. `roll_forward`: a last day on a rest day moves to the
    next working day (Civil Code 203).
    """

    length: int | None = None
    starts: str = "issue"
    on_expiry: str = "return"
    grace: int = 0
    roll_forward: bool = False


@dataclass(frozen=True, slots=True)
class Redeem:
    """How a voucher turns into money. `claimant` and `payee` are applicant or provider; `max_share` of one bill.

    `invoice`: what the tax invoice to the enterprise covers.
    """

    mode: RedeemMode = RedeemMode.DEDUCT
    claimant: str = "provider"
    payee: str = "provider"
    cadence: Cadence = Cadence.ON_CLAIM
    max_share: Fraction | None = None
    invoice: InvoiceScope = InvoiceScope.OWN


@dataclass(frozen=True, slots=True)
class IntakeWindow:
    """When applications are taken: from `starts` until before `ends`, aware; None = no end."""

    starts: datetime
    ends: datetime | None = None
    note: str = ""

    def said(self) -> str:
        """Return both ends in Beijing time, the last day or minute that counts, open ends empty."""
        return f"{_day_or_minute(self.starts)} – {_day_or_minute(self.ends, is_end=True)}".strip()

    def __contains__(self, at: datetime) -> bool:
        return self.starts <= at and (self.ends is None or at < self.ends)


@dataclass(frozen=True, slots=True)
class NoticeTerms:
    """The public notice before payment. `min_working_days` 0 = none; `fields` shown, empty = number, applicant, programme, amount."""

    min_working_days: int = 0
    fields: tuple[str, ...] = ()
    objection_to: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceTerm:
    """A document to bring. `stage` is one of EVIDENCE_STAGES; `required_when` None = always; `check`: what to look at."""

    doc: str
    stage: str = "application"
    required_when: Predicate | None = None
    check: str = ""


@dataclass(frozen=True, slots=True)
class AuditTerms:
    """Checks of accepted claims: which share is drawn, whether by a third party, whether on site."""

    sample_rate: Fraction = Fraction(0)
    third_party: bool = False
    on_site: bool = False


@dataclass(frozen=True, slots=True)
class Sanction:
    """What follows a breach by `party` (applicant, provider or agency). `bar_years` 0 = no bar."""

    breach: str
    recover: bool = False
    bar_years: int = 0
    publish: bool = False
    party: str = "applicant"


@dataclass(frozen=True, slots=True)
class VoucherForm:
    """What is held: `unit` CNY, card_hours, tokens …; `face_values` empty = any amount; never transferable."""

    unit: str = "CNY"
    face_values: tuple[Money, ...] = ()
    multi_use: bool = True
    transferable: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything a programme says about the time after the decision. `appeal_days`, `supplement_days`: working days."""

    validity: Validity = Validity()
    redeem: Redeem = Redeem()
    order: AwardOrder = AwardOrder.FIRST_COME
    region_quotas: Mapping[str, Fraction] = field(default_factory=dict)
    region_leftovers: Leftovers = Leftovers.STAY
    windows: tuple[IntakeWindow, ...] = ()
    workflow: tuple[Stage, ...] = ()
    notice: NoticeTerms = NoticeTerms()
    evidence: tuple[EvidenceTerm, ...] = ()
    audit: AuditTerms = AuditTerms()
    sanctions: tuple[Sanction, ...] = ()
    voucher: VoucherForm = VoucherForm()
    automation: Automation = Automation.NONE
    confidential_fields: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    appeal_days: int = 15
    supplement_days: int = 15
    stated: frozenset[str] = frozenset()
    """The keys the file gives; the others hold their defaults."""

    def takes_applications(self, at: datetime) -> bool:
        """Tell whether an intake window is open at `at`; a programme without windows is always open."""
        return not self.windows or any(at in window for window in self.windows)


EVIDENCE_STAGES: Final = ("application", "contract", "delivery", "claim", "onboarding")
"""When a document is asked for. Older files say ``redeem`` for claim."""

NOTICE_FIELDS: Final = ("number", "applicant", "programme", "provider", "project", "base", "amount")
"""What a public notice may show of an item."""


def instant(written: str, *, is_end: bool = False) -> datetime:
    """Return the instant of an ISO date or date and time; without a zone it is Beijing time.

    A bare date is the whole Beijing day: as a start its first instant, as an end the first instant after it.
    """
    day = parsed_day(written)
    if day is not None:
        return datetime.combine(day + timedelta(days=1) if is_end and day < date.max else day, time(), BEIJING)
    at = datetime.fromisoformat(written)
    return at if at.tzinfo else at.replace(tzinfo=BEIJING)


def _day_or_minute(at: datetime | None, *, is_end: bool = False) -> str:
    """Return a midnight as its day (as an end, as the day before it), any other instant to the minute."""
    if at is None:
        return ""
    local = at.astimezone(BEIJING)
    if local.time() != time():
        return local.strftime("%Y-%m-%d %H:%M")
    return (local.date() - timedelta(days=1) if is_end else local.date()).isoformat()
