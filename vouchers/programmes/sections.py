"""Every section of the programme editor, in the order in which a programme is written. Pure."""

from __future__ import annotations

from typing import Final

from vouchers.programmes.outline import Part
from vouchers.programmes.outline_life import LIFE
from vouchers.programmes.outline_money import MONEY
from vouchers.programmes.outline_rules import RULES

__all__ = ["PARTS", "part", "part_of"]

PARTS: Final[tuple[Part, ...]] = (*RULES, *MONEY, *LIFE)


def part(name: str) -> Part | None:
    """Return the section called `name`."""
    return next((found for found in PARTS if found.name == name), None)


def part_of(path: str) -> Part:
    """Return the section where the value at the JSON `path` is edited; the first for what belongs to none."""
    key = path.partition(".")[0].partition("[")[0]
    return next((found for found in PARTS if key in found.keys), PARTS[0])
