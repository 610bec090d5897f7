"""What a control found: a sentence, and the facts it compared, side by side. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vouchers.flags.rules import Pattern

__all__ = ["Finding", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: what (a translatable Chinese label), what was declared or expected, and what was found.

    Values are text ready to show: money as ``¥1,234.50``, days as ISO dates, times with their zone.
    """

    label: str
    expected: str
    found: str
    of: str = ""
    """Which record the label speaks of, such as a contract's number; shown after it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One pattern noticed. `said` is a translatable Chinese sentence filled from `params`."""

    pattern: Pattern
    said: str
    params: dict[str, Any]
    rows: tuple[Row, ...] = ()

    def as_facts(self) -> dict[str, Any]:
        """Return it as a flag stores it: plain JSON."""
        rows = [[row.label, row.of, row.expected, row.found] for row in self.rows]
        return {"said": self.said, "params": self.params, "rows": rows}
