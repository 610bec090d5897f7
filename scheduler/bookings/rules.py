"""Booking states and the grounds on which a request is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Invalid, Reason, noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability.rules import on_grid

__all__ = [
    "TRANSITIONS",
    "AlreadyStarted",
    "BookingAction",
    "BookingState",
    "ConfigurationTooLong",
    "Limits",
    "NoPlaces",
    "NotHeld",
    "NotMeasured",
    "SelfUse",
    "SessionInFuture",
    "SessionOutOfReach",
    "calendar_status",
    "late_fee",
    "limit_refusals",
    "unsold",
]

_ = noop


class BookingState(StrEnum):
    HELD = "held"
    """Kept for the organisation until `hold_until`: the time and the price, nobody has been asked yet."""
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    DISPLACED = "displaced"
    """Its time was taken by an outage; its money stays held until its enterprise has chosen what instead."""
    IN_USE = "in_use"
    COMPLETED = "completed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    NO_SHOW = "no_show"


class BookingAction(StrEnum):
    PLACE = "place"
    ACCEPT = "accept"
    """Confirmed by the rules of the hour, without the lab."""
    CONFIRM = "confirm"
    DECLINE = "decline"
    CANCEL = "cancel"
    LAPSE = "lapse"
    START = "start"
    FINISH = "finish"
    MISS = "miss"
    MOVE = "move"
    RESTORE = "restore"
    DISPLACE = "displace"
    RESETTLE = "resettle"
    DROP = "drop"


class SelfUse(StrEnum):
    """Whether an enterprise's people may run the instrument themselves."""

    OPEN = "open"
    QUALIFIED = "qualified"
    NEVER = "never"


S, A = BookingState, BookingAction

TRANSITIONS: Final[Mapping[tuple[BookingState, BookingAction], BookingState]] = MappingProxyType(
    {
        (S.HELD, A.PLACE): S.REQUESTED,
        (S.HELD, A.ACCEPT): S.CONFIRMED,
        (S.HELD, A.CANCEL): S.CANCELLED,
        (S.HELD, A.LAPSE): S.LAPSED,
        (S.REQUESTED, A.CONFIRM): S.CONFIRMED,
        (S.REQUESTED, A.DECLINE): S.DECLINED,
        (S.REQUESTED, A.CANCEL): S.CANCELLED,
        (S.REQUESTED, A.LAPSE): S.LAPSED,
        (S.CONFIRMED, A.CANCEL): S.CANCELLED,
        (S.CONFIRMED, A.START): S.IN_USE,
        (S.CONFIRMED, A.MISS): S.NO_SHOW,
        (S.REQUESTED, A.MOVE): S.REQUESTED,
        (S.CONFIRMED, A.MOVE): S.REQUESTED,
        (S.REQUESTED, A.RESTORE): S.CONFIRMED,
        (S.IN_USE, A.FINISH): S.COMPLETED,
        (S.REQUESTED, A.DISPLACE): S.DISPLACED,
        (S.CONFIRMED, A.DISPLACE): S.DISPLACED,
        (S.DISPLACED, A.RESETTLE): S.CONFIRMED,
        (S.DISPLACED, A.DROP): S.CANCELLED,
    }
)

CLAIM_STATE: Final[Mapping[BookingState, str]] = MappingProxyType(
    {
        S.HELD: "held",
        S.REQUESTED: "held",
        S.CONFIRMED: "confirmed",
        S.DISPLACED: "released",
        S.IN_USE: "in_use",
        S.COMPLETED: "done",
        S.DECLINED: "released",
        S.CANCELLED: "released",
        S.LAPSED: "released",
        S.NO_SHOW: "released",
    }
)
"""The claim's state follows the booking's; terminal states occupy no time."""

CALENDAR_STATUS: Final[Mapping[BookingState, str]] = MappingProxyType(
    {
        S.HELD: "TENTATIVE",
        S.REQUESTED: "TENTATIVE",
        S.CONFIRMED: "CONFIRMED",
        S.IN_USE: "CONFIRMED",
        S.COMPLETED: "CONFIRMED",
    }
)
"""What a booking is in a calendar (RFC 5545 §3.8.1.11); in every other state CANCELLED."""


def calendar_status(state: BookingState) -> str:
    """Return the STATUS of a booking in a calendar."""
    return CALENDAR_STATUS.get(state, "CANCELLED")


class CounterOfferState(StrEnum):
    """A lab's counter-offer: it waits for the enterprise's answer until it is answered, replaced, void or over."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REPLACED = "replaced"
    VOID = "void"
    LAPSED = "lapsed"


class CounterOfferAction(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"
    REPLACE = "replace"
    VOID = "void"
    LAPSE = "lapse"


COUNTER_OFFER_TRANSITIONS: Final[Mapping[tuple[CounterOfferState, CounterOfferAction], CounterOfferState]] = (
    MappingProxyType(
        {
            (CounterOfferState.OPEN, CounterOfferAction.ACCEPT): CounterOfferState.ACCEPTED,
            (CounterOfferState.OPEN, CounterOfferAction.REFUSE): CounterOfferState.REFUSED,
            (CounterOfferState.OPEN, CounterOfferAction.REPLACE): CounterOfferState.REPLACED,
            (CounterOfferState.OPEN, CounterOfferAction.VOID): CounterOfferState.VOID,
            (CounterOfferState.OPEN, CounterOfferAction.LAPSE): CounterOfferState.LAPSED,
        }
    )
)
"""The booking itself is not touched but by ACCEPT; VOID follows whatever else becomes of the request."""


class SameTime(Invalid):
    code = "counter_offer.same_time"
    message = _("建议的时段与申请的时段相同。请另选时段，或直接确认预约。")


class NoOffer(Conflict):
    code = "counter_offer.none"
    message = _("没有等待答复的建议时段：可能已到期、已答复或已被撤回。需要其他时间的，可以改期。")


class ConfigurationTooLong(Invalid):
    code = "booking.configuration"
    message = _("配置代号最多 40 个字。")


class NoPlaces(Invalid):
    code = "booking.no_places"
    message = _("名额须至少为 1。")


class NotHeld(Conflict):
    code = "booking.not_held"
    message = _("这次预约不在保留中，无法提交。请重新选择时段预约。")


class NotMeasured(Conflict):
    code = "session.not_started"
    message = _("这次预约还没有开始使用，无法结束。请先登记开始时间。")


class AlreadyStarted(Conflict):
    code = "booking.started"
    message = _("预约时段已经开始，不能再取消。确实没有使用的，请联系实验室登记未到场。")


class MovedAfterStart(Conflict):
    """Moving a started session: what was used cannot be used at another time."""

    code = "booking.move_started"
    message = _("预约时段已经开始，不能再改期。不再需要余下时间的，请提前释放；需要更多时间的，请另行预约。")


class NothingToUndo(Conflict):
    code = "booking.nothing_to_undo"
    message = _("改期只能在 %(seconds)s 秒内撤销，且其后没有再变动。需要原来的时段，请再次改期。")


class NothingToRelease(Conflict):
    code = "booking.nothing_to_release"
    message = _("只有使用中的预约才能提前释放余下的时间，且须在预约开始之后、结束之前。")


class NotYetStarted(Conflict):
    code = "booking.not_started"
    message = _("预约时段还没有开始，不能登记未到场。")


class SessionInFuture(Conflict):
    code = "session.in_future"
    message = _("登记的时间在将来。请填写已经发生的时间。")


class SessionOutOfReach(Conflict):
    code = "session.out_of_reach"
    message = _("登记的开始时间与预约时段相差太远：最早可在预约开始前 %(hours)s 小时，最迟在预约结束前。")


MOVED_LATE: Final = Reason(
    "booking.move_late",
    _("已过免费取消的期限，不能再改到别的时间，也不能再等实验室重新确认。"),
    _("可以取消（按取消规则收费，时段被别人约走的部分不收费）后另行预约；需要更多时间的，请另行预约。"),
    field="starts_at",
)


def late_fee(price: Money, *, percent: int, free: timedelta, starts_at: datetime, now: datetime) -> Money:
    """Return what giving up a booking at `now` costs: nothing until `free` before its start, later a share of the price.

    Source: cancellation rules of shared facilities (full price within 24 h of the start unless somebody else books the
    time, Montana State University; flat fee within 2 h, University of Alberta). Rounds down.
    """
    return Money(0) if now <= starts_at - free else price.share(Fraction(percent, 100))


def unsold(fee: Money, *, slot: timedelta, sold: timedelta) -> Money:
    """Return what is owed of a fee when `sold` of the `slot` was used by others: pro rata, rounded down."""
    left = max(slot - sold, timedelta(0))
    return fee.share(Fraction(left // timedelta(seconds=1), slot // timedelta(seconds=1)))


@dataclass(frozen=True, slots=True)
class Limits:
    """A resource's limits, in whole seconds, and its zone (IANA name)."""

    granularity_s: int
    min_duration_s: int
    max_duration_s: int
    lead_s: int
    horizon_s: int
    zone: str
    grid_from_s: int = 0
    step_s: int = 0


def _clock(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def limit_refusals(wanted: Period, *, limits: Limits, now: datetime) -> Sequence[Reason]:
    """Return every ground on which `wanted` breaks the resource's limits; empty when it breaks none.

    Durations are elapsed time: an hour skipped by a DST change does not count.
    """
    reasons: list[Reason] = []
    seconds = int(wanted.duration.total_seconds())
    earliest = now + timedelta(seconds=limits.lead_s)
    latest = now + timedelta(seconds=limits.horizon_s)
    if wanted.start < now:
        reasons.append(Reason("booking.past", _("开始时间已经过去。"), _("请选择现在之后的时间。"), field="starts_at"))
    elif wanted.start < earliest:
        reasons.append(
            Reason(
                "booking.lead",
                _("该资源须至少提前 %(hours)s 小时预约。"),
                _("请选择 %(earliest)s（%(zone)s）之后的时间。"),
                field="starts_at",
                params={
                    "hours": _number(limits.lead_s / 3600),
                    "earliest": _clock(earliest, limits.zone),
                    "zone": limits.zone,
                },
            )
        )
    if wanted.end > latest:
        reasons.append(
            Reason(
                "booking.horizon",
                _("该资源最多提前 %(days)s 天预约。"),
                _("请选择 %(latest)s（%(zone)s）之前的时间。"),
                field="ends_at",
                params={
                    "days": limits.horizon_s // 86400,
                    "latest": _clock(latest, limits.zone),
                    "zone": limits.zone,
                },
            )
        )
    reasons += _duration_refusals(seconds, limits)
    grid = timedelta(seconds=limits.granularity_s)
    offset = timedelta(seconds=limits.grid_from_s)
    if not all(
        on_grid(moment, granularity=grid, zone=limits.zone, offset=offset) for moment in (wanted.start, wanted.end)
    ):
        reasons.append(
            Reason(
                "booking.grid",
                _("起止时间须为 %(minutes)s 分钟的整数倍。"),
                _("请按 %(minutes)s 分钟一格选择。"),
                field="starts_at",
                params={"minutes": limits.granularity_s // 60},
            )
        )
    return reasons


def _duration_refusals(seconds: int, limits: Limits) -> list[Reason]:
    reasons: list[Reason] = []
    if seconds < limits.min_duration_s:
        reasons.append(
            Reason(
                "booking.too_short",
                _("时长不足：每次至少 %(hours)s 小时，您选择了 %(asked)s 小时。"),
                _("请延长时段。"),
                field="ends_at",
                params={"hours": _number(limits.min_duration_s / 3600), "asked": _number(seconds / 3600)},
            )
        )
    if seconds > limits.max_duration_s:
        reasons.append(
            Reason(
                "booking.too_long",
                _("时长超限：每次最多 %(hours)s 小时，您选择了 %(asked)s 小时。"),
                _("请缩短时段，或分成几次预约。"),
                field="ends_at",
                params={"hours": _number(limits.max_duration_s / 3600), "asked": _number(seconds / 3600)},
            )
        )
    return reasons + _step_refusals(seconds, limits)


def _step_refusals(seconds: int, limits: Limits) -> list[Reason]:
    """Say which lengths next to the wanted one are whole multiples of what time is given in: seven shifts are six or nine."""
    step = limits.step_s
    if not step or seconds % step == 0:
        return []
    near = [
        number for number in (seconds // step * step, -(-seconds // step) * step) if limits.min_duration_s <= number
    ]
    return [
        Reason(
            "booking.step",
            _("时长须为 %(step)s 小时的整数倍，您选择了 %(asked)s 小时。"),
            _("请改为 %(near)s 小时。"),
            field="ends_at",
            params={
                "step": _number(step / 3600),
                "asked": _number(seconds / 3600),
                "near": [_number(number / 3600) for number in near if number <= limits.max_duration_s],
            },
        )
    ]


def state_at(state: BookingState, hold_until: datetime | None, *, now: datetime) -> BookingState:
    """Return what people are told a booking is: one held has lapsed once its time is up, whoever writes that down."""
    ended = state is BookingState.HELD and hold_until is not None and hold_until <= now
    return BookingState.LAPSED if ended else state


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
