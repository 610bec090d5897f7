"""Which instruments must be published: from an original value on that each region sets. The figures are data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from portal.kernel.money import Money

__all__ = ["Threshold", "Thresholds", "read", "thresholds"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which original value on an instrument must be published, and the rule that says so."""

    value: Money
    source: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The nation's threshold, and those of regions by city.

    Source: 国发〔2014〕70号: large research instruments of 500,000 yuan and more; Zhejiang and Gansu: 300,000.
    """

    nation: Threshold
    cities: Mapping[str, Threshold]

    def of(self, city: str) -> Threshold:
        """Return the threshold where an instrument stands; ``杭州`` and ``杭州市`` are one city."""
        name = city.strip()
        return self.cities.get(name.removesuffix("市"), self.nation)

    def must_be_listed(self, *, value: Money, city: str) -> bool:
        """Say whether an instrument of that original value must be published; the threshold itself is included."""
        return value.fen >= self.of(city).value.fen

    @property
    def lowest(self) -> Money:
        return Money(min(threshold.value.fen for threshold in (self.nation, *self.cities.values())))


def read(data: Mapping[str, Any]) -> Thresholds:
    """Read thresholds from a document such as ``thresholds.json``."""
    regions: Iterable[Mapping[str, Any]] = data["regions"]
    return Thresholds(
        nation=Threshold(Money.from_yuan(data["nation"]["yuan"]), data["nation"]["source"]),
        cities={
            city: Threshold(Money.from_yuan(region["yuan"]), region["source"])
            for region in regions
            for city in region["cities"]
        },
    )


@cache
def thresholds() -> Thresholds:
    """Return the thresholds shipped with the portal."""
    return read(json.loads((Path(__file__).parent / "thresholds.json").read_text(encoding="utf-8")))
