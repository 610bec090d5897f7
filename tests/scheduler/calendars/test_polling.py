"""Subscribed calendars: what a poll changes, and that one that fails never frees time. With a server of our own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from portal.audit.models import Record
from portal.kernel.errors import Forbidden
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import services as bookings
from scheduler.calendars import polling, queries, rules, services, tasks
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.calendars.ports import CalendarRefused, CalendarUnreachable
from tests import make
from tests.integrations.ics.serving import said, serving
from tests.scheduler.calendars.writing import busy, calendar

pytestmark = pytest.mark.django_db

MORNING = make.slot(start="10:00", end="12:00")
NOON = make.slot(start="11:00", end="13:00")
SECRET = "/private-7f3a/lab.ics"


@pytest.fixture
def server(settings):
    settings.CALENDAR_FETCH_LOOPBACK = True
    # A process for each file takes a quarter of a second; tests/integrations/ics/test_capped.py looks at that.
    settings.CALENDAR_CAPPED_READER = settings.CALENDAR_READER
    with serving() as made:
        yield made


@pytest.fixture
def resource(w):
    return make.instrument(w)


@pytest.fixture
def subscribed(w, server, resource):
    server.answers[SECRET] = said(calendar(busy("a", MORNING)), ETag='"1"')
    reading, _found = polling.look(actor=w.keeper, resource=resource, name="订阅", url=server.url(SECRET), now=make.NOW)
    polling.subscribe(actor=w.keeper, resource=resource, name="订阅", reading=reading, now=make.NOW)
    return ExternalCalendar.objects.get()


def blocked(resource):
    return [
        period_of(claim.blocked)
        for claim in Claim.objects.filter(resource=resource, state="external").order_by("blocked")
    ]


def polled(row, *, minutes: int = 30, **more):
    polling.poll(calendar_id=row.pk, now=make.NOW + timedelta(minutes=minutes), **more)
    row.refresh_from_db()
    return row


def test_a_look_writes_nothing_and_subscribing_takes_over_what_was_looked_at(w, server, resource):
    server.answers[SECRET] = said(calendar(busy("a", MORNING)), ETag='"1"', Last_Modified="then")
    reading, found = polling.look(actor=w.keeper, resource=resource, name="订阅", url=server.url(SECRET), now=make.NOW)
    assert [row.period for row in found.anew] == [MORNING]
    assert not ExternalCalendar.objects.exists()
    polling.subscribe(actor=w.keeper, resource=resource, name=" 订阅 ", reading=reading, now=make.NOW)
    row = ExternalCalendar.objects.get()
    assert blocked(resource) == [MORNING]
    assert (row.name, row.etag, row.last_modified, row.failures) == ("订阅", '"1"', "then", 0)
    assert row.next_poll_at == make.NOW + rules.POLL_EVERY
    assert len(server.asked) == 1
    assert not Record.objects.filter(data__icontains="private-7f3a").exists(), "the address is a secret"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said(b"<html>"), CalendarRefused),
        (said(b"", 404), CalendarUnreachable),
        (said(b""), CalendarRefused),
        (said(b"", 302, Location="http://10.0.0.1/"), CalendarUnreachable),
    ],
)
def test_what_cannot_be_looked_at_is_not_subscribed(w, server, resource, answer, error):
    server.answers[SECRET] = answer
    with pytest.raises(error):
        polling.look(actor=w.keeper, resource=resource, name="x", url=server.url(SECRET), now=make.NOW)
    assert not ExternalCalendar.objects.exists()


def test_nothing_new_is_not_read_again(server, subscribed):
    server.answers[SECRET] = said(b"", 304)
    row = polled(subscribed)
    assert server.asked[-1]["if-none-match"] == '"1"'
    assert (row.failures, row.etag, row.imported_at) == (0, '"1"', make.NOW)
    assert row.checked_at == make.NOW + timedelta(minutes=30)
    assert CalendarImport.objects.count() == 1


def test_a_change_is_taken_over_and_recorded(server, resource, subscribed):
    server.answers[SECRET] = said(calendar(busy("a", NOON)), ETag='"2"')
    row = polled(subscribed)
    assert blocked(resource) == [NOON]
    assert row.etag == '"2"'
    assert (CalendarImport.objects.count(), CalendarImport.objects.first().actor_label) == (2, "日历同步")


def test_the_same_time_in_other_letters_changes_nothing_and_is_no_news(server, resource, subscribed):
    before = list(Claim.objects.values())
    server.answers[SECRET] = said(calendar(busy("a", MORNING)).replace(b"20261101", b"20261125"))
    polled(subscribed)
    assert list(Claim.objects.values()) == before
    assert CalendarImport.objects.count() == 1


def test_after_a_week_it_is_read_whole_and_a_series_reaches_further(server, resource, subscribed):
    server.answers[SECRET] = said(calendar(busy("a", MORNING, "组会", "RRULE:FREQ=WEEKLY")), ETag='"2"')
    polled(subscribed)
    last = max(span.end for span in blocked(resource))
    polled(subscribed, minutes=30 + 7 * 24 * 60 + 1)
    assert "if-none-match" not in server.asked[-1]
    assert max(span.end for span in blocked(resource)) == last + timedelta(days=7)
    assert CalendarImport.objects.count() == 2, "one day further is no news"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (said(b""), "empty"),
        (said(b"<!doctype html><html>sign in</html>"), "html"),
        (said(calendar(busy("a", NOON))[:-18]), "broken"),
        (said(calendar(busy("a", NOON)), length=9999), "connection"),
        (said(calendar()), "emptied"),
        (said(b"", 500), "status"),
        (said(b"", 302, Location="http://169.254.169.254/"), "private_address"),
        (said(b"hello"), "not_calendar"),
    ],
)
def test_c64_a_bad_answer_keeps_the_last_good_copy_flags_it_and_tells_the_owner(
    w, server, resource, subscribed, answer, problem
):
    server.answers[SECRET] = answer
    row = polled(subscribed)
    now = make.NOW + timedelta(minutes=30)
    assert blocked(resource) == [MORNING]
    assert (row.problem, row.failures, row.stale_since, row.checked_at) == (problem, 1, now, make.NOW)
    assert [found.pk for found, _met in queries.waiting(w.lab.pk, now=now)] == [row.pk]
    (told,) = Record.objects.filter(action="calendar.stale")
    assert w.lab.pk in told.organisation_ids

    polled(row, minutes=90)
    assert (row.failures, row.stale_since) == (2, now)
    assert Record.objects.filter(action="calendar.stale").count() == 1, "told once"
    server.answers[SECRET] = said(calendar(busy("a", NOON)))
    polled(row, minutes=300)
    assert (row.problem, row.failures, row.stale_since, row.problem_values) == ("", 0, None, {})
    assert blocked(resource) == [NOON]
    assert queries.waiting(w.lab.pk, now=now) == []


def test_polls_that_fail_come_further_apart_and_as_the_server_asks(server, subscribed):
    server.answers[SECRET] = said(b"", 503)
    minutes, pauses = 30, []
    for _ in range(8):
        row = polled(subscribed, minutes=minutes)
        pauses.append((row.next_poll_at - make.NOW) // timedelta(minutes=1) - minutes)
        minutes += pauses[-1]
    assert pauses == [60, 120, 240, 480, 960, 1440, 1440, 1440]
    assert rules.pause(failures=1, asked_s=7200) == timedelta(hours=2)
    assert rules.pause(failures=1, asked_s=10**6) == timedelta(days=1)


def test_an_empty_calendar_counts_when_its_lab_says_so(w, server, resource, subscribed):
    server.answers[SECRET] = said(calendar(), ETag='"1"')
    at = make.NOW + timedelta(minutes=5)
    row = polling.poll_now(actor=w.keeper, calendar=subscribed, now=at)
    assert (row.problem, blocked(resource)) == ("emptied", [MORNING])
    row = polling.poll_now(actor=w.keeper, calendar=subscribed, accept_empty=True, now=at + timedelta(minutes=2))
    assert (row.problem, blocked(resource)) == ("", [])


def test_a_booking_stays_and_time_it_gives_up_is_blocked_by_the_next_poll(w, server, resource, subscribed):
    later = make.slot(days=3)
    made = make.booking(w, resource, period=later)
    server.answers[SECRET] = said(calendar(busy("a", MORNING), busy("b", later)))
    polled(subscribed)
    assert blocked(resource) == [MORNING]
    assert [met for _row, met in queries.waiting(w.lab.pk, now=make.NOW)] == [1]
    bookings.cancel(actor=w.researcher, booking=made, now=make.NOW)
    assert queries.waiting(w.lab.pk, now=make.NOW) == []
    server.answers[SECRET] = said(b"", 500)
    polled(subscribed, minutes=60)
    assert blocked(resource) == [MORNING, later], "of the last good copy, even when the poll fails"


def test_an_upload_does_not_take_the_name_of_a_subscription(w, resource, subscribed):
    with pytest.raises(services.NameOfSubscription):
        services.import_calendar(actor=w.keeper, resource=resource, name="订阅", raw=calendar(), now=make.NOW)
    assert blocked(resource) == [MORNING]


def test_one_that_is_removed_or_moved_meanwhile_is_left(w, server, resource, subscribed):
    moved = ExternalCalendar.objects.get()
    ExternalCalendar.objects.update(url=server.url("/elsewhere.ics"))
    polling._take(moved, polling.Fetched(calendar(busy("a", NOON))), None, actor=polling.POLLER, now=make.NOW)
    polling._fail(moved, CalendarUnreachable(reason="timeout", values={}), now=make.NOW)
    assert ExternalCalendar.objects.get().failures == 0
    services.remove_calendar(actor=w.keeper, calendar=subscribed, now=make.NOW)
    polling.poll(calendar_id=moved.pk, now=make.NOW)
    assert blocked(resource) == []


def test_asking_now_is_for_the_lab_and_once_a_minute(w, server, subscribed):
    at = make.NOW + timedelta(minutes=5)
    with pytest.raises(Forbidden):
        polling.poll_now(actor=w.researcher, calendar=subscribed, now=at)
    polling.poll_now(actor=w.keeper, calendar=subscribed, now=at)
    with pytest.raises(polling.PolledJustNow):
        polling.poll_now(actor=w.keeper, calendar=subscribed, now=at + timedelta(seconds=59))
    polling.poll_now(actor=w.keeper, calendar=subscribed, now=at + timedelta(seconds=60))


class TestBeingDue:
    def test_a_claimed_poll_is_made_up_for_when_nobody_ends_it(self, subscribed):
        due = make.NOW + rules.POLL_EVERY
        assert polling.claim_due(now=due - timedelta(seconds=1)) == []
        assert polling.claim_due(now=due) == [subscribed.pk]
        assert polling.claim_due(now=due) == []
        assert polling.claim_due(now=due + polling.LEASE) == [subscribed.pk]

    def test_uploads_are_never_due(self, w, resource):
        services.import_calendar(
            actor=w.keeper, resource=resource, name="上传", raw=calendar(busy("a", NOON)), now=make.NOW
        )
        assert polling.claim_due(now=make.NOW + timedelta(days=300)) == []
        with pytest.raises(polling.NotSubscribed):
            polling.poll_now(actor=w.keeper, calendar=ExternalCalendar.objects.get(), now=make.NOW)

    def test_the_task_asks_every_calendar_that_is_due(self, server, resource, subscribed, settings, monkeypatch, clock):
        ExternalCalendar.objects.update(next_poll_at=make.NOW - timedelta(minutes=1))
        server.answers[SECRET] = said(calendar(busy("a", NOON)))
        monkeypatch.setattr(tasks.poll, "delay", tasks.poll)
        tasks.poll_due()
        assert blocked(resource) == [NOON]
        assert settings.CELERY_BEAT_SCHEDULE["calendars"]["task"] == tasks.poll_due.name


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_look_together_one_gets_each(w, server, resource, subscribed):
    due = make.NOW + rules.POLL_EVERY
    gate = threading.Barrier(4)

    def one(_number):
        gate.wait()
        try:
            return polling.claim_due(now=due)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        found = [pk for ids in pool.map(one, range(4)) for pk in ids]
    assert found == [subscribed.pk]
