"""Tax that is contained in a price: rates as data, net and tax that add up to the fen. Pure.

Prices of the portal include tax (价税合计). Source of the rates: 财税〔2016〕36号 (6 % modern services), 财政部 税务总局
海关总署公告2019年第39号 (13 % leasing of movables and goods), 增值税 small-scale levy rates 3 % and, until 2027-12-31,
1 % (财政部 税务总局公告2023年第19号), exempt technology development and transfer (36号文附件3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from portal.kernel.money import round_half_up

__all__ = ["SHARES", "TaxRate", "Taxed", "split_tax", "tax_between", "taxed_lines"]


class TaxRate(StrEnum):
    """The rate of VAT a provider states for its sales."""

    SERVICES = "6"
    GOODS = "13"
    SMALL = "3"
    SMALL_REDUCED = "1"
    EXEMPT = "exempt"


SHARES: Final = MappingProxyType(
    {
        TaxRate.SERVICES: Fraction(6, 100),
        TaxRate.GOODS: Fraction(13, 100),
        TaxRate.SMALL: Fraction(3, 100),
        TaxRate.SMALL_REDUCED: Fraction(1, 100),
        TaxRate.EXEMPT: Fraction(0),
    }
)


@dataclass(frozen=True, slots=True)
class Taxed:
    """`gross` = `net` + `tax`, always, in fen."""

    gross: int
    net: int
    tax: int


def split_tax(gross: int, rate: TaxRate) -> Taxed:
    """Return what of an amount in fen, tax included, is tax: rounded half up once; the net is the rest.

    A negative amount (a deduction) splits as its positive does.
    """
    share = SHARES[rate]
    size = round_half_up(Fraction(abs(gross)) * share / (1 + share))
    tax = size if gross >= 0 else -size
    return Taxed(gross, gross - tax, tax)


def taxed_lines(amounts: Sequence[int], rate: TaxRate) -> list[Taxed]:
    """Return each line of a document with its tax; tax is rounded line by line, totals are the sums of the lines."""
    return [split_tax(amount, rate) for amount in amounts]


def tax_between(before: int, after: int, *, gross: int, tax: int) -> int:
    """Return the tax in fen of the part of `gross` between two sums, 0 ≤ before ≤ after ≤ gross.

    Cut cumulatively, so that the parts of a whole carry exactly its tax, however it is cut.
    """
    if not 0 <= before <= after <= gross:
        raise ValueError("parts lie within the whole")
    return after * tax // gross - before * tax // gross if gross else 0
