"""Price items: what one unit costs, in tiers, after a free quota, with a minimum and a stated rounding. Pure and exact.

Sources of the forms supported: published tariffs of computing centres bill card-hours to the second, nodes by started days
and storage by started TB and night after a free TB; hosted inference is sold in whole-volume tiers, where the price of the
tier reached holds for the whole quantity, so that one more hour can cost less; others sell marginal tiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from portal.kernel.errors import Invalid, Reason, Refused, noop
from portal.kernel.money import MAX_FEN, Money, round_half_up

__all__ = [
    "BadPriceList",
    "Line",
    "NoSuchItem",
    "Part",
    "PriceItem",
    "PriceRounding",
    "PriceUnit",
    "Priced",
    "PricedList",
    "Tier",
    "Tiering",
    "check",
    "from_json",
    "price",
    "price_all",
    "text",
    "unit_price_text",
]

_ = noop

NOTHING: Final = Money(0)
MOST_ITEMS: Final = 50
MOST_TIERS: Final = 12
PLACES: Final = 6
"""Most decimals of yuan in a unit price: tokens cost less than a fen."""


class PriceUnit(StrEnum):
    """What one unit of a price item is."""

    HOUR = "hour"
    DAY = "day"
    SAMPLE = "sample"
    TEST = "test"
    CARD_HOUR = "card_hour"
    CORE_HOUR = "core_hour"
    NODE_DAY = "node_day"
    TB_DAY = "tb_day"
    GB_DAY = "gb_day"
    TOKEN = "token"  # noqa: S105  a unit, no password
    MILLION_TOKENS = "million_tokens"
    CALL = "call"
    RECORD = "record"
    MB = "mb"
    ITEM = "item"
    PROJECT = "project"
    VALUE = "value"
    """One yuan of a value stated beforehand (a contract's, a thing's): the unit price is the share, 0.03 is 3 %."""


class Tiering(StrEnum):
    """`whole_volume`: the tier reached prices the whole quantity. `marginal`: each part is priced by its own tier."""

    WHOLE_VOLUME = "whole_volume"
    MARGINAL = "marginal"


class PriceRounding(StrEnum):
    """How an item's amount comes to whole fen, once, at its end."""

    HALF_UP = "half_up"
    DOWN = "down"


class NoSuchItem(Invalid):
    code = "price.no_item"
    message = _("价目表里没有“%(code)s”这一项。请从价目表中选择。")


class BadPriceList(Refused):
    code = "price.bad_list"
    message = _("价目表有问题，没有保存。")


@dataclass(frozen=True, slots=True)
class Tier:
    """`price` in fen a unit, exact, up to and including `up_to` units; None is without end."""

    price: Fraction
    up_to: Fraction | None = None


@dataclass(frozen=True, slots=True)
class PriceItem:
    """One line of a price list. `free` units cost nothing; with `started`, a part of a unit counts as a whole one.

    The order of steps is part of the price: the free quota is taken off first, what is left is rounded up to whole units
    where `started` says so, tiers price it, `minimum` is charged at least where anything is charged for, and the amount is
    rounded once.
    """

    code: str
    name: str
    unit: PriceUnit
    tiers: tuple[Tier, ...]
    name_en: str = ""
    tiering: Tiering = Tiering.WHOLE_VOLUME
    free: Fraction = Fraction(0)
    minimum: Money = NOTHING
    rounding: PriceRounding = PriceRounding.HALF_UP
    started: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the item as it is stored with a price version and frozen in an order: exact, as text."""
        return {
            "code": self.code,
            "name": self.name,
            "name_en": self.name_en,
            "unit": self.unit.value,
            "tiering": self.tiering.value,
            "tiers": [
                {"price_yuan": unit_price_text(tier.price), "up_to": None if tier.up_to is None else text(tier.up_to)}
                for tier in self.tiers
            ],
            "free": text(self.free),
            "minimum_fen": self.minimum.fen,
            "rounding": self.rounding.value,
            "started": self.started,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """`quantity` units at `price` fen each."""

    quantity: Fraction
    price: Fraction


@dataclass(frozen=True, slots=True)
class Priced:
    """What a quantity of an item costs and how that came about; `minimum` says that the minimum charge was taken."""

    item: PriceItem
    quantity: Fraction
    billable: Fraction
    amount: Money
    parts: tuple[Part, ...] = ()
    minimum: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """How much of which item is wanted or was used."""

    code: str
    quantity: Fraction


@dataclass(frozen=True, slots=True)
class PricedList:
    """Lines priced together; `amount` is the sum of their rounded amounts."""

    lines: tuple[Priced, ...] = field(default_factory=tuple)

    @property
    def amount(self) -> Money:
        return Money(sum(line.amount.fen for line in self.lines))


def text(value: Fraction) -> str:
    """Return a decimal as text, exact: every number here has finitely many decimals."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return format(exact.normalize(), "f") if exact else "0"


def unit_price_text(price: Fraction) -> str:
    """Return a unit price in yuan as text with at least two decimals, such as ``3.75`` or ``0.000012``."""
    whole, dot, rest = text(price / 100).partition(".")
    return f"{whole}.{rest.ljust(2, '0')}" if dot else f"{whole}.00"


def from_json(value: Mapping[str, Any]) -> PriceItem:
    """Return a stored item. The inverse of `PriceItem.as_json`."""
    return PriceItem(
        code=value["code"],
        name=value["name"],
        name_en=value.get("name_en", ""),
        unit=PriceUnit(value["unit"]),
        tiers=tuple(
            Tier(
                price=Fraction(tier["price_yuan"]) * 100,
                up_to=None if tier["up_to"] is None else Fraction(tier["up_to"]),
            )
            for tier in value["tiers"]
        ),
        tiering=Tiering(value["tiering"]),
        free=Fraction(value["free"]),
        minimum=Money(value["minimum_fen"]),
        rounding=PriceRounding(value["rounding"]),
        started=value["started"],
    )


def _billable(item: PriceItem, quantity: Fraction, used: Fraction) -> Fraction:
    """Return what is charged for: above what is left of the free quota, in whole units where parts count whole."""
    left = max(Fraction(0), item.free - used)
    charged = max(Fraction(0), quantity - left)
    return Fraction(-(-charged.numerator // charged.denominator)) if item.started else charged


def _parts(item: PriceItem, billable: Fraction) -> tuple[Part, ...]:
    if item.tiering is Tiering.WHOLE_VOLUME:
        reached = next(tier for tier in item.tiers if tier.up_to is None or billable <= tier.up_to)
        return (Part(billable, reached.price),)
    parts, below = [], Fraction(0)
    for tier in item.tiers:
        top = billable if tier.up_to is None else min(billable, tier.up_to)
        if top > below:
            parts.append(Part(top - below, tier.price))
            below = top
    return tuple(parts)


def price(item: PriceItem, quantity: Fraction, *, used: Fraction = Fraction(0)) -> Priced:
    """Price `quantity` units. `used` is what was used before within the same free quota; it uses the quota up first.

    A cheaper total for a larger quantity at a whole-volume tier's edge is as published, and stays.
    """
    if quantity < 0 or used < 0:
        raise ValueError("quantities are not negative")
    billable = _billable(item, quantity, used)
    if not billable:
        return Priced(item, quantity, billable, NOTHING)
    parts = _parts(item, billable)
    exact = sum((part.quantity * part.price for part in parts), Fraction(0))
    fen = round_half_up(exact) if item.rounding is PriceRounding.HALF_UP else exact.numerator // exact.denominator
    is_minimum = fen < item.minimum.fen
    return Priced(item, quantity, billable, max(Money(fen), item.minimum), parts, is_minimum)


def price_all(items: Sequence[PriceItem], lines: Iterable[Line]) -> PricedList:
    """Price lines together: quantities of one item are added up first, so that splitting a line changes nothing.

    In the order of the price list. Raises NoSuchItem.
    """
    known = {item.code: item for item in items}
    wanted: dict[str, Fraction] = {}
    for line in lines:
        if line.code not in known:
            raise NoSuchItem(field="items", code=line.code)
        wanted[line.code] = wanted.get(line.code, Fraction(0)) + line.quantity
    return PricedList(tuple(price(item, wanted[item.code]) for item in items if item.code in wanted))


def check(items: Sequence[PriceItem]) -> None:
    """Raises BadPriceList with everything wrong with a price list; `field` of a reason is ``items``."""
    reasons: list[Reason] = []
    if not items:
        reasons.append(Reason("price.none", _("价目表是空的。"), _("请至少填写一项。"), field="items"))
    if len(items) > MOST_ITEMS:
        reasons.append(Reason("price.many", _("价目表超过 %(most)s 项。"), field="items", params={"most": MOST_ITEMS}))
    codes = [item.code for item in items]
    reasons += [
        _fault("price.code_twice", _("“%(name)s”的编码与另一项相同。"), item)
        for item in items
        if codes.count(item.code) > 1
    ]
    for item in items:
        reasons += _item_faults(item)
    if reasons:
        raise BadPriceList(reasons)


def _fault(code: str, message: str, item: PriceItem, remedy: str = "") -> Reason:
    return Reason(code, message, remedy, field="items", params={"name": item.name or item.code or "—"})


def _item_faults(item: PriceItem) -> list[Reason]:
    reasons: list[Reason] = []
    if not item.code or len(item.code) > 40 or not item.name.strip() or len(item.name) > 80 or len(item.name_en) > 120:
        reasons.append(_fault("price.name", _("“%(name)s”缺少编码或名称，或名称过长。"), item))
    if not 1 <= len(item.tiers) <= MOST_TIERS:
        reasons.append(_fault("price.tiers", _("“%(name)s”须有 1 到 12 档价格。"), item))
    tops = [tier.up_to for tier in item.tiers]
    if tops and tops[-1] is not None:
        reasons.append(
            _fault("price.open_end", _("“%(name)s”的最后一档须不设上限。"), item, _("请把最后一档的上限留空。"))
        )
    inner = [top for top in tops[:-1] if top is not None]
    if len(inner) != len(tops[:-1]) or inner != sorted(set(inner)) or any(top <= 0 for top in inner):
        reasons.append(_fault("price.order", _("“%(name)s”各档上限须由小到大，且大于零。"), item))
    if any(not 0 <= tier.price <= MAX_FEN or (tier.price / 100 * 10**PLACES).denominator != 1 for tier in item.tiers):
        reasons.append(
            _fault("price.amount", _("“%(name)s”的单价须不小于零，最多六位小数。"), item, _("请改用更大的计价单位。"))
        )
    if item.free < 0 or item.minimum.fen < 0:
        reasons.append(_fault("price.negative", _("“%(name)s”的免费额度和最低收费不能为负数。"), item))
    return reasons
