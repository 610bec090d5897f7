"""The figures vouchers are judged by. Pure: sums in, exact ratios out.

A ratio is one of sums, never a mean of ratios; None where its base is nothing. Source of the check values: published
volumes of Zhejiang's innovation vouchers (to 2017-03), Changxing and Jinyun counties.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

__all__ = ["Volumes", "concentration", "hhi", "median_days", "ratio"]


def ratio(part: int, whole: int) -> Fraction | None:
    """Return `part` ÷ `whole`, or None of nothing."""
    return Fraction(part, whole) if whole else None


@dataclass(frozen=True, slots=True)
class Volumes:
    """What was issued, used, redeemed (captured and owed to providers), paid and returned, in fen; and what was bought.

    `used` counts what was ever set aside or captured; `spent` is the whole price of what vouchers paid a part of.
    """

    issued: int = 0
    used: int = 0
    redeemed: int = 0
    paid: int = 0
    returned: int = 0
    spent: int = 0

    @property
    def use_rate(self) -> Fraction | None:
        """F1: used ÷ issued."""
        return ratio(self.used, self.issued)

    @property
    def redemption_rate(self) -> Fraction | None:
        """F2: redeemed ÷ issued."""
        return ratio(self.redeemed, self.issued)

    @property
    def redemption_of_used(self) -> Fraction | None:
        """F3: redeemed ÷ used."""
        return ratio(self.redeemed, self.used)

    @property
    def leverage(self) -> Fraction | None:
        """F4: eligible spending ÷ public money."""
        return ratio(self.spent, self.redeemed)

    @property
    def return_rate(self) -> Fraction | None:
        """F7: expired or taken back ÷ issued."""
        return ratio(self.returned, self.issued)


def concentration(amounts: Iterable[int], *, top: int = 10) -> Fraction | None:
    """F5: the share of the `top` largest receivers in the whole."""
    ordered = sorted(amounts, reverse=True)
    return ratio(sum(ordered[:top]), sum(ordered))


def hhi(amounts: Sequence[int]) -> int | None:
    """F5: the Herfindahl-Hirschman index over receivers, 0 to 10,000; a monopoly is 10,000."""
    total = sum(amounts)
    return round(sum(Fraction(amount, total) ** 2 for amount in amounts) * 10_000) if total else None


def median_days(seconds: Sequence[int]) -> Fraction | None:
    """F6: the median of durations, in days."""
    return Fraction(median(Fraction(one) for one in seconds), 86_400) if seconds else None
