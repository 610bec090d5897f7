"""States of waiting, how long an offer stands, when in the week somebody can come. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.period import Period, merge

__all__ = [
    "CITIES",
    "LONGEST",
    "MOST",
    "OFFER_TRANSITIONS",
    "SOONEST",
    "TRANSITIONS",
    "BadLength",
    "BadWindow",
    "EntryAction",
    "EntryState",
    "OfferGone",
    "PartOfDay",
    "TimeOfferAction",
    "TimeOfferState",
    "TooMany",
    "check",
    "check_length",
    "stands_until",
    "windows",
]

_ = noop

MOST: Final = 20
"""How many entries of one organisation may wait at once."""
LONGEST: Final = timedelta(days=92)
"""How far ahead one may wait."""
CITIES: Final = 20
"""How many cities an entry may name."""
SOONEST: Final = timedelta(minutes=30)
"""Nothing is offered that begins sooner."""


class EntryState(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    BOOKED = "booked"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class EntryAction(StrEnum):
    OFFER = "offer"
    BOOK = "book"
    WAIT_ON = "wait_on"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


S, A = EntryState, EntryAction

TRANSITIONS: Final[Mapping[tuple[EntryState, EntryAction], EntryState]] = MappingProxyType(
    {
        (S.WAITING, A.OFFER): S.OFFERED,
        (S.OFFERED, A.BOOK): S.BOOKED,
        (S.OFFERED, A.WAIT_ON): S.WAITING,
        (S.WAITING, A.WITHDRAW): S.WITHDRAWN,
        (S.OFFERED, A.WITHDRAW): S.WITHDRAWN,
        (S.WAITING, A.EXPIRE): S.EXPIRED,
    }
)


class TimeOfferState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    LAPSED = "lapsed"
    TAKEN_BACK = "taken_back"
    """Its time is gone: an outage took it, or whoever waited no longer does."""


class TimeOfferAction(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"
    LAPSE = "lapse"
    TAKE_BACK = "take_back"


F, B = TimeOfferState, TimeOfferAction

OFFER_TRANSITIONS: Final[Mapping[tuple[TimeOfferState, TimeOfferAction], TimeOfferState]] = MappingProxyType(
    {
        (F.OPEN, B.ACCEPT): F.ACCEPTED,
        (F.OPEN, B.REFUSE): F.REFUSED,
        (F.OPEN, B.LAPSE): F.LAPSED,
        (F.OPEN, B.TAKE_BACK): F.TAKEN_BACK,
    }
)


class PartOfDay(StrEnum):
    """When in the day somebody can come, on the instrument's clock. All of the use lies in it."""

    ANY = "any"
    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"


CLOCKS: Final[Mapping[PartOfDay, tuple[int, int]]] = MappingProxyType(
    {PartOfDay.ANY: (0, 24), PartOfDay.MORNING: (0, 12), PartOfDay.AFTERNOON: (12, 18), PartOfDay.EVENING: (18, 24)}
)


class BadWindow(Invalid):
    code = "waitlist.window"
    message = _("候补的时间范围须在现在之后、%(days)s 天之内，并至少容得下一次使用。")


class BadLength(Invalid):
    code = "waitlist.length"
    message = _("时长须在 %(shortest)s 至 %(longest)s 小时之间，候补的是这台仪器上的一次使用。")


class TooMany(Conflict):
    code = "waitlist.too_many"
    message = _("贵单位已有 %(most)s 条候补在等待。请先撤回不再需要的。")


class OfferGone(Conflict):
    code = "waitlist.offer_gone"
    message = _("该时段的保留已经到期或被收回，没有预约成功。候补仍然有效，有空位时会再通知您。")


def check_length(length: timedelta, *, shortest_s: int, longest_s: int) -> None:
    """Raises BadLength for what the instrument never gives at once."""
    if not shortest_s <= length.total_seconds() <= longest_s:
        raise BadLength(field="length", shortest=f"{shortest_s / 3600:g}", longest=f"{longest_s / 3600:g}")


def check(window: Period, *, length: timedelta, now: datetime) -> None:
    """Raises BadWindow."""
    start = max(window.start, now)
    if window.end > now + LONGEST or window.end - start < length:
        raise BadWindow(field="until", days=LONGEST.days)


def stands_until(start: datetime, *, now: datetime) -> datetime:
    """Return until when an offer of time from `start` stands: a quarter of the time until then, 15 minutes to two hours."""
    quarter = (start - now) / 4
    return min(start, now + max(timedelta(minutes=15), min(timedelta(hours=2), quarter)))


def windows(
    whole: Period, *, zone: str, weekdays: Collection[int] = (), part: PartOfDay = PartOfDay.ANY
) -> Sequence[Period]:
    """Return when inside `whole` somebody can come: on these ISO weekdays (none: all), in this part of the local day."""
    tz = ZoneInfo(zone)
    first, last = whole.start.astimezone(tz).date(), whole.end.astimezone(tz).date()
    opens, closes = CLOCKS[part]
    found: list[Period] = []
    day = first
    while day <= last:
        if not weekdays or day.isoweekday() in weekdays:
            midnight = datetime.combine(day, time.min, tz)
            start = midnight.replace(hour=opens)
            end = (
                datetime.combine(day + timedelta(days=1), time.min, tz)
                if closes == 24
                else midnight.replace(hour=closes)
            )
            start, end = max(start, whole.start), min(end, whole.end)
            if start < end:
                found.append(Period(start, end))
        day += timedelta(days=1)
    return merge(found)
