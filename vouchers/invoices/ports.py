"""What documents ask of those who know what was delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["Delivered", "Describe"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a charge was for, in words of its provider, and when; times are aware."""

    title: str
    title_en: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class Describe(Protocol):
    """Say what subjects such as ``booking:B2611-000042`` delivered; what it does not know is left out."""

    def __call__(self, subjects: Sequence[str]) -> Mapping[str, Delivered]: ...
