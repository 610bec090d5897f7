"""Gather what charges are priced for: the thing, its kind and the price of its unit, so that like is compared with like."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Final

from portal.controls.money import Alike
from scheduler.bookings.models import Booking
from scheduler.jobs.models import Job
from vouchers.charges.prices import NoSuchItem, PriceUnit, from_json, price_all
from vouchers.offers.models import Order
from vouchers.offers.queries import lines_of

__all__ = ["Market", "Priced", "family", "market"]

UNLIKE: Final = frozenset({PriceUnit.ITEM, PriceUnit.PROJECT})
"""Units whose size is agreed from case to case: their prices compare nothing."""
PROCESSOR: Final = "CPU"
"""Partitions without cards are alike."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One price a charge was made of: of which thing (``booking:12``), fen a unit, and what makes others comparable.

    `kind` and `unit` are codes with their register (``category:analytical``, ``price_unit:hour``); `model` is the family.
    """

    thing: str
    kind: str
    model: str
    unit: str
    price: Fraction

    @property
    def likeness(self) -> tuple[str, str, str]:
        return self.kind, self.model, self.unit


@dataclass(slots=True)
class Market:
    """The prices of every charge, by charge; and each thing's latest price, by what makes things comparable."""

    of: dict[int, list[Priced]] = field(default_factory=lambda: defaultdict(list))
    latest: dict[tuple[str, str, str], dict[str, Fraction]] = field(default_factory=lambda: defaultdict(dict))

    def alike(self, one: Priced) -> Alike:
        """Return the prices of other things of the same kind, model family and unit; never the thing's own."""
        others = self.latest.get(one.likeness, {})
        prices = tuple(price for thing, price in others.items() if thing != one.thing)
        return Alike(one.kind, one.model, one.unit, prices)


def family(model: str) -> str:
    """Return the family of a model: its letters and digits to the first number, as ``JEM2100`` of ``JEM-2100F``.

    Empty for a model that is not stated: what is not known is compared with nothing.
    """
    told = "".join(character for character in unicodedata.normalize("NFKC", model).upper() if character.isalnum())
    found = re.match(r"\D*\d+", told)
    return found.group() if found else told


def market(*, since: datetime) -> Market:
    """Read every price charged since, the earliest first. Three queries, whatever the number of charges."""
    found = Market()
    for charge_id, one in (*_instruments(since), *_partitions(since), *_offers(since)):
        found.of[charge_id].append(one)
        found.latest[one.likeness][one.thing] = one.price
    return found


def _instruments(since: datetime) -> Iterator[tuple[int, Priced]]:
    rows = Booking.objects.filter(charge__created_at__gte=since).order_by("charge_id")
    for charge, quote, resource, category, model in rows.values_list(
        "charge_id", "charge__quote", "resource_id", "resource__instrument__category", "resource__instrument__model"
    ):
        if category and (told := family(model)):
            unit, price = f"price_unit:{quote['unit']}", Fraction(quote["unit_price_fen"])
            yield charge, Priced(f"booking:{resource}", f"category:{category}", told, unit, price)


def _partitions(since: datetime) -> Iterator[tuple[int, Priced]]:
    rows = Job.objects.filter(charge__created_at__gte=since).order_by("charge_id")
    for charge, quote, partition, card in rows.values_list(
        "charge_id", "charge__quote", "partition_id", "partition__card_type"
    ):
        unit, price = f"price_unit:{quote['unit']}", Fraction(quote["unit_price_fen"])
        yield charge, Priced(f"job:{partition}", "service:compute", card.upper() or PROCESSOR, unit, price)


def _offers(since: datetime) -> Iterator[tuple[int, Priced]]:
    """Yield the unit prices of orders: of each item the tier reached, without minimum charge and free quota."""
    rows = Order.objects.filter(charge__created_at__gte=since).order_by("charge_id")
    for charge, offer, kind, items, wanted in rows.values_list(
        "charge_id", "offer_id", "offer__kind", "price_list__items", "wanted"
    ):
        try:
            priced = price_all([from_json(item) for item in items], lines_of(wanted))
        except NoSuchItem:
            continue
        for line in priced.lines:
            if line.parts and line.item.unit not in UNLIKE:
                unit, price = f"price_unit:{line.item.unit.value}", max(part.price for part in line.parts)
                yield charge, Priced(f"order:{offer}/{line.item.code}", f"service:{kind}", "", unit, price)
