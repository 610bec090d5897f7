"""Bookings in other people's calendars: a feed through its life, and mails through theirs.

Judged by libical, vdirsyncer, khal and Radicale, which know nothing of this portal.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from datetime import time as wall
from unittest import mock
from zoneinfo import ZoneInfo

import httpx
import pytest
from icalendar import Calendar, Event

from integrations.mail import post
from portal.kernel.period import Period
from portal.organisations.models import User
from portal.pages import feeds as pages
from scheduler.availability import services as availability
from scheduler.availability.rules import WeeklyHours
from scheduler.bookings import bundles, moving, rewording, series
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.bookings.series_preview import SeriesWanted
from scheduler.bookings.series_rules import Frequency, Pattern
from scheduler.feeds import services as feeds
from scheduler.invitations import rules as mail_rules
from scheduler.invitations import services as invitations
from scheduler.resources.models import Resource
from tests import make
from tests.bookings.scenarios import scenario
from tests.integrations.ics import programs
from tests.integrations.ics.test_conformance import libical, right_to_the_byte
from tests.scenarios import is_full
from tests.scheduler.invitations import sink as mailbox

HOUR = timedelta(hours=1)
BEIJING = ZoneInfo("Asia/Shanghai")


def instrument(w: make.World) -> Resource:
    """Return an instrument whose bookings are confirmed at once."""
    found = make.instrument(w)
    hours = [WeeklyHours(frozenset(range(1, 8)), 480, 1320, is_automatic=True)]
    availability.set_opening_hours(actor=w.keeper, resource=found, hours=hours, now=make.NOW)
    return found


def booked(w: make.World, resource: Resource, start: datetime, title: str, *, hours: int = 1) -> Booking:
    wanted = bundles.Wanted(resource=resource, period=Period(start, start + hours * HOUR), title=title)
    return bookings.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())


def in_series(w: make.World, resource: Resource, day: int, hour: wall, uses: int, title: str) -> list[Booking]:
    """Book an hour on each of `uses` days from `day` days after today on."""
    like = bundles.Wanted(resource=resource, period=Period(make.NOW, make.NOW + HOUR), title=title)
    first = make.slot(days=day).start.astimezone(BEIJING).date()
    pattern = Pattern(
        duration=HOUR, zone="Asia/Shanghai", first=first, clock=hour, frequency=Frequency.DAILY, count=uses
    )
    wanted = SeriesWanted(like=like, pattern=pattern)
    made = series.book(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
    return list(made.bookings.order_by("planned_at"))


def events_of(body: bytes) -> dict[str, Event]:
    return {str(event["UID"]): event for event in Calendar.from_ical(body).walk("VEVENT")}


def line_of(made: Booking, status: str) -> str:
    start, end = made.starts_at.astimezone(BEIJING), made.ends_at.astimezone(BEIJING)
    return f"{start:%Y-%m-%d %H:%M}|{end:%Y-%m-%d %H:%M}|{made.title}|{status}"


@scenario("S8", commits=True)
def a_feed_and_its_subscribers(w, clock, live_server, tmp_path) -> str:
    """A full calendar is subscribed to, asked again, changed and ended: one version, one body, one event per booking."""
    count, rows, uses, cancelled, moved = (500, 20, 4, 15, 5) if is_full() else (28, 2, 3, 3, 2)
    resource = instrument(w)
    single = count - rows * uses
    days = [make.slot(days=day).start - HOUR for day in range(1, single // 12 + 2)]
    starts = [day + slot * HOUR for day in days for slot in range(12)][:single]
    for n, start in enumerate(starts):
        booked(w, resource, start, f"机密课题第{n}号；失效分析, \\“甲”")
    evenings = [(1 + uses * (n // 2), wall(20 + n % 2)) for n in range(rows)]
    every = [in_series(w, resource, day, hour, uses, f"连续试验第{day}天，{hour}") for day, hour in evenings]
    by_place = [each[place] for place in range(uses) for each in every]
    for one in by_place[:cancelled]:
        bookings.cancel(actor=w.researcher, booking=one, now=make.NOW)
    for one in by_place[cancelled : cancelled + moved]:
        away = Period(one.starts_at + timedelta(days=20), one.ends_at + timedelta(days=20))
        moving.move(actor=w.researcher, booking=one, period=away, now=make.NOW)
    made = list(Booking.objects.filter(resource=resource).order_by("pk"))
    token, secret = make.feed(w.keeper, resource, privacy="title")
    _busy, quiet = make.feed(w.keeper, resource, privacy="busy")
    url = f"{live_server.url}/feeds/{secret}/events.ics"
    with (
        httpx.Client(timeout=60) as subscriber,
        mock.patch.object(pages, "_rendered", wraps=pages._rendered) as rendered,
    ):
        first = subscriber.get(url)
        assert (first.status_code, first.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
        right_to_the_byte(first.content)
        assert libical(first.content) == 0
        assert len(events_of(first.content)) == count
        assert rendered.call_count == 1

        asked = {"If-None-Match": first.headers["etag"]}
        took = []
        for _ in range(10):
            started = time.perf_counter()
            again = subscriber.get(url, headers=asked)
            took.append(time.perf_counter() - started)
            assert (again.status_code, again.content) == (304, b"")
        assert rendered.call_count == 1
        assert not is_full() or min(took) < 0.02

        one = made[-1]
        later = Period(one.starts_at + timedelta(days=7), one.ends_at + timedelta(days=7))
        moving.move(actor=w.researcher, booking=one, period=later, now=make.NOW)
        newer = subscriber.get(url, headers=asked)
        assert newer.status_code == 200
        assert newer.headers["etag"] != first.headers["etag"]
        before, after = events_of(first.content)[str(one.uid)], events_of(newer.content)[str(one.uid)]
        assert after["SEQUENCE"] == before["SEQUENCE"] + 1
        assert (after["DTSTART"].dt, len(events_of(newer.content))) == (later.start, count)
        assert subscriber.get(url, headers={"If-None-Match": newer.headers["etag"]}).status_code == 304

        folder = programs.sync(url, tmp_path)
        listed = programs.khal_list(folder, tmp_path, window=Period(make.NOW, make.NOW + timedelta(days=90)))
        told = Booking.objects.filter(resource=resource)
        words = {"cancelled": "CANCELLED", "confirmed": "CONFIRMED", "requested": "TENTATIVE"}
        assert sorted(line.strip() for line in listed) == sorted(line_of(each, words[each.state]) for each in told)

        hidden = subscriber.get(f"{live_server.url}/feeds/{quiet}/events.ics").content.replace(b"\r\n ", b"")
        assert hidden.count(b"BEGIN:VEVENT") == count
        secrets = (
            {each.title for each in told} | {each.number for each in told} | {"机密", "失效分析", str(w.enterprise)}
        )
        assert not [name for name in secrets if name.encode() in hidden]

        feeds.revoke(actor=w.keeper, token=token, now=make.NOW)
        assert subscriber.get(url, headers=asked).status_code == 410
    return f"{count} events, {rows * uses} of {rows} series, {len(first.content) // 1024} KiB, 304 in {min(took) * 1000:.0f} ms"


def killed_after_data(letter) -> None:
    """Hand a mail in and die before anybody hears that it went."""
    post.send(letter)
    raise SystemExit


def deliver(now: datetime) -> int:
    return sum(invitations.send(mail_id=mail_id, now=now) for mail_id in invitations.due(now=now))


@scenario("S9")
def mails_through_the_life_of_a_booking(w, settings, tmp_path) -> str:
    """Booked, moved, reworded, cancelled, a worker killed after DATA: three calendar mails, one event in the end."""
    User.objects.filter(pk=w.researcher.user_id).update(email="zhou@firm.example")
    now, resource = make.NOW, instrument(w)
    with mailbox.serving() as sink:
        mailbox.use(settings, sink)
        made = booked(w, resource, make.slot().start, "机密课题", hours=2)
        settings.CALENDAR_POST = f"{__name__}.killed_after_data"
        with pytest.raises(SystemExit):
            deliver(now)
        settings.CALENDAR_POST = "integrations.mail.post.send"
        assert deliver(now + mail_rules.STALE) == 1, "the same mail once more"
        shorter = Period(made.starts_at, made.ends_at - HOUR)
        made = moving.move(actor=w.researcher, booking=made, period=shorter, now=now)
        assert deliver(now + HOUR) == 1
        rewording.reword(actor=w.researcher, booking=made, title="换个说法", now=now)
        assert deliver(now + HOUR) == 0
        bookings.cancel(actor=w.researcher, booking=made, now=now)
        assert deliver(now + HOUR) == 1
        in_series(w, resource, 2, wall(9), 12, "每日标定")
        assert deliver(now + HOUR) == 1
        *mails, twelve = sink.mails
    assert len(events_of(mailbox.calendar_of(twelve))) == 12
    assert libical(mailbox.calendar_of(twelve)) == 0
    assert len(mails) == 4
    kept = {mail["Message-ID"]: mail for mail in mails}
    assert len(kept) == 3
    assert mailbox.calendar_of(mails[0]) == mailbox.calendar_of(mails[1])
    told = [Calendar.from_ical(mailbox.calendar_of(mail)) for mail in kept.values()]
    said = [(str(each["METHOD"]), each.walk("VEVENT")[0]["SEQUENCE"]) for each in told]
    assert said == [("REQUEST", 0), ("REQUEST", 1), ("CANCEL", 2)]
    assert {str(each.walk("VEVENT")[0]["UID"]) for each in told} == {str(made.uid)}
    for mail, each in zip(kept.values(), told, strict=True):
        parts = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
        assert [part.get_param("method") for part in parts] == [str(each["METHOD"])]
        assert libical(mailbox.calendar_of(mail)) == 0
    with programs.radicale(tmp_path) as server:
        server.put("mine", b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\nEND:VCALENDAR\r\n")
        for each in told:
            del each["METHOD"]  # a server stores objects, not messages (RFC 4791 §4.1)
            assert server.put_one("mine", str(made.uid), each.to_ical()) in {201, 204}
        (event,) = Calendar.from_ical(server.get("mine")).walk("VEVENT")
        assert (str(event["STATUS"]), event["SEQUENCE"]) == ("CANCELLED", 2)
        assert server.busy("mine", Period(now, now + timedelta(days=30))) == []
    return (
        "REQUEST 0, REQUEST 1, CANCEL 2; one duplicate known by its Message-ID; a series of 12 in one mail; "
        "Radicale keeps one event, cancelled"
    )
