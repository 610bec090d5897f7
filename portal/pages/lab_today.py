"""The lab's day: who uses what and when, what waits, what is down, who is on duty, what came in. Constant queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal import charts
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import shell, slots, weekgrid, weeks
from portal.pages.casework import language
from portal.pages.templatetags.show import clock, zone_of
from scheduler.availability import queries as availability
from scheduler.availability.models import Claim
from scheduler.bookings import access as bookings
from scheduler.bookings.models import Booking
from scheduler.qualifications import access as qualifications
from scheduler.resources import access as resources
from scheduler.resources.models import Resource
from scheduler.resources.rules import ServiceClass
from vouchers.charges import queries as charges

__all__ = ["lab_today"]

PAGE_SIZE: Final = 20
WAITING: Final = 10
AHEAD: Final = timedelta(days=7)
"""How far maintenance is listed."""
S = Booking.State
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Duty:
    """One operator today: when on duty, and how many bookings they attend."""

    operator: Resource
    hours: str
    attended: int


@shell.needs(Permission.INSTRUMENT_MANAGE)
def lab_today(request: HttpRequest) -> HttpResponse:
    """Show one day of the lab, today unless `?day=` says another."""
    actor = shell.actor_of(request)
    now = timezone.now()
    local = timezone.localtime(now)
    day = slots.day_of(request.GET.get("day", "")) or local.date()
    own = resources.own_instruments(actor).exclude(state=Resource.State.DRAFT.value).order_by("name", "pk")
    page = Paginator(own, PAGE_SIZE).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    times = weeks.look(shown, window=weeks.week_window([day]), now=now)
    rows = weeks.rows(shown, times, actor=actor, now=now)
    whole_day = request.GET.get("hours") == "all"
    grid = weekgrid.shape(rows, [day], now=local, chosen=day, window=(0, 48) if whole_day else weekgrid.DAYTIME)
    whole = _day(day)
    served = bookings.served_bookings(actor)
    context: dict[str, Any] = {
        "day": day,
        "page": page,
        "grid": grid,
        "hours": "all" if whole_day else "day",
        "counts": _counts(served, whole, now),
        "waiting": list(served.filter(state=S.REQUESTED.value).order_by("starts_at", "pk")[:WAITING]),
        "outages": _outages(actor, now),
        "duty": _duty(actor, served, whole, day),
        "income": _income(actor, day),
    }
    return shell.page(request, "lab/today.html", context)


def _day(day: date) -> Period:
    zone = timezone.get_current_timezone()
    start = datetime.combine(day, datetime.min.time(), zone)
    return Period(start, datetime.combine(day + DAY, datetime.min.time(), zone))


def _counts(served: QuerySet[Booking], whole: Period, now: datetime) -> Mapping[str, int]:
    """Return how many bookings the day has, how many run, wait and are still to be measured. One query."""
    taking = Q(state__in=[S.REQUESTED.value, S.CONFIRMED.value, S.IN_USE.value, S.COMPLETED.value])
    on_day = taking & Q(starts_at__lt=whole.end, ends_at__gt=whole.start)
    found: Mapping[str, int] = (
        served.select_related(None)
        .prefetch_related(None)
        .aggregate(
            today=Count("pk", filter=on_day),
            running=Count("pk", filter=Q(state=S.IN_USE.value)),
            waiting=Count("pk", filter=Q(state=S.REQUESTED.value)),
            measure=Count("pk", filter=Q(state__in=[S.CONFIRMED.value, S.IN_USE.value], ends_at__lte=now)),
        )
    )
    return found


def _outages(actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return the lab's maintenance from now on, the soonest first. One query."""
    found = (
        Claim.objects.filter(
            resource__owner_id=actor.organisation_id,
            state=Claim.State.OUTAGE.value,
            during__overlap=(now, now + AHEAD),
        )
        .select_related("resource")
        .order_by("during")[: 2 * WAITING]
    )
    return [
        {"resource": claim.resource, "period": availability.period_of(claim.during), "note": claim.note}
        for claim in found
    ]


def _duty(actor: Actor, served: QuerySet[Booking], whole: Period, day: date) -> list[Duty]:
    """Return the lab's operators with their hours of the day. Four queries at most."""
    people = list(qualifications.own_operators(actor).filter(state=Resource.State.PUBLISHED.value).order_by("name"))
    if not people:
        return []
    opened = availability.open_periods(people, window=weeks.week_window([day]))
    attended = dict(
        served.select_related(None)
        .prefetch_related(None)
        .filter(operator__in=people, starts_at__lt=whole.end, ends_at__gt=whole.start)
        .filter(state__in=[S.REQUESTED.value, S.CONFIRMED.value, S.IN_USE.value, S.COMPLETED.value])
        .order_by()
        .values_list("operator")
        .annotate(number=Count("pk"))
    )
    return [Duty(person, _hours(person, opened[person.pk], day), attended.get(person.pk, 0)) for person in people]


def _hours(person: Resource, opened: Sequence[Period], day: date) -> str:
    zone = zone_of(person.zone)
    midnight = datetime.combine(day, datetime.min.time(), zone)
    spans = [
        Period(max(span.start, midnight), min(span.end, midnight + DAY))
        for span in opened
        if span.start < midnight + DAY and span.end > midnight
    ]
    said = [f"{clock(span.start, person.zone)}–{clock(span.end, person.zone)}" for span in spans]
    return gettext("、").join(said)


def _income(actor: Actor, day: date) -> dict[str, Any]:
    """Return what the month of `day` brought, by day of settlement, as numbers and as a drawing."""
    first = day.replace(day=1)
    after = (first + 31 * DAY).replace(day=1)
    zone = timezone.get_current_timezone()
    assert isinstance(zone, ZoneInfo)
    during = Period(_day(first).start, _day(after).start)
    rows = charges.income_by_day(actor, during=during, zone=zone, service=ServiceClass.INSTRUMENT_USE.value)
    total = sum(rows.values(), Money(0))
    return {"total": total, "rows": list(rows.items()), "first": first, "chart": _chart(rows)}


def _chart(rows: Mapping[date, Money]) -> str:
    if len(rows) < 2:
        return ""
    points = tuple(
        charts.Point(label=f"{day:%m-%d}", amount=amount.fen / 100, text=str(amount)) for day, amount in rows.items()
    )
    chart = charts.Chart(
        kind=charts.Kind.BAR,
        title=gettext("本月每日收入"),
        description=charts.text_of(points),
        points=points,
        amounts=gettext("元"),
        language=language(),
    )
    return charts.cached(chart)
