"""What the clock keeps of open time, and what a changed public holiday does."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from portal.audit.models import Record
from portal.kernel.errors import Refused
from portal.workdays import rules as days
from portal.workdays import services as workdays
from portal.workdays.models import CalendarDay
from scheduler.availability import impacts, queries, rules, services, upkeep
from scheduler.availability.models import FreeGap, OpeningHours, OpenPeriod
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from tests import make
from tests.portal.pages.reading import enter, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_a_night_extends_what_is_open_and_forgets_what_is_over(w):
    resource = make.instrument(w)
    later = make.NOW + timedelta(days=30)
    upkeep.keep(now=later)
    gaps = FreeGap.objects.filter(resource=resource)
    assert gaps.filter(ends_at__lt=later - timedelta(days=1)).count() == 0
    assert gaps.filter(starts_at__gt=later + timedelta(days=398)).exists()
    past = make.slot(days=1, start="00:00", end="23:00")
    assert queries.open_periods([resource], window=past)[resource.pk], "the calendar can look back"


def test_after_an_upgrade_what_has_hours_is_open_at_once_and_a_second_start_changes_nothing(w):
    """A database of a version before open time was written: hours stand in their table, and nothing else."""
    resource, other, empty = make.instrument(w), make.instrument(w), make.instrument(w, opens=(480, 600))
    OpenPeriod.objects.filter(resource=resource).delete()
    FreeGap.objects.filter(resource=resource).delete()
    OpenPeriod.objects.filter(resource=empty).delete()
    OpeningHours.objects.filter(resource=empty).delete()
    kept = set(OpenPeriod.objects.filter(resource=other).values_list("pk", flat=True))
    asked = Requirement(7200, make.NOW, make.NOW + timedelta(days=1))
    assert [hit.resource_id for hit in search.find(asked, now=make.NOW).hits] == [other.pk, empty.pk]
    for filled in (1, 0):
        told = StringIO()
        call_command("open_time", stdout=told)
        assert told.getvalue() == f"open time written: {filled}\n"
    assert resource.pk in [hit.resource_id for hit in search.find(asked, now=make.NOW).hits]
    assert set(OpenPeriod.objects.filter(resource=other).values_list("pk", flat=True)) == kept


def test_free_time_that_is_wrong_is_put_right_and_told(w):
    resource = make.instrument(w)
    assert not upkeep.differs(resource, now=make.NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM free_gap WHERE resource_id = %s AND starts_at > now() + interval '9 days'", [resource.pk]
        )
    assert upkeep.differs(resource, now=make.NOW)
    (record,) = Record.objects.filter(action="availability.gaps_differed")
    assert record.subject == f"instrument:{resource.number}"
    assert not upkeep.differs(resource, now=make.NOW)


def test_fifty_nights_prove_every_resource_once(w):
    resource = make.instrument(w)
    FreeGap.objects.filter(resource=resource).delete()
    turn = (resource.pk - make.NOW.toordinal()) % upkeep.PARTS
    before, of_it = (make.NOW + timedelta(days=at) for at in (turn + 1, turn))
    assert upkeep.verify(now=before) == []
    assert upkeep.verify(now=of_it) == [resource.pk]


@pytest.fixture
def weekly(w):
    resource = make.instrument(w)
    week = rules.WeeklyHours(frozenset({1, 2, 3, 4, 5}), 8 * 60, 20 * 60)
    services.set_opening_hours(actor=w.keeper, resource=resource, hours=[week], follows_holidays=True, now=make.NOW)
    return resource


def fix(w, text, **more):
    return workdays.set_days(actor=w.publisher, days=days.read_days(text), source="通知", now=make.NOW, **more)


def test_a_holiday_over_a_booking_is_shown_first(w, weekly):
    booking = make.booking(w, weekly, period=make.slot(days=8))
    with pytest.raises(impacts.BookingsAffected) as caught:
        fix(w, "2026-12-03,休,")
    assert [row["number"] for row in caught.value.data["bookings"]] == [booking.number]
    assert not CalendarDay.objects.exists()
    fix(w, "2026-12-03,休,", accepts=[booking.number])
    assert CalendarDay.objects.exists()


def test_taking_a_swap_day_back_names_the_bookings_on_it(w, weekly):
    fix(w, "2026-12-05,班,,周四")
    upkeep.extend(now=make.NOW, only_holidays=True)
    two = [
        make.booking(w, weekly, period=make.slot(days=10, start=start, end=end))
        for start, end in (("08:00", "10:00"), ("18:00", "20:00"))
    ]
    with pytest.raises(impacts.BookingsAffected) as caught:
        workdays.remove_day(actor=w.publisher, day=CalendarDay.objects.get().date, now=make.NOW)
    assert [row["number"] for row in caught.value.data["bookings"]] == [row.number for row in two]


def test_a_holiday_wakes_the_worker_once_it_is_written(w, weekly, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr("scheduler.availability.holidays.current_app.send_task", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        fix(w, "2026-12-03,休,")
        assert sent == []
    assert sent == ["availability.follow_holidays"]


def test_the_page_of_the_calendar_asks_before_it_breaks_a_booking(w, weekly):
    booking = make.booking(w, weekly, period=make.slot(days=8))
    client, url = enter(Client(), w.publisher), reverse("workdays")
    sent = {"act": "import", "text": "2026-12-03,休,校庆\n2026-12-05,班,调休,周四", "source": "通知"}
    asked = client.post(url, sent)
    assert (asked.status_code, asked.context["accepts"]) == (409, booking.number)
    assert booking.number in text_of(asked)
    assert client.post(url, {**sent, "accepts": booking.number}).status_code == 302
    assert "上班 · 按周四" in text_of(client.get(url))


def test_maintenance_over_a_booking_names_it(w):
    resource = make.instrument(w)
    booking = make.booking(w, resource, period=make.slot(days=2))
    with pytest.raises(services.OutageOverBookings) as caught:
        services.block_for_maintenance(
            actor=w.keeper, resource=resource, period=make.slot(days=2), note="", now=make.NOW
        )
    assert booking.number in caught.value.params["bookings"]


def test_nobody_maintains_what_is_past(w):
    with pytest.raises(services.OutageOver):
        services.block_for_maintenance(
            actor=w.keeper, resource=make.instrument(w), period=make.slot(days=-2), note="", now=make.NOW
        )


def block(w, resource, **which):
    return services.block_for_maintenance(
        actor=w.keeper, resource=resource, period=make.slot(days=2), note="保养", now=make.NOW, **which
    )


def test_maintenance_of_a_resource_of_several_takes_all_units_or_those_named(w):
    bench = make.instrument(w, kind="bench", capacity=3)
    booking = make.booking(w, bench, period=make.slot(days=2))
    busy = booking.claims.get().unit_no
    spare = [unit for unit in (1, 2, 3) if unit != busy]
    with pytest.raises(services.OutageOverBookings) as caught:
        block(w, bench)
    assert caught.value.params["bookings"] == [booking.number]
    assert [claim.unit_no for claim in block(w, bench, units=spare)] == spare
    assert not upkeep.differs(bench, now=make.NOW)
    with pytest.raises(services.OutageTaken):
        block(w, bench, units=spare[:1])
    for wrong in ([0], [4], [1, 1]):
        with pytest.raises(services.BadUnits):
            block(w, bench, units=wrong)
    with pytest.raises(services.BadPlaces):
        block(w, bench, places=1)


def test_maintenance_of_counted_places_leaves_what_is_booked(w):
    hall = make.instrument(w, kind="bench", capacity=3, counting="fungible")
    booking = make.booking(w, hall, period=make.slot(days=2))
    with pytest.raises(services.OutageOverBookings) as caught:
        block(w, hall, places=3)
    assert caught.value.params["bookings"] == [booking.number]
    assert [claim.units for claim in block(w, hall, places=2)] == [2]
    with pytest.raises(Refused):
        make.booking(w, hall, period=make.slot(days=2))
