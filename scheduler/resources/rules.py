"""Kinds, publishing states, units and prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, noop
from portal.kernel.money import Money

__all__ = [
    "TRANSITIONS",
    "Category",
    "Counting",
    "NoRate",
    "Price",
    "PublishAction",
    "PublishState",
    "ResourceKind",
    "ServiceClass",
    "Unit",
    "price",
]

_ = noop


class ResourceKind(StrEnum):
    """What kind of thing is booked; the claim table does not care.

    Source: service units and instruments of 国发〔2014〕70号; pilot-scale lines and concept verification of the
    Zhejiang policy of 2025, items 10 and 11. An operator is a person whose hours are booked with an instrument.
    A beamline is a station of a large facility, a device what can be mounted there; both are set up with their facility.
    """

    INSTRUMENT = "instrument"
    SERVICE_UNIT = "service_unit"
    BENCH = "bench"
    OPERATOR = "operator"
    ROOM = "room"
    PILOT_LINE = "pilot_line"
    CONCEPT_SERVICE = "concept_service"
    BEAMLINE = "beamline"
    DEVICE = "device"


class Counting(StrEnum):
    """How a capacity of N is shared.

    UNITS: N alike, each with a number, and a booking has one of them from its start to its end. FUNGIBLE: N places
    that are only counted, and a booking may take several. Numbering places refuses 1.4 to 4 % more requests at high
    load than counting them, because a span must then fit into one unit.
    """

    UNITS = "units"
    FUNGIBLE = "fungible"


class Category(StrEnum):
    """Instrument classes of the national sharing frame (国发〔2014〕70号, 15 classes)."""

    ANALYTICAL = "analytical"
    PHYSICAL = "physical"
    METROLOGY = "metrology"
    ELECTRONIC = "electronic"
    MARINE = "marine"
    EARTH = "earth"
    ATMOSPHERE = "atmosphere"
    SPECIAL = "special"
    LASER = "laser"
    PROCESS = "process"
    COMPUTER = "computer"
    ASTRONOMY = "astronomy"
    MEDICAL = "medical"
    NUCLEAR = "nuclear"
    OTHER = "other"


class ServiceClass(StrEnum):
    """What a charge buys, in the words a programme's `subject` uses."""

    INSTRUMENT_USE = "instrument_use"
    COMPUTE = "compute"
    RD_SERVICE = "rd_service"


class Unit(StrEnum):
    """What one unit of a rate is."""

    HOUR = "hour"
    CARD_HOUR = "card_hour"
    CORE_HOUR = "core_hour"
    SAMPLE = "sample"
    TEST = "test"
    DAY = "day"
    VALUE_DAY = "value_day"
    """A share of the original value for each day: how portable instruments are lent."""


TIMED: Final = frozenset({Unit.HOUR, Unit.CARD_HOUR, Unit.CORE_HOUR})
"""Units that are counted by the clock."""


class PublishState(StrEnum):
    DRAFT = "draft"
    PROPOSED = "proposed"
    RETURNED = "returned"
    PUBLISHED = "published"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class PublishAction(StrEnum):
    """ADMIT and RETURN are the reviewing officer's, all others the lab's. RESTORE makes a draft of what was withdrawn."""

    PROPOSE = "propose"
    RECALL = "recall"
    ADMIT = "admit"
    RETURN = "return"
    PUBLISH = "publish"
    SUSPEND = "suspend"
    WITHDRAW = "withdraw"
    RESTORE = "restore"


TRANSITIONS: Final[Mapping[tuple[PublishState, PublishAction], PublishState]] = MappingProxyType(
    {
        (PublishState.DRAFT, PublishAction.PROPOSE): PublishState.PROPOSED,
        (PublishState.RETURNED, PublishAction.PROPOSE): PublishState.PROPOSED,
        (PublishState.PROPOSED, PublishAction.RECALL): PublishState.DRAFT,
        (PublishState.PROPOSED, PublishAction.ADMIT): PublishState.PUBLISHED,
        (PublishState.PROPOSED, PublishAction.RETURN): PublishState.RETURNED,
        (PublishState.DRAFT, PublishAction.PUBLISH): PublishState.PUBLISHED,
        (PublishState.SUSPENDED, PublishAction.PUBLISH): PublishState.PUBLISHED,
        (PublishState.PUBLISHED, PublishAction.SUSPEND): PublishState.SUSPENDED,
        (PublishState.PUBLISHED, PublishAction.WITHDRAW): PublishState.WITHDRAWN,
        (PublishState.SUSPENDED, PublishAction.WITHDRAW): PublishState.WITHDRAWN,
        (PublishState.WITHDRAWN, PublishAction.RESTORE): PublishState.DRAFT,
    }
)


class NoRate(Conflict):
    code = "rate.missing"
    message = _("该资源在所选时间没有生效的价格，暂不能使用。请联系提供单位公布价格。")


@dataclass(frozen=True, slots=True)
class Price:
    """A price and how it came about: `amount` = `unit_price` × `quantity`, rounded half up once."""

    amount: Money
    unit: Unit
    unit_price: Money
    quantity: Fraction
    """In units: hours, card-hours or core-hours."""

    def as_json(self) -> dict[str, object]:
        return {
            "amount_fen": self.amount.fen,
            "unit": self.unit.value,
            "unit_price_fen": self.unit_price.fen,
            "quantity": f"{self.quantity.numerator}/{self.quantity.denominator}",
        }


def price(*, unit: Unit, unit_price: Money, duration_s: int, count: int = 1) -> Price:
    """Price `duration_s` seconds on `count` cards or cores (1 for plain hours), billed to the second.

    Source: published tariffs bill card-hours to the second (e.g. HKUST-GZ phase III, in force 2025-09-01).
    """
    if duration_s < 0 or count < 0:
        raise ValueError("durations and counts are not negative")
    if unit not in TIMED:
        raise ValueError(f"{unit.value} is not counted by the clock")
    units = Fraction(duration_s, 3600) * (1 if unit is Unit.HOUR else count)
    return Price(amount=unit_price.times(units), unit=unit, unit_price=unit_price, quantity=units)
