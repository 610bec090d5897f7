"""What a lab's instruments did and earned: sessions, machine hours, samples and income by instrument and month.

Machine hours are those recorded of sessions and of samples measured, as the yearly evaluation of shared instruments counts
them (科技部 国家重大科研基础设施和大型科研仪器开放共享评价考核: 年有效工作机时, 对外服务机时, 测样数, 服务收入). Months are
Beijing's. Income is what was captured less what was given back, in the month it was captured: of bookings, samples and accepted
milestones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncMonth

from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability.upkeep import PERIODS_KEPT
from scheduler.bookings.models import Booking
from scheduler.engagements.models import Milestone
from scheduler.resources.models import Resource
from scheduler.samples.models import SampleOrder
from scheduler.usage.models import UsageRecord

__all__ = ["Work", "months_of", "sessions", "totals", "window_of", "work"]

BEIJING: Final = ZoneInfo("Asia/Shanghai")


@dataclass(slots=True)
class Work:
    """What one instrument did in one month, or in several together. `open_s` is None where it is no longer known."""

    uses: int = 0
    used_s: int = 0
    external_s: int = 0
    samples: int = 0
    open_s: int | None = 0
    voucher_fen: int = 0
    own_fen: int = 0

    @property
    def income(self) -> Money:
        return Money(self.voucher_fen + self.own_fen)

    @property
    def utilisation(self) -> Fraction | None:
        """Used of open time; None where nothing was open or it is no longer known."""
        return Fraction(self.used_s, self.open_s) if self.open_s else None

    def add(self, other: Work) -> None:
        """Add another's numbers to these."""
        self.uses += other.uses
        self.used_s += other.used_s
        self.external_s += other.external_s
        self.samples += other.samples
        self.voucher_fen += other.voucher_fen
        self.own_fen += other.own_fen
        self.open_s = None if self.open_s is None or other.open_s is None else self.open_s + other.open_s


def _first(day: date) -> datetime:
    return datetime.combine(day.replace(day=1), time(), BEIJING)


def _next(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def months_of(first: date, last: date) -> list[date]:
    """Return the first days of the months from `first`'s to `last`'s, both included."""
    found = [first.replace(day=1)]
    while found[-1] < last.replace(day=1):
        found.append(_next(found[-1]))
    return found


def window_of(months: Sequence[date]) -> Period:
    """Return the time of these months, in Beijing."""
    return Period(_first(months[0]), _first(_next(months[-1])))


def sessions(resources: Iterable[Resource], *, window: Period) -> QuerySet[UsageRecord]:
    """Return the sessions on these instruments that began in `window`, with their bookings and charges."""
    return UsageRecord.objects.filter(
        booking__resource__in=list(resources), started_at__gte=window.start, started_at__lt=window.end
    ).select_related("booking__resource", "booking__organisation", "booking__charge")


def _by_month(rows: QuerySet[Any], moment: str, *, resource: str, **sums: Any) -> list[tuple[Any, ...]]:
    """Return (resource id, month, sums…) of rows. One query."""
    grouped = rows.order_by().annotate(_month=TruncMonth(moment, tzinfo=BEIJING)).values_list(resource, "_month")
    return [(pk, month.date(), *rest) for pk, month, *rest in grouped.annotate(**sums)]


def work(resources: Sequence[Resource], *, months: Sequence[date], now: datetime) -> Mapping[tuple[int, date], Work]:
    """Return what each instrument did in each month, all of them present. Six queries, however many."""
    window, ids = window_of(months), [resource.pk for resource in resources]
    found = {(pk, month): Work() for pk in ids for month in months}
    used = sessions(resources, window=window)
    for pk, month, uses, seconds in _by_month(
        used.select_related(None),
        "started_at",
        resource="booking__resource_id",
        uses=Count("pk"),
        used=Sum("duration_s"),
    ):
        cell = found[pk, month]
        cell.uses, cell.used_s, cell.external_s = uses, seconds, seconds
    tested = SampleOrder.objects.filter(resource_id__in=ids, issued_at__gte=window.start, issued_at__lt=window.end)
    for pk, month, counted, seconds in _by_month(
        tested, "issued_at", resource="resource_id", counted_=Sum("counted"), seconds=Sum("machine_s")
    ):
        cell = found[pk, month]
        cell.samples = counted or 0
        cell.used_s += seconds or 0
        cell.external_s += seconds or 0
    _earn(found, Booking.objects.filter(resource_id__in=ids), window)
    _earn(found, SampleOrder.objects.filter(resource_id__in=ids), window)
    projects = Milestone.objects.filter(engagement__resource_id__in=ids)
    _earn(found, projects, window, resource="engagement__resource_id")
    _open(found, resources, months, now=now)
    return found


def _earn(
    found: dict[tuple[int, date], Work], rows: QuerySet[Any], window: Period, *, resource: str = "resource_id"
) -> None:
    captured = rows.filter(
        charge__state="captured", charge__resolved_at__gte=window.start, charge__resolved_at__lt=window.end
    )
    earned = {
        "voucher": Sum(F("charge__voucher_captured_fen") - F("charge__voucher_refunded_fen")),
        "own": Sum(F("charge__own_captured_fen") - F("charge__own_refunded_fen")),
    }
    for pk, month, voucher, own in _by_month(captured, "charge__resolved_at", resource=resource, **earned):
        found[pk, month].voucher_fen += voucher
        found[pk, month].own_fen += own


def _open(
    found: dict[tuple[int, date], Work], resources: Sequence[Resource], months: Sequence[date], *, now: datetime
) -> None:
    """Fill in how long each was open up to `now`; what began before open time is kept is not known any more."""
    opened = availability.open_periods(resources, window=window_of(months))
    for resource in resources:
        for month in months:
            start, end = _first(month), min(_first(_next(month)), now)
            if start < now - PERIODS_KEPT:
                found[resource.pk, month].open_s = None
                continue
            found[resource.pk, month].open_s = _within(opened[resource.pk], start, end) * resource.capacity


def _within(spans: Iterable[Period], start: datetime, end: datetime) -> int:
    lengths = (min(span.end, end) - max(span.start, start) for span in spans)
    return sum(int(length.total_seconds()) for length in lengths if length > timedelta(0))


def totals(done: Mapping[tuple[int, date], Work], *, by_month: bool = False) -> Mapping[Any, Work]:
    """Return the sums by instrument id, or by month."""
    sums: dict[Any, Work] = defaultdict(Work)
    for (pk, month), one in done.items():
        sums[month if by_month else pk].add(one)
    return sums
