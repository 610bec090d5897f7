"""What amounts mean in each unit: how they are shown and read, and how metered use becomes whole steps. Pure.

Amounts are whole smallest steps everywhere: fen, milli-card-hours, minutes, tokens, records, megabytes. Crossing from
one unit to another is a price, never a transfer.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from portal.kernel.errors import Invalid, noop
from portal.kernel.money import MAX_FEN, Money
from vouchers.ledger.chart import UNITS, Unit

__all__ = ["BadQuantity", "mch_between", "mch_total", "show", "steps"]

_ = noop

SECONDS_AN_HOUR: Final = 3600
SUFFIXES: Final = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


class BadQuantity(Invalid):
    """`value` is no number of the unit, or has more decimals than it."""

    code = "invalid.quantity"
    message = _("数量“%(value)s”无效：请填写数字，小数位数不得超过该计量单位允许的位数。")


def show(unit: str, amount: int) -> str:
    """Return `amount` smallest steps for reading, exact, the same in every language; the unit's name is not included.

    CNY ``¥1,234.50``; MCH card-hours without needless zeros, ``12.082``; IMIN hours and minutes, ``2:37``; TOK with k, M
    or G where at most three decimals say it exactly, ``1.5M``; REC and MB as grouped whole numbers.
    """
    sign, size = ("-", -amount) if amount < 0 else ("", amount)
    match Unit(unit):
        case Unit.CNY:
            return str(Money(amount))
        case Unit.MCH:
            return sign + _decimal(size, 1000)
        case Unit.IMIN:
            return f"{sign}{size // 60:,}:{size % 60:02d}"
        case Unit.TOK:
            for scale, suffix in SUFFIXES:
                if size >= scale and size * 1000 % scale == 0:
                    return f"{sign}{_decimal(size * 1000 // scale, 1000)}{suffix}"
            return f"{sign}{size:,}"
        case _:
            return f"{sign}{size:,}"


def _decimal(size: int, scale: int) -> str:
    whole, rest = divmod(size, scale)
    digits = f"{rest:03d}".rstrip("0")
    return f"{whole:,}.{digits}" if digits else f"{whole:,}"


def steps(unit: str, value: str | int | Decimal) -> int:
    """Read a quantity in the unit's usual measure (yuan, card-hours, hours, tokens …) as whole smallest steps.

    Raises BadQuantity for what is not a non-negative number, is too large, or has more decimals than the unit has steps; floats
    are a TypeError by design.
    """
    if isinstance(value, float | bool):
        raise TypeError("a quantity must be text, int or Decimal")
    try:
        amount = Decimal(str(value).strip().replace(",", ""))
    except InvalidOperation as error:
        raise BadQuantity(value=value) from error
    if not amount.is_finite() or not 0 <= amount <= MAX_FEN:
        raise BadQuantity(value=value)
    size = amount * UNITS[Unit(unit)].scale
    if size != size.to_integral_value() or size > MAX_FEN:
        raise BadQuantity(value=value)
    return int(size)


def mch_total(card_seconds: int) -> int:
    """Return the milli-card-hours of so many card-seconds (cards × seconds), rounded down: 3.6 card-seconds are one."""
    return card_seconds * 1000 // SECONDS_AN_HOUR


def mch_between(before_card_seconds: int, after_card_seconds: int) -> int:
    """Return what the segment between two running totals costs, in milli-card-hours.

    Always the difference of the two rounded totals, so that the parts add up to the whole however a run is cut.
    """
    return mch_total(after_card_seconds) - mch_total(before_card_seconds)
