"""The four clocks of a session, and which of them counts for the charge. Pure.

Booked: what was agreed. Present: checked in and out, by the user at the bench or by the lab. Metered: what the instrument,
its interlock or its log tells. Confirmed: what the lab's staff wrote down in the end. Source: keepers confirm the hours of
machine time they are measured by (科学仪器开放共享评价 of universities: 有效机时 as recorded and confirmed); which clock
is billed is a lab's own price rule and said in its price list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.period import Period

__all__ = [
    "REPORTED",
    "WAIT",
    "BadChargeTerms",
    "BadReading",
    "NoSessionYet",
    "ReadingOutOfReach",
    "SessionClock",
    "Use",
    "best",
    "check_reading",
    "counting",
]

_ = noop


class SessionClock(StrEnum):
    """Whose measure of a use it is."""

    BOOKED = "booked"
    PRESENT = "present"
    METERED = "metered"
    CONFIRMED = "confirmed"


C = SessionClock

REPORTED: Final = frozenset({C.METERED, C.CONFIRMED})
"""Clocks told by a reading of their own; a charge by one of them waits for it."""
WAIT: Final = timedelta(days=3)
"""How long after the end of use a charge waits for the reading it is by; then the next clock counts."""
FALLBACK: Final[Mapping[SessionClock, tuple[SessionClock, ...]]] = MappingProxyType(
    {
        C.BOOKED: (C.BOOKED,),
        C.PRESENT: (C.PRESENT,),
        C.METERED: (C.METERED, C.CONFIRMED, C.PRESENT),
        C.CONFIRMED: (C.CONFIRMED, C.METERED, C.PRESENT),
    }
)
"""Which clock counts, in order, once nobody need wait any more."""
BEFORE: Final = timedelta(hours=2)
AFTER: Final = timedelta(days=2)
"""How far from the booked time a reading may lie."""


class BadReading(Invalid):
    code = "reading.bad"
    message = _("结束须晚于开始且不在将来，计时不超过起止之间的时长。")


class ReadingOutOfReach(Conflict):
    code = "reading.out_of_reach"
    message = _("计时与预约时段相差太远：须在预约开始前 2 小时到预约结束后 2 天之内。请核对预约号和日期。")


class NoSessionYet(Conflict):
    code = "reading.no_session"
    message = _("这次预约还没有登记开始使用，不能登记计时。请先登记开始，或请用户在仪器旁扫码签到。")


class BadChargeTerms(Invalid):
    code = "terms.dispute_days"
    message = _("异议期须为 1 到 60 个工作日。")


@dataclass(frozen=True, slots=True)
class Use:
    """One clock's measure: from when to when, and how many seconds of it count (a beam may be on for part of a stay)."""

    period: Period
    used_s: int
    source: str = ""
    """``manual`` (a person of the lab), ``bench`` (the user), ``meter`` (the instrument), ``file`` (a log read in)."""
    by: str = ""


def counting(chosen: SessionClock, known: Mapping[SessionClock, Use], *, waited: bool) -> SessionClock | None:
    """Return the clock to charge by, None while it is still waited for.

    `waited`: the time to wait for a reading is over, so that the next known clock counts.
    """
    if chosen in REPORTED and chosen not in known and not waited:
        return None
    return next(clock for clock in FALLBACK[chosen] if clock in known)


def best(known: Mapping[SessionClock, Use]) -> SessionClock:
    """Return the clock nearest to what the machine did: for records of use, where the booked time is charged."""
    return next(clock for clock in (C.METERED, C.CONFIRMED, C.PRESENT) if clock in known)


def check_reading(used: Period, used_s: int, *, booked: Period, now: datetime) -> None:
    """Raise BadReading or ReadingOutOfReach for what no instrument can have measured."""
    if used.end > now or not 0 <= used_s <= used.duration.total_seconds():
        raise BadReading(field="ended_at")
    if used.start < booked.start - BEFORE or used.end > booked.end + AFTER:
        raise ReadingOutOfReach(field="started_at")
