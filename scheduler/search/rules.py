"""What may be asked for, and how words become comparable. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from scheduler.resources.words import fold

__all__ = ["MAX_WORDS", "BadRequirement", "Order", "Requirement", "words_of"]

_ = noop

MAX_WORDS = 8
"""More words than anybody types; the rest is not looked for."""


class Order(StrEnum):
    """By what results are sorted; ties by price, then by number."""

    SOONEST = "soonest"
    CHEAPEST = "cheapest"


class BadRequirement(Invalid):
    code = "search.window"
    message = _("结束时间必须晚于开始时间，且时间范围须能容下所需时长。")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What somebody needs. Empty tuples and None ask for nothing.

    `duration_s` whole seconds, within ``[since, until)`` (aware); `max_hourly` is the highest price of one hour.
    `with_operator` asks for a member of the lab's staff who can run the instrument, free for all of it. Raises
    BadRequirement.
    """

    duration_s: int
    since: datetime
    until: datetime
    words: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    max_hourly: Money | None = None
    with_operator: bool = False
    order: Order = Order.SOONEST

    def __post_init__(self) -> None:
        if self.duration_s <= 0 or (self.until - self.since).total_seconds() < self.duration_s:
            raise BadRequirement(field="until")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words a person typed, folded, each once, at most `MAX_WORDS`."""
    return tuple(dict.fromkeys(fold(text).split()))[:MAX_WORDS]
