"""Whose instruments are looked at before they are published. The rule is data. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ReviewRule", "needs_review", "read", "review_rule"]


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """Kinds of provider (the registered fact `fact`) whose instruments need the platform's review."""

    fact: str
    types: frozenset[str]

    def covers(self, facts: Mapping[str, Any]) -> bool:
        """Say whether an organisation with these registered facts must have its instruments reviewed."""
        return facts.get(self.fact) in self.types


def read(data: Mapping[str, Any]) -> ReviewRule:
    """Read the rule from a document such as ``review.json``."""
    return ReviewRule(fact=data["fact"], types=frozenset(data["types"]))


@cache
def review_rule() -> ReviewRule:
    """Return the rule shipped with the portal."""
    return read(json.loads((Path(__file__).parent / "review.json").read_text(encoding="utf-8")))


def needs_review(facts: Mapping[str, Any]) -> bool:
    """Say whether the portal's own rule covers an organisation with these registered facts."""
    return review_rule().covers(facts)
