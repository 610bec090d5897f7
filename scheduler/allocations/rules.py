"""What a grant of computing allows, what is used of it, and why a job would exceed it. Pure.

A job counts in the period in which it was submitted, whole: a grant is asked at submission, so what it answered then stays
true. Until a job has ended, all it may still use counts: cards for the whole time limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from portal.kernel.errors import Conflict, Invalid, Reason, noop
from scheduler.jobs import arrays

__all__ = [
    "MOST_CARDS",
    "MOST_HOURS",
    "AllocationOverlap",
    "Amounts",
    "BadAllocation",
    "Demand",
    "OpenJob",
    "Standing",
    "demand",
    "hours_text",
    "refusals",
    "standing",
]

_ = noop

MOST_HOURS = 100_000_000
MOST_CARDS = 100_000


class BadAllocation(Invalid):
    code = "allocation.bad"
    message = _("请至少填写卡时或同时用卡数中的一项：卡时为 0 到 1 亿的整数，同时用卡数为 0 到 10 万的整数。")


class AllocationOverlap(Conflict):
    code = "allocation.overlap"
    message = _("该单位在这一范围、这段时间内已有配额。请修改原配额，或换一段不重叠的时间。")


@dataclass(frozen=True, slots=True)
class Amounts:
    """What is granted: `card_s` card-seconds in the period, `cards` at once; None sets no bound, not both."""

    card_s: int | None
    cards: int | None

    def check(self) -> None:
        """Raises BadAllocation."""
        if self.card_s is None and self.cards is None:
            raise BadAllocation(field="card_hours")
        if self.card_s is not None and not 0 <= self.card_s <= MOST_HOURS * 3600:
            raise BadAllocation(field="card_hours")
        if self.cards is not None and not 0 <= self.cards <= MOST_CARDS:
            raise BadAllocation(field="cards")


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that has not ended. `counts_hours`: it was submitted in the period of the grant in question."""

    cards: int
    time_limit_s: int
    array: str
    is_running: bool
    counts_hours: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """What a job may use at most: card-seconds, and cards at once."""

    card_s: int
    cards: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an enterprise stands against a grant.

    `used_s` are card-seconds that ran in jobs that have ended, `held_s` what open jobs may use at most; `running` and
    `waiting` the cards of open jobs now.
    """

    name: str
    amounts: Amounts
    used_s: int = 0
    held_s: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def left_s(self) -> int | None:
        """Card-seconds a further job may ask for; None without a bound, never less than 0."""
        return None if self.amounts.card_s is None else max(0, self.amounts.card_s - self.used_s - self.held_s)

    @property
    def cards_left(self) -> int | None:
        return None if self.amounts.cards is None else max(0, self.amounts.cards - self.running - self.waiting)


def demand(*, cards: int, time_limit_s: int, array: str = "") -> Demand:
    """Return what a job may use at most."""
    count = max(1, len(arrays.tasks(array)))
    return Demand(card_s=cards * time_limit_s * count, cards=cards * arrays.at_once(array))


def standing(name: str, amounts: Amounts, *, used_s: int, jobs: Iterable[OpenJob]) -> Standing:
    """Add the open jobs to what has been used."""
    found = Standing(name, amounts, used_s=used_s)
    for job in jobs:
        most = demand(cards=job.cards, time_limit_s=job.time_limit_s, array=job.array)
        found = replace(
            found,
            held_s=found.held_s + (most.card_s if job.counts_hours else 0),
            running=found.running + (most.cards if job.is_running else 0),
            waiting=found.waiting + (0 if job.is_running else most.cards),
        )
    return found


def refusals(standings: Sequence[Standing], asked: Demand) -> list[Reason]:
    """Return every grant that `asked` would exceed. What needs no card exceeds none."""
    reasons = []
    for one in standings if asked.cards else ():
        if one.left_s is not None and asked.card_s > one.left_s:
            reasons.append(
                Reason(
                    "allocation.card_hours",
                    _("卡时配额“%(name)s”不足：本作业最多需要 %(asked)s 卡时，还剩 %(left)s 卡时（共 %(granted)s）。"),
                    _("请缩短时限或减少加速卡，等已提交的作业结束后再试，或向配额的核给部门申请调整。"),
                    field="time_limit_min",
                    params={
                        "name": one.name,
                        "asked": hours_text(asked.card_s, up=True),
                        "left": hours_text(one.left_s),
                        "granted": hours_text(one.amounts.card_s or 0),
                    },
                )
            )
        if one.cards_left is not None and asked.cards > one.cards_left:
            reasons.append(
                Reason(
                    "allocation.cards",
                    _(
                        "同时用卡配额“%(name)s”不足：本作业要用 %(asked)s 卡，还剩 %(left)s 卡（共 %(granted)s，未结束的作业都计入）。"
                    ),
                    _("请减少加速卡或数组的并行数，等已提交的作业结束后再试，或向配额的核给部门申请调整。"),
                    field="cards",
                    params={
                        "name": one.name,
                        "asked": asked.cards,
                        "left": one.cards_left,
                        "granted": one.amounts.cards,
                    },
                )
            )
    return reasons


def hours_text(seconds: int, *, up: bool = False) -> str:
    """Write card-seconds as card-hours with at most two places, rounded down, or `up`."""
    places = Decimal("0.01")
    hours = (Decimal(seconds) / 3600).quantize(places, rounding=ROUND_UP if up else ROUND_DOWN)
    return format(hours.normalize() if hours % 1 else hours.to_integral_value(), "f")
