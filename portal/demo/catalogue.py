"""Who and what is in the demo province (``catalogue.json``). Every organisation, person and amount is fictional."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["CLUSTERS", "ENTERPRISES", "INSTRUMENTS", "LABS", "ClusterEntry", "InstrumentEntry", "OrganisationEntry"]


@dataclass(frozen=True, slots=True)
class OrganisationEntry:
    """`facts` are what a department has verified: the rule engine reads them."""

    key: str
    name: str
    name_en: str
    city: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InstrumentEntry:
    """`hours` are (first ISO weekday, last, opens, closes) in minutes, `rate` yuan an hour, `value` yuan."""

    lab: str
    name: str
    name_en: str
    category: str
    model: str
    maker: str
    rate: int
    value: int
    functions: str
    functions_en: str
    hours: tuple[int, int, int, int]
    buffers_min: tuple[int, int]
    longest_h: int


@dataclass(frozen=True, slots=True)
class ClusterEntry:
    """`partitions`: name, label, English label, card type, most cards, CPUs a card, fen a card-hour."""

    code: str
    lab: str
    name: str
    name_en: str
    city: str
    adapter: str
    accepts_work: bool
    partitions: tuple[tuple[str, str, str, str, int, int, int], ...]


_DATA: Final = json.loads((Path(__file__).parent / "catalogue.json").read_text(encoding="utf-8"))
LABS: Final = tuple(OrganisationEntry(**row) for row in _DATA["labs"])
ENTERPRISES: Final = tuple(OrganisationEntry(**row) for row in _DATA["enterprises"])
INSTRUMENTS: Final = tuple(InstrumentEntry(**row) for row in _DATA["instruments"])
CLUSTERS: Final = tuple(ClusterEntry(**row) for row in _DATA["clusters"])
