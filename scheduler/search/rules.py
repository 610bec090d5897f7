"""What may be asked for, and how words become comparable. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from scheduler.resources.words import fold

__all__ = ["MAX_WORDS", "BadRequirement", "Dropped", "Order", "Requirement", "relaxed", "words_of"]

_ = noop

MAX_WORDS = 8
"""More words than anybody types; the rest is not looked for."""


class Order(StrEnum):
    """By what results are sorted; ties by price, then by number. What has no free time or no price comes last."""

    SOONEST = "soonest"
    CHEAPEST = "cheapest"


class BadRequirement(Invalid):
    code = "search.window"
    message = _("结束时间必须晚于开始时间，且时间范围须能容下所需时长。")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What somebody needs. Empty tuples and None ask for nothing.

    `duration_s` whole seconds, within ``[since, until)`` (aware); None finds everything that matches, even without free
    time, and looks for the shortest use of each. `max_hourly` is the highest price of one hour. `with_operator` asks for
    a member of the lab's staff who can run the instrument, free for all of it. Raises BadRequirement.
    """

    duration_s: int | None
    since: datetime
    until: datetime
    words: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    max_hourly: Money | None = None
    with_operator: bool = False
    free_only: bool = False
    """Leave out what has no free time in the window, whatever the length."""
    order: Order = Order.SOONEST

    def __post_init__(self) -> None:
        shortest = 1 if self.duration_s is None else self.duration_s
        if shortest <= 0 or (self.until - self.since).total_seconds() < shortest:
            raise BadRequirement(field="until")

    @property
    def needs_time(self) -> bool:
        """Say whether only what is free is asked for."""
        return self.duration_s is not None or self.with_operator or self.free_only


class Dropped(StrEnum):
    """What could be asked for less strictly when nothing is found."""

    WORDS = "words"
    CITIES = "cities"
    CATEGORIES = "categories"
    KINDS = "kinds"
    PRICE = "price"
    OPERATOR = "operator"
    WINDOW = "window"
    DURATION = "duration"


FACETS: Final = (Dropped.CITIES, Dropped.CATEGORIES, Dropped.KINDS)
WIDER: Final = timedelta(days=60)
"""How far a wider window reaches; the horizon of an instrument may end it sooner."""


def relaxed(wanted: Requirement) -> Mapping[Dropped, Requirement]:
    """Return the requirement with one demand less or weaker, for each demand it makes.

    A wider window ends `WIDER` after it begins; a shorter length is half, in whole half hours, at least one.
    """
    found: dict[Dropped, Requirement] = {}
    if wanted.words:
        found[Dropped.WORDS] = replace(wanted, words=())
    if wanted.cities:
        found[Dropped.CITIES] = replace(wanted, cities=())
    if wanted.categories:
        found[Dropped.CATEGORIES] = replace(wanted, categories=())
    if wanted.kinds:
        found[Dropped.KINDS] = replace(wanted, kinds=())
    if wanted.max_hourly is not None:
        found[Dropped.PRICE] = replace(wanted, max_hourly=None)
    if wanted.with_operator:
        found[Dropped.OPERATOR] = replace(wanted, with_operator=False)
    if wanted.needs_time and wanted.until < wanted.since + WIDER:
        found[Dropped.WINDOW] = replace(wanted, until=wanted.since + WIDER)
    if wanted.duration_s is not None and wanted.duration_s > HALF_HOUR_S:
        shorter = max(wanted.duration_s // 2 // HALF_HOUR_S, 1) * HALF_HOUR_S
        found[Dropped.DURATION] = replace(wanted, duration_s=shorter)
    return found


HALF_HOUR_S: Final = 1800


def words_of(text: str) -> tuple[str, ...]:
    """Return the words a person typed, folded, each once, at most `MAX_WORDS`."""
    return tuple(dict.fromkeys(fold(text).split()))[:MAX_WORDS]
