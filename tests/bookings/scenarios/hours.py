"""Changeover between uses, and days that the calendar of holidays turns round."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from portal.pages import feeds
from portal.workdays import services as workdays
from portal.workdays.rules import Day
from scheduler.availability import deviations, queries
from scheduler.availability import rules as availability_rules
from scheduler.availability import services as availability
from scheduler.availability.impacts import BookingsAffected
from scheduler.bookings import services
from scheduler.bookings.bundles import ANYBODY
from scheduler.bookings.models import Booking
from scheduler.qualifications import services as qualifications
from scheduler.resources.models import Resource
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import no_overlap, rivals
from tests.integrations.ics.test_availability import evaluated
from tests.integrations.ics.test_conformance import libical


def _ask(who: make.Actor, resource: Resource, day: int, start: str, end: str, configuration: str = "") -> Booking:
    wanted = services.Wanted(
        resource=resource, period=make.slot(day, start, end), title="观察", configuration=configuration
    )
    return services.request_booking(actor=who, wanted=wanted, now=make.NOW, key=make.key())


def _why_not(who: make.Actor, resource: Resource, day: int, start: str, end: str) -> set[str]:
    """Return the codes of all reasons against a booking; none where it was made."""
    try:
        _ask(who, resource, day, start, end)
    except Refused as error:
        return {reason.code for reason in error.reasons}
    return set()


@scenario("S4")
def changeover_is_kept() -> str:
    """15 minutes to set up, 30 to clean: strangers wait for both, one's own next run for neither, closing for the last."""
    w = make.world()
    resource = make.instrument(w, opens=(480, 1200), granularity_s=900, setup_s=900, cleanup_s=1800)
    li, wang = rivals(2)
    for day in (1, 2):
        _ask(li, resource, day, "09:00", "11:00", "si")
    assert _why_not(wang, resource, 1, "11:30", "13:00") == {"booking.taken"}
    assert _why_not(wang, resource, 1, "11:45", "13:00") == set()
    joined = _ask(li, resource, 2, "11:00", "13:00", "si")
    first, second = Booking.objects.filter(resource=resource, starts_at__gte=make.slot(2).start).order_by("starts_at")
    assert second == joined
    assert first.claims.get().blocked.upper == second.claims.get().blocked.lower == second.starts_at
    assert _why_not(wang, resource, 3, "18:00", "20:00") == {"availability.closed"}
    assert _why_not(wang, resource, 3, "17:30", "19:30") == set()
    Resource.objects.filter(pk=resource.pk).update(cleanup_may_exceed=True)
    resource.refresh_from_db()
    assert _why_not(wang, resource, 4, "18:00", "20:00") == set()
    no_overlap()
    return (
        "11:30 refused, 11:45 taken, one's own at 11:00 without changeover, 18:00-20:00 only where cleaning may exceed"
    )


@scenario("S6")
def a_saturday_works_as_a_thursday() -> str:
    """1-7 October closed, Saturday 10 October keeps Thursday's hours: what is open, found, and named when taken back."""
    w = make.world()
    now = datetime(2026, 9, 21, 2, 0, tzinfo=make.UTC)
    swap, closed = date(2026, 10, 10), date(2026, 10, 5)
    workdays.set_days(
        actor=w.publisher,
        days=[
            *(Day(date(2026, 10, day), is_working=False, name="国庆节") for day in range(1, 8)),
            Day(swap, is_working=True, name="调休", works_as=4),
        ],
        source="国办通知",
        now=now,
    )
    resource = make.instrument(w, now=now)
    week = [availability_rules.WeeklyHours(frozenset(range(1, 6)), 480, 1200)]
    availability.set_opening_hours(
        actor=w.keeper, resource=resource, hours=week, follows_holidays=True, accepts=(), now=now
    )
    person = qualifications.enter_operator(actor=w.keeper, name="周工", city="杭州", zone="Asia/Shanghai", now=now)
    every_day = [availability_rules.WeeklyHours(frozenset(range(1, 8)), 480, 1200)]
    availability.set_opening_hours(actor=w.keeper, resource=person, hours=every_day, now=now)
    qualifications.grant_skill(
        actor=w.keeper,
        operator=person,
        instrument=resource,
        days=qualifications.Days(date(2026, 1, 1), date(2027, 1, 1)),
        now=now,
    )
    leave = Period(make.local(swap, "00:00"), make.local(swap, "12:00"))
    deviations.close(actor=w.keeper, resource=person, period=leave, reason="休假", now=now)
    assert _open(resource, closed) == timedelta(0)
    assert _open(resource, swap) == timedelta(hours=12)
    told = _told(w, resource, now)
    since = make.local(date(2026, 10, 9), "20:00")
    wanted = Requirement(4 * 3600, since, since + timedelta(days=7), with_operator=True)
    [hit] = search.find(wanted, now=now, limit=5).hits
    assert hit.period == Period(make.local(swap, "12:00"), make.local(swap, "16:00"))
    made = [
        services.request_booking(
            actor=w.researcher,
            wanted=services.Wanted(
                resource=resource, period=Period(start, start + timedelta(hours=2)), title="观察", operator=operator
            ),
            now=now,
            key=make.key(),
        )
        for start, operator in ((make.local(swap, "12:00"), ANYBODY), (make.local(swap, "16:00"), None))
    ]
    try:
        workdays.set_days(actor=w.publisher, days=[Day(swap, is_working=False)], source="更正", now=now)
    except BookingsAffected as error:
        named = {row["number"] for row in error.data["bookings"]}
    else:
        raise AssertionError("taking the day back must name the bookings on it")
    assert named == {one.number for one in made}
    return (
        f"5 October 0 h, 10 October 12 h, first with an operator 12:00-16:00; a reader that is not ours finds the same "
        f"{told} open spans in 400 days; 2 bookings named when the day is taken back"
    )


def _told(w: make.World, resource: Resource, now: datetime) -> int:
    """Hold the VAVAILABILITY, as readers that are not ours evaluate it, against what is open in 400 days; count that."""
    window = Period(now, now + timedelta(days=400))
    token, _secret = make.feed(w.keeper, resource, kind="availability", now=now)
    body = feeds._availability(token, window, "")
    assert libical(body) == 0
    opened = list(queries.open_periods([resource], window=window)[resource.pk])
    assert evaluated(body) == opened
    assert len(opened) > 250
    return len(opened)


def _open(resource: Resource, day: date) -> timedelta:
    window = Period(make.local(day, "00:00"), make.local(day + timedelta(days=1), "00:00"))
    periods = queries.open_periods([resource], window=window)[resource.pk]
    return sum(
        (min(one.end, window.end) - max(one.start, window.start) for one in periods if one.overlaps(window)),
        timedelta(0),
    )
