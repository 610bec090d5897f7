"""What a limit allows, what is used of it, and when it frees. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from portal.kernel.errors import Invalid, Reason, noop
from portal.kernel.period import Period

__all__ = [
    "AHEAD",
    "BadQuota",
    "Effect",
    "Limit",
    "Measure",
    "Peak",
    "Per",
    "Span",
    "Standing",
    "Use",
    "broken",
    "clock_text",
    "hours_text",
    "judge",
    "needs_approval",
    "refusals",
    "seconds_in",
    "window_at",
    "windows_of",
]

_ = noop

AHEAD = 8
"""How many further weeks or months are looked through for one in which a request would fit."""


class Measure(StrEnum):
    """What is counted: seconds of use, bookings that have not begun, or the share of the open peak hours.

    ``kept_share`` limits the lab itself: the share of open hours that it keeps for enterprises (`kept_rules`).
    """

    HOURS = "hours"
    BOOKINGS = "bookings"
    PEAK_SHARE = "peak_share"
    KEPT_SHARE = "kept_share"


class Span(StrEnum):
    """Over which local calendar time: weeks begin on Monday."""

    WEEK = "week"
    MONTH = "month"


class Per(StrEnum):
    ORGANISATION = "organisation"
    PERSON = "person"


class Effect(StrEnum):
    """What happens beyond the limit: refused, or left to the lab even in hours of automatic confirmation."""

    REFUSE = "refuse"
    APPROVAL = "approval"


class BadQuota(Invalid):
    code = "quota.bad"
    message = _(
        "请写明名称（40 字以内）和数量：小时数为 1–744，预约数为 1–1000，高峰份额和保留份额为 1–99（%）；"
        "高峰份额还须选择星期，结束时间晚于开始时间。"
    )


@dataclass(frozen=True, slots=True)
class Peak:
    """The hours in demand: on these weekdays (ISO, Monday 1) from `opens` to `closes`, minutes after local midnight."""

    weekdays: frozenset[int] = frozenset()
    opens: int = 0
    closes: int = 0

    def inside(self, window: Period, zone: str) -> list[Period]:
        """Return the peak hours of a window, in order."""
        found, local = [], ZoneInfo(zone)
        day, last = window.start.astimezone(local).date(), window.end.astimezone(local).date()
        while day <= last:
            if day.isoweekday() in self.weekdays:
                start, end = (_moment(day, minutes, local) for minutes in (self.opens, self.closes))
                start, end = max(start, window.start), min(end, window.end)
                if start < end:
                    found.append(Period(start, end))
            day += timedelta(days=1)
        return found


def _moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=minutes // 1440), time(minutes % 1440 // 60, minutes % 60), zone)


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` is seconds, bookings or per cent, as `measure` says; `peak` counts for shares only."""

    name: str
    measure: Measure
    amount: int
    span: Span = Span.WEEK
    per: Per = Per.ORGANISATION
    effect: Effect = Effect.REFUSE
    peak: Peak = Peak()

    def check(self) -> None:
        """Raise BadQuota where nobody could keep it or it says nothing."""
        most = {Measure.HOURS: 744 * 3600, Measure.BOOKINGS: 1000}.get(self.measure, 99)
        least = 3600 if self.measure is Measure.HOURS else 1
        peak_wrong = self.measure is Measure.PEAK_SHARE and not (
            self.peak.weekdays
            and self.peak.weekdays <= frozenset(range(1, 8))
            and 0 <= self.peak.opens < self.peak.closes <= 1440
        )
        if not 0 < len(self.name) <= 40 or not least <= self.amount <= most or peak_wrong:
            raise BadQuota(field="amount")


@dataclass(frozen=True, slots=True)
class Use:
    """Time of one booking, or open time; `units` places of it."""

    period: Period
    units: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands against a limit: in seconds, or bookings. `window` is None where bookings are counted.

    `frees_at`: from when on there would be room; None where that never comes.
    """

    limit: Limit
    allowed: int
    used: int
    asked: int
    window: Period | None
    zone: str
    frees_at: datetime | None = None

    @property
    def fits(self) -> bool:
        return self.used + self.asked <= self.allowed

    @property
    def left(self) -> int:
        return max(self.allowed - self.used, 0)


def window_at(moment: datetime, span: Span, zone: str) -> Period:
    """Return the local week or month a moment lies in."""
    local = ZoneInfo(zone)
    day = moment.astimezone(local).date()
    if span is Span.WEEK:
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    return Period(_moment(first, 0, local), _moment(after, 0, local))


def windows_of(period: Period, span: Span, zone: str) -> list[Period]:
    """Return the local weeks or months a period touches."""
    found = [window_at(period.start, span, zone)]
    while found[-1].end < period.end:
        found.append(window_at(found[-1].end, span, zone))
    return found


def seconds_in(uses: Sequence[Use], spans: Sequence[Period]) -> int:
    """Return for how long `uses` lie in the disjoint `spans`, each place by itself."""
    total = 0
    for use in uses:
        for span in spans:
            start, end = max(use.period.start, span.start), min(use.period.end, span.end)
            if start < end:
                total += int((end - start).total_seconds()) * use.units
    return total


def judge(
    limit: Limit, *, wanted: Use, uses: Sequence[Use], opened: Sequence[Use], zone: str, now: datetime
) -> list[Standing]:
    """Return where `wanted` would bring somebody whose other `uses` are these: one standing for every window it touches.

    `opened` is the open time of all the limit covers, for shares. Time counts where it lies: a use over midnight of
    Sunday counts in both weeks.
    """
    if limit.measure is Measure.BOOKINGS:
        return [_ahead(limit, uses=uses, zone=zone, now=now)]
    found = []
    for window in windows_of(wanted.period, limit.span, zone):
        standing = _in(limit, window, wanted=wanted, uses=uses, opened=opened, zone=zone)
        if standing.asked == 0:
            continue
        found.append(standing if standing.fits else _freed(standing, wanted=wanted, uses=uses, opened=opened))
    return found


def _ahead(limit: Limit, *, uses: Sequence[Use], zone: str, now: datetime) -> Standing:
    starts = sorted(use.period.start for use in uses if use.period.start > now)
    at = len(starts) - limit.amount
    return Standing(limit, limit.amount, len(starts), 1, None, zone, starts[at] if at >= 0 else None)


def _in(
    limit: Limit, window: Period, *, wanted: Use, uses: Sequence[Use], opened: Sequence[Use], zone: str
) -> Standing:
    if limit.measure is Measure.HOURS:
        return Standing(limit, limit.amount, seconds_in(uses, [window]), seconds_in([wanted], [window]), window, zone)
    peak = limit.peak.inside(window, zone)
    allowed = seconds_in(opened, peak) * limit.amount // 100
    return Standing(limit, allowed, seconds_in(uses, peak), seconds_in([wanted], peak), window, zone)


def _freed(standing: Standing, *, wanted: Use, uses: Sequence[Use], opened: Sequence[Use]) -> Standing:
    """Return the standing with the start of the first later window in which as much would fit."""
    assert standing.window is not None
    limit, zone, window = standing.limit, standing.zone, standing.window
    whole = int(wanted.period.duration.total_seconds()) * wanted.units
    asked = whole if limit.measure is Measure.HOURS else standing.asked
    for _later in range(AHEAD):
        window = window_at(window.end, limit.span, zone)
        later = _in(limit, window, wanted=wanted, uses=uses, opened=opened, zone=zone)
        if later.used + asked <= later.allowed:
            return Standing(limit, standing.allowed, standing.used, standing.asked, standing.window, zone, window.start)
    return standing


def broken(standings: Sequence[Standing]) -> list[Standing]:
    """Return the limits for which a request is refused."""
    return [each for each in standings if not each.fits and each.limit.effect is Effect.REFUSE]


def needs_approval(standings: Sequence[Standing]) -> bool:
    """Say whether a request goes beyond a limit that leaves it to the lab."""
    return any(not each.fits and each.limit.effect is Effect.APPROVAL for each in standings)


def refusals(standings: Sequence[Standing]) -> list[Reason]:
    """Return why a request is refused, with what would fix it: every limit that it breaks."""
    return [_too_many(each) if each.window is None else _too_long(each) for each in broken(standings)]


def _too_many(standing: Standing) -> Reason:
    message = (
        _("“%(name)s”：您最多同时有 %(allowed)s 个尚未开始的预约，现有 %(used)s 个。")
        if standing.limit.per is Per.PERSON
        else _("“%(name)s”：贵单位最多同时有 %(allowed)s 个尚未开始的预约，现有 %(used)s 个。")
    )
    params = {
        "name": standing.limit.name,
        "allowed": standing.allowed,
        "used": standing.used,
        "frees": clock_text(standing.frees_at, standing.zone) if standing.frees_at else "",
        "zone": standing.zone,
    }
    remedy = _("请先取消一个，或在 %(frees)s（%(zone)s）之后再约。")
    return Reason("quota.bookings", message, remedy, field="starts_at", params=params)


def _too_long(standing: Standing) -> Reason:
    assert standing.window is not None
    limit, zone = standing.limit, ZoneInfo(standing.zone)
    if limit.measure is Measure.PEAK_SHARE:
        code = "quota.share"
        message = _(
            "“%(name)s”：%(from)s 至 %(until)s 的高峰时段每个单位最多 %(allowed)s 小时，"
            "贵单位已约 %(used)s 小时，本次 %(asked)s 小时。"
        )
    elif limit.per is Per.PERSON:
        code = "quota.hours"
        message = _(
            "“%(name)s”：%(from)s 至 %(until)s 您最多 %(allowed)s 小时，已约 %(used)s 小时，本次 %(asked)s 小时。"
        )
    else:
        code = "quota.hours"
        message = _(
            "“%(name)s”：%(from)s 至 %(until)s 贵单位最多 %(allowed)s 小时，已约 %(used)s 小时，本次 %(asked)s 小时。"
        )
    if standing.frees_at is None:
        remedy = _("请缩短到 %(left)s 小时以内，或联系实验室。")
    elif standing.left and limit.measure is Measure.PEAK_SHARE:
        remedy = _("请缩短到 %(left)s 小时以内、避开高峰，或改约 %(frees)s（%(zone)s）起的时间。")
    elif standing.left:
        remedy = _("请缩短到 %(left)s 小时以内，或改约 %(frees)s（%(zone)s）起的时间。")
    else:
        remedy = _("请改约 %(frees)s（%(zone)s）起的时间。")
    params = {
        "name": limit.name,
        "from": f"{standing.window.start.astimezone(zone):%Y-%m-%d}",
        "until": f"{standing.window.end.astimezone(zone) - timedelta(days=1):%Y-%m-%d}",
        "allowed": hours_text(standing.allowed),
        "used": hours_text(standing.used),
        "asked": hours_text(standing.asked),
        "left": hours_text(standing.left),
        "frees": clock_text(standing.frees_at, standing.zone) if standing.frees_at else "",
        "zone": standing.zone,
    }
    return Reason(code, message, remedy, field="starts_at", params=params)


def clock_text(moment: datetime, zone: str) -> str:
    """Return a moment as that zone's clocks show it."""
    return f"{moment.astimezone(UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def hours_text(seconds: int) -> str:
    """Return hours with at most two decimals, rounded down."""
    return f"{seconds * 100 // 3600 / 100:.2f}".rstrip("0").rstrip(".")
