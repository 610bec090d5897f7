"""Money: whole fen of CNY, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from portal.kernel.errors import Invalid, noop

__all__ = ["MAX_FEN", "BadAmount", "Money", "round_half_up"]

_ = noop

MAX_FEN = 10**15
"""Largest amount one transfer may carry: 10 trillion yuan, far above any budget, far below bigint."""


class BadAmount(Invalid):
    code = "invalid.amount"
    message = _("金额“%(value)s”无效：请填写人民币元，最多两位小数。")


def round_half_up(value: Fraction) -> int:
    """Round a non-negative rational to the nearest whole number, halves up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in fen. May be negative only as the difference of two amounts."""

    fen: int

    def __post_init__(self) -> None:
        if type(self.fen) is not int:
            raise TypeError(f"fen must be int, not {type(self.fen).__name__}")

    @classmethod
    def from_yuan(cls, value: str | int | Decimal) -> Money:
        """Read yuan with at most two decimals. Raises BadAmount; floats are a TypeError by design."""
        if isinstance(value, float | bool):
            raise TypeError("yuan must be text, int or Decimal")
        try:
            yuan = Decimal(str(value).strip().replace(",", ""))
        except InvalidOperation as error:
            raise BadAmount(value=value) from error
        if not yuan.is_finite() or yuan * 100 != (yuan * 100).to_integral_value() or abs(yuan) * 100 > MAX_FEN:
            raise BadAmount(value=value)
        return cls(int(yuan * 100))

    def __add__(self, other: Money) -> Money:
        return Money(self.fen + other.fen)

    def __sub__(self, other: Money) -> Money:
        return Money(self.fen - other.fen)

    def __bool__(self) -> bool:
        return self.fen != 0

    def share(self, share: Fraction) -> Money:
        """Return `share` of the amount, rounded *down*: public money never rounds up."""
        return Money((self.fen * share.numerator) // share.denominator)

    def times(self, quantity: Fraction) -> Money:
        """Return the amount for `quantity` units, rounded half up: the one rounding of a price."""
        return Money(round_half_up(self.fen * quantity))

    def yuan(self) -> str:
        """Return yuan with two decimals and no grouping, e.g. ``1234.50``."""
        sign, fen = ("-", -self.fen) if self.fen < 0 else ("", self.fen)
        return f"{sign}{fen // 100}.{fen % 100:02d}"

    def __str__(self) -> str:
        """Return e.g. ``¥1,234.50``, the same in every language."""
        sign, fen = ("-", -self.fen) if self.fen < 0 else ("", self.fen)
        return f"{sign}¥{fen // 100:,}.{fen % 100:02d}"
