"""Items of a lab's price list, and what a full price is made of. Pure.

A price holds for one mode of service, one unit, one class of users, from a moment on. There is no discount beside the
list: what nobody published nobody can be charged, or spared (instrument fee rules of universities, such as Jimei's:
"no person may waive or change a published fee").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Final

from portal.kernel.errors import Reason, noop
from portal.kernel.money import MAX_FEN, Money
from scheduler.resources.profile import ServiceMode
from scheduler.resources.rules import Unit

__all__ = [
    "LARGEST_SHARE",
    "LEAST_SHARE",
    "LISTED",
    "CostBasis",
    "PriceItem",
    "UserClass",
    "counted",
    "full_price",
    "refusals",
    "share_ppm",
    "value_price",
]

_ = noop

NOTHING: Final = Money(0)
MILLION: Final = 1_000_000
LEAST_SHARE: Final = Fraction(1, 100)
LARGEST_SHARE: Final = Fraction(5, 100)
"""Portable instruments: 1 to 5 % of the original value a day (fee rules of Shandong University of Science and Technology)."""
LISTED: Final = (Unit.HOUR, Unit.SAMPLE, Unit.TEST, Unit.DAY, Unit.VALUE_DAY)
"""Units of an instrument's price list; cards and cores are those of a cluster's queue."""


class UserClass(StrEnum):
    """Whom a price is for. Enterprises of the portal are EXTERNAL."""

    EXTERNAL = "external"
    ACADEMIC = "academic"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class PriceItem:
    """One line of the list: an `amount` for each unit, or of VALUE_DAY a `share` of the original value for each day.

    In force from `since` (aware) until another line of the same mode, unit and class begins.
    """

    mode: ServiceMode
    unit: Unit
    user_class: UserClass
    since: datetime
    amount: Money = NOTHING
    share: Fraction = Fraction(0)


def share_ppm(share: Fraction) -> int:
    """Return a share in whole parts per million. Raises ValueError for a finer one."""
    parts = share * MILLION
    if parts.denominator != 1:
        raise ValueError("a share has at most four decimals of a percent")
    return int(parts)


def refusals(item: PriceItem, *, original_value: Money, now: datetime) -> list[Reason]:
    """Return everything that is wrong with a line for an instrument of that value, entered at `now`."""
    reasons: list[Reason] = []
    if item.unit not in LISTED:
        reasons.append(Reason("rate.unit", _("仪器不能按这个单位计价。"), _("请从列表中选择单位。"), field="unit"))
    if item.since < now:
        reasons.append(
            Reason(
                "rate.past",
                _("价格不能从过去的时间起生效。"),
                _("请选择今天之后的日期，或留空表示立即生效。"),
                field="since",
            )
        )
    if item.unit is Unit.VALUE_DAY:
        reasons += _share_reasons(item, original_value)
    elif item.share or not 0 <= item.amount.fen <= MAX_FEN:
        reasons.append(
            Reason(
                "rate.amount",
                _("单价须为不小于 0 的金额；只有按原值计价的才填比例。"),
                _("请填写不小于 0 的金额，比例留空。"),
                field="amount",
            )
        )
    return reasons


def _share_reasons(item: PriceItem, original_value: Money) -> list[Reason]:
    reasons = []
    if not LEAST_SHARE <= item.share <= LARGEST_SHARE or item.amount:
        reasons.append(
            Reason(
                "rate.share",
                _("按原值计价的便携仪器，每天收费须在原值的百分之一到百分之五之间。"),
                _("请填写 1 到 5 的百分数，金额留空。"),
                field="share",
            )
        )
    if original_value.fen <= 0:
        reasons.append(
            Reason(
                "rate.no_value",
                _("仪器还没有填写原值，不能按原值计价。"),
                _("请先在资料中填写原值。"),
                field="unit",
            )
        )
    return reasons


def counted(unit_price: Money, quantity: int | Fraction) -> Money:
    """Return the price of so many samples, tests or days, rounded half up once."""
    return unit_price.times(Fraction(quantity))


def value_price(*, original_value: Money, share: Fraction, days: int | Fraction) -> Money:
    """Return what a portable instrument costs for `days`: its share of the original value a day.

    Source: fee rules of Shandong University of Science and Technology, 1 to 5 % of the original value a day.
    """
    if not LEAST_SHARE <= share <= LARGEST_SHARE:
        raise ValueError("a share lies between 1 and 5 %")
    return original_value.times(share * days)


@dataclass(frozen=True, slots=True)
class CostBasis:
    """What an instrument's use costs its lab. `consumption`, `service` and `other` are those of the whole use."""

    yearly_depreciation: Money
    quota_hours: int
    consumption: Money = NOTHING
    service: Money = NOTHING
    other: Money = NOTHING


def full_price(basis: CostBasis, *, hours: Fraction) -> Money:
    """Return the full price of a use of `hours`: depreciation by the hour, and what it consumes, serves and costs else.

    Advice for who sets a price, never a price by itself: state price comes first, then the local market, then cost.
    Source: fee rules of China University of Petroleum: full price = consumption + service + depreciation + other, where
    depreciation = yearly depreciation / yearly quota hours × hours.
    """
    if basis.quota_hours <= 0 or hours < 0:
        raise ValueError("hours of a year are above zero, those of a use not negative")
    depreciation = basis.yearly_depreciation.times(hours / basis.quota_hours)
    return depreciation + basis.consumption + basis.service + basis.other
