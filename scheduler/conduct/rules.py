"""When a use counts as missed or wasted, what violations weigh, and what follows from them. Pure.

Source of the defaults: house rules of the CAAS Institute of Plant Protection's shared instruments (void 60 min after the
start; booked time above the used by 100 % a violation; barred after more than 3), of ShanghaiTech (barred for a month).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Invalid, noop

__all__ = [
    "BY_HAND",
    "TRANSITIONS",
    "Counted",
    "Level",
    "Standing",
    "Thresholds",
    "ViolationAction",
    "ViolationKind",
    "ViolationState",
]

_ = noop

NOTE: Final = 200


class ViolationKind(StrEnum):
    """The first three are counted by the portal itself, the others by the lab's word."""

    NO_SHOW = "no_show"
    LATE_CANCEL = "late_cancel"
    OVERBOOKED = "overbooked"
    OVERSTAYED = "overstayed"
    DAMAGE = "damage"
    OTHER = "other"


K = ViolationKind

BY_HAND: Final = frozenset({K.OVERSTAYED, K.DAMAGE, K.OTHER})


class ViolationState(StrEnum):
    COUNTED = "counted"
    APPEALED = "appealed"
    UPHELD = "upheld"
    LIFTED = "lifted"


class ViolationAction(StrEnum):
    APPEAL = "appeal"
    UPHOLD = "uphold"
    LIFT = "lift"


S, A = ViolationState, ViolationAction

TRANSITIONS: Final[Mapping[tuple[ViolationState, ViolationAction], ViolationState]] = MappingProxyType(
    {
        (S.COUNTED, A.APPEAL): S.APPEALED,
        (S.COUNTED, A.LIFT): S.LIFTED,
        (S.APPEALED, A.UPHOLD): S.UPHELD,
        (S.APPEALED, A.LIFT): S.LIFTED,
    }
)


class Level(StrEnum):
    """What an organisation's points at a lab lead to."""

    GOOD = "good"
    WARNED = "warned"
    WATCHED = "watched"
    """No booking is confirmed by itself: the lab is shown the points with every request, to approve it or not."""
    SUSPENDED = "suspended"


class Void(Conflict):
    code = "booking.void"
    message = _("超过开始时间 %(minutes)s 分钟没有到场，预约已作废，不能再登记开始使用。")


class BadThresholds(Invalid):
    code = "conduct.thresholds"
    message = _(
        "请填写：宽限 5 到 1440 分钟，比例为百分之 101 到 1000，每项 0 到 100 分；提醒、审批、暂停的分数为 1 到 1000 且依次不减，期间和暂停 1 到 1000 天。"
    )


class NoteMissing(Invalid):
    code = "conduct.note"
    message = _("请写明理由（200 字以内），对方会看到。")


class NotByHand(Invalid):
    code = "conduct.kind"
    message = _("这类违约由系统自动计入，不能手工登记。")


class NoRule(Conflict):
    code = "conduct.no_rule"
    message = _("本单位还没有设定违约规则，不计违约。请先设定规则。")


def _one_each() -> Mapping[ViolationKind, int]:
    return MappingProxyType(dict.fromkeys(ViolationKind, 1))


@dataclass(frozen=True, slots=True)
class Counted:
    """A violation that counts: when it happened, how many points it weighs."""

    at: datetime
    points: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an organisation stands at a lab; `until` (exclusive) is the end of a suspension."""

    level: Level = Level.GOOD
    points: int = 0
    until: datetime | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether bookings may be confirmed without anybody of the lab looking."""
        return self.level in {Level.GOOD, Level.WARNED}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A lab's rule. A violation counts for `window_days`; points reaching a threshold lead to what it names.

    Reaching `suspend_at` suspends for `suspend_days` from the violation that did; four at one point each is the source's
    "more than 3".
    """

    grace_min: int = 60
    ratio_percent: int = 200
    """Booked time from so many per cent of the used on is wasted: 200 is exactly twice, the text's "100 % above"."""
    points: Mapping[ViolationKind, int] = field(default_factory=_one_each)
    warn_at: int = 2
    watch_at: int = 3
    suspend_at: int = 4
    window_days: int = 365
    suspend_days: int = 30

    def __post_init__(self) -> None:
        steps = (self.warn_at, self.watch_at, self.suspend_at)
        days = (self.window_days, self.suspend_days)
        if not (
            5 <= self.grace_min <= 1440
            and 101 <= self.ratio_percent <= 1000
            and all(0 <= self.weighs(kind) <= 100 for kind in ViolationKind)
            and list(steps) == sorted(steps)
            and all(1 <= step <= 1000 for step in steps)
            and all(1 <= count <= 1000 for count in days)
        ):
            raise BadThresholds(field="rule")

    def weighs(self, kind: ViolationKind) -> int:
        """Return how many points a violation of a kind weighs; 0: it is not counted."""
        return self.points.get(kind, 0)

    def void_at(self, starts_at: datetime) -> datetime:
        """Return from when on a booking nobody came to is void; that moment itself is too late."""
        return starts_at + timedelta(minutes=self.grace_min)

    def wastes(self, *, booked: timedelta, used: timedelta) -> bool:
        """Say whether too much was booked for what was used."""
        return booked * 100 >= used * self.ratio_percent

    def _sum(self, counted: Iterable[Counted], at: datetime) -> int:
        since = at - timedelta(days=self.window_days)
        return sum(one.points for one in counted if since < one.at <= at)

    def standing(self, counted: Iterable[Counted], *, at: datetime) -> Standing:
        """Return where violations lead at `at`; those after it do not count yet."""
        known = sorted(counted, key=lambda one: one.at)
        points = self._sum(known, at)
        bars = [
            one.at + timedelta(days=self.suspend_days)
            for one in known
            if one.at <= at and one.points and self._sum(known, one.at) >= self.suspend_at
        ]
        until = max(bars, default=None)
        if until is not None and at < until:
            return Standing(Level.SUSPENDED, points, until)
        if points >= self.watch_at:
            return Standing(Level.WATCHED, points)
        return Standing(Level.WARNED if points >= self.warn_at else Level.GOOD, points)
