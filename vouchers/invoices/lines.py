"""What a charge's document lists: quantity × unit price out of the measured facts, adding up to what was taken. Pure.

A line carries exact numbers as text: `quantity` a decimal or a fraction such as ``1/3``, `unit_price_yuan` yuan a unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import round_half_up
from vouchers.charges import prices

__all__ = ["DocumentLine", "What", "correcting_line", "lines_of", "number_text"]


class What(StrEnum):
    """What a line is for; pages and papers have words for it."""

    USE = "use"
    """The service itself."""
    ITEM = "item"
    """One item of a price list; its name is the provider's."""
    SURCHARGE = "surcharge"
    FEE = "fee"
    """A fee for what was cancelled late."""
    WAIVED = "waived"
    """Use above the agreed price, which is never charged: negative."""
    MINIMUM = "minimum"
    """What a minimum charge adds."""
    REFUND = "refund"
    WRITTEN_OFF = "written_off"
    """What of the own share is not asked for any more: negative."""


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One line, in fen. `name` is empty where `what` says it all."""

    what: What
    unit: str
    quantity: str
    unit_price_yuan: str
    amount_fen: int
    name: str = ""
    name_en: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what.value,
            "name": self.name,
            "name_en": self.name_en,
            "unit": self.unit,
            "quantity": self.quantity,
            "unit_price_yuan": self.unit_price_yuan,
            "amount_fen": self.amount_fen,
        }


ONE: Final = "1"


def number_text(value: Fraction) -> str:
    """Return a number exactly: as a decimal where it has an end of at most nine places, else as a fraction."""
    scaled = value * 10**9
    return prices.text(value) if scaled.denominator == 1 else f"{value.numerator}/{value.denominator}"


def _single(what: What, fen: int, *, unit: str = "") -> DocumentLine:
    return DocumentLine(what, unit, ONE, prices.unit_price_text(Fraction(abs(fen))), fen)


def _items(priced: Sequence[Mapping[str, Any]]) -> list[DocumentLine]:
    """Return a line for each part of each item: tiers have prices of their own. What a minimum adds is a line beside it.

    An item's amount is rounded once; what rounding its parts makes of it stays with the last of them.
    """
    found: list[DocumentLine] = []
    for item in priced:
        names = {"name": item["name"], "name_en": item.get("name_en", "")}
        parts = [(Fraction(part["quantity"]), Fraction(part["price_yuan"]) * 100) for part in item["parts"]]
        amounts = [round_half_up(quantity * price) for quantity, price in parts]
        left = int(item["amount_fen"]) - sum(amounts)
        if item.get("minimum") or not amounts:
            if left:
                found.append(DocumentLine(What.MINIMUM, "", ONE, _yuan(left), left, **names))
        else:
            amounts[-1] += left
        found += [
            DocumentLine(What.ITEM, item["unit"], number_text(quantity), prices.unit_price_text(price), amount, **names)
            for (quantity, price), amount in zip(parts, amounts, strict=True)
        ]
    return found


def _yuan(fen: int) -> str:
    sign, size = ("-", -fen) if fen < 0 else ("", fen)
    return sign + prices.unit_price_text(Fraction(size))


def _used(told: Mapping[str, Any]) -> list[DocumentLine]:
    surcharge = int(told.get("surcharge_fen") or 0)
    amount = int(told["amount_fen"]) - surcharge
    line = DocumentLine(
        What.USE,
        str(told["unit"]),
        number_text(Fraction(told["quantity"])),
        prices.unit_price_text(Fraction(int(told["unit_price_fen"]))),
        amount,
    )
    return [line, *([_single(What.SURCHARGE, surcharge)] if surcharge else [])]


def lines_of(*, quote: Mapping[str, Any], measured: Mapping[str, Any], actual_fen: int) -> list[DocumentLine]:
    """Return the lines of a captured charge; their amounts add up to `actual_fen`, what was taken.

    What was measured above the agreed price shows as used and as waived, so that the price stays whole.
    """
    if priced := measured.get("priced"):
        found = _items(priced)
    elif "sold_s" in measured:
        found = [_single(What.FEE, int(measured["amount_fen"]))]
    elif {"unit", "unit_price_fen", "quantity", "amount_fen"} <= measured.keys():
        found = _used(measured)
    else:
        found = [_single(What.USE, actual_fen, unit=str(quote.get("unit", "")))]
    rest = actual_fen - sum(line.amount_fen for line in found)
    if rest:
        found.append(DocumentLine(What.WAIVED if rest < 0 else What.MINIMUM, "", ONE, _yuan(rest), rest))
    return found


def correcting_line(what: What, fen: int) -> DocumentLine:
    """Return the line of a credit note or write-off over `fen`, which is positive: the amount is taken off."""
    return DocumentLine(what, "", ONE, _yuan(-fen), -fen)
