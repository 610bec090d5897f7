"""Subscriptions as calendar programs fetch them, and the page on which addresses are made and ended."""

from __future__ import annotations

import random
import re
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

import pytest
from django.test import Client
from django.urls import reverse
from icalendar import Calendar

from portal.organisations import rules as roles
from portal.organisations.models import Member
from portal.pages import feeds as pages
from scheduler.availability import services as availability
from scheduler.availability.queries import open_periods
from scheduler.availability.rules import WeeklyHours
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.feeds import rules, services
from scheduler.feeds.models import FeedToken
from tests import make, standing
from tests.integrations.ics.test_availability import evaluated
from tests.portal.pages.reading import enter, text_of

pytestmark = pytest.mark.usefixtures("clock")

ENTERPRISE = "宁波海曙精密仪器有限公司"


def build():
    w = make.world()
    w.sem = make.instrument(w)
    return w


_standing, _own, scene = standing.fixtures(build, "scene")


@pytest.fixture
def secret(scene):
    return make.feed(scene.keeper, scene.sem)[1]


def feed_url(secret, kind="events"):
    return reverse("feed", args=[secret, kind])


def taken_by_rival(w, **more):
    rival = make.actor(make.organisation(roles.Kind.ENTERPRISE, name=ENTERPRISE, sme=True), roles.Role.RESEARCHER)
    wanted = bookings.Wanted(resource=w.sem, period=make.slot(**more), title="对手的秘密课题")
    return bookings.request_booking(actor=rival, wanted=wanted, now=make.NOW, key=make.key())


def events_of(answer):
    return {str(event["UID"]): event for event in Calendar.from_ical(answer.content).walk("VEVENT")}


# ---- documents


def test_a_feed_told_as_busy_tells_that_time_is_taken_and_nothing_else(scene, client, secret):
    made = taken_by_rival(scene)
    gone = make.booking(scene, scene.sem, period=make.slot(days=2))
    bookings.cancel(actor=scene.researcher, booking=gone, now=make.NOW)
    availability.block_for_maintenance(
        actor=scene.keeper, resource=scene.sem, period=make.slot(days=3), note="灯丝更换", now=make.NOW
    )
    answer = client.get(feed_url(secret))
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Cache-Control"] == "private, max-age=300"
    assert "Set-Cookie" not in answer
    for word in ("秘密", "宁波海曙", "灯丝", made.number, "星河", "电池", "维护"):
        assert word.encode() not in answer.content
    events = events_of(answer)
    assert len(events) == 3
    told = events[str(made.uid)]
    assert (told["STATUS"], str(told["SUMMARY"])) == ("TENTATIVE", "已占用")
    assert (told["DTSTART"].dt, told["DTEND"].dt) == (made.starts_at, made.ends_at)
    assert events[str(gone.uid)]["STATUS"] == "CANCELLED"


@pytest.mark.parametrize(
    ("privacy", "summary", "describes"), [("title", "对手的秘密课题", False), ("full", "对手的秘密课题", True)]
)
def test_more_is_told_only_where_the_lab_says_so(scene, client, privacy, summary, describes):
    made = taken_by_rival(scene)
    _token, secret = make.feed(scene.keeper, scene.sem, privacy=privacy)
    told = events_of(client.get(feed_url(secret)))[str(made.uid)]
    assert str(told["SUMMARY"]) == summary
    assert (ENTERPRISE in str(told.get("DESCRIPTION", ""))) is describes
    assert str(told["CLASS"]) == "PRIVATE"


def test_ones_own_feed_has_ones_own_bookings_in_every_instrument(scene, client):
    other = make.instrument(scene, name="透射电镜")
    mine = [make.booking(scene, each) for each in (scene.sem, other)]
    taken_by_rival(scene, days=2)
    _token, secret = make.feed(scene.researcher, privacy="full")
    answer = client.get(feed_url(secret))
    told = events_of(answer)
    assert {uid: str(event["SUMMARY"]) for uid, event in told.items()} == {
        str(mine[0].uid): scene.sem.name,
        str(mine[1].uid): "透射电镜",
    }
    assert "电池极片截面观察" in str(told[str(mine[0].uid)]["DESCRIPTION"])
    _token, busy = make.feed(scene.researcher, kind="freebusy")
    assert client.get(feed_url(busy, "freebusy")).content.count(b"FBTYPE=BUSY-TENTATIVE") == 1
    assert client.get(feed_url(make.feed(scene.owner)[1])).content.count(b"VEVENT") == 0
    Member.objects.filter(user_id=scene.researcher.user_id).update(left_at=make.NOW)
    assert events_of(client.get(feed_url(secret))) == {}


def test_free_busy_holds_everything_that_takes_time(w, client):
    w.sem = make.instrument(w, setup_s=1800, cleanup_s=1800)
    _token, secret = make.feed(w.keeper, w.sem, kind="freebusy")
    taken_by_rival(w)
    availability.block_for_maintenance(
        actor=w.keeper, resource=w.sem, period=make.slot(days=3), note="保养", now=make.NOW
    )
    body = client.get(feed_url(secret, "freebusy")).content.decode().replace("\r\n ", "")
    told = dict(line.rsplit(":", 1)[::-1] for line in body.splitlines() if line.startswith("FREEBUSY"))
    assert set(told) == {"20261126T003000Z/20261126T033000Z", "20261128T010000Z/20261128T030000Z"}
    assert "BUSY-TENTATIVE" in told["20261126T003000Z/20261126T033000Z"]
    assert "BUSY-UNAVAILABLE" in told["20261128T010000Z/20261128T030000Z"]
    assert "VEVENT" not in body


def test_opening_hours_are_those_bookings_are_judged_by(scene, client):
    _token, secret = make.feed(scene.keeper, scene.sem, kind="availability")
    first = client.get(feed_url(secret, "availability"))
    window = rules.window(make.NOW, rules.FeedKind.AVAILABILITY)
    assert evaluated(first.content) == open_periods([scene.sem], window=window)[scene.sem.pk]
    assert client.get(feed_url(secret, "availability"), headers={"If-None-Match": first["ETag"]}).status_code == 304
    hours = [WeeklyHours(frozenset({6}), 600, 720)]
    availability.set_opening_hours(actor=scene.keeper, resource=scene.sem, hours=hours, now=make.NOW)
    changed = client.get(feed_url(secret, "availability"), headers={"If-None-Match": first["ETag"]})
    assert evaluated(changed.content) == open_periods([scene.sem], window=window)[scene.sem.pk] != []


# ---- transport


def test_an_unchanged_feed_is_not_rendered_again(scene, client, secret, monkeypatch, django_assert_max_num_queries):
    make.booking(scene, scene.sem)
    rendered = []
    monkeypatch.setitem(pages.RENDERERS, rules.FeedKind.EVENTS, lambda *_: rendered.append(1) or b"BEGIN:VCALENDAR")
    first = client.get(feed_url(secret))
    with django_assert_max_num_queries(7):  # two savepoints, the address, its use, its reader
        same = client.get(feed_url(secret), headers={"If-None-Match": first["ETag"], "If-Modified-Since": "x"})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert same["Cache-Control"] == "private, max-age=300"
    assert client.get(feed_url(secret)).content == first.content
    assert rendered == [1]
    make.booking(scene, scene.sem, period=make.slot(days=2))
    changed = client.get(feed_url(secret), headers={"If-None-Match": first["ETag"]})
    assert (changed.status_code, changed["ETag"] != first["ETag"], rendered) == (200, True, [1, 1])


def test_c48_a_date_alone_is_enough_and_an_etag_wins_over_it(scene, client, secret, monkeypatch):
    """RFC 9110 §13.2.2. The clock stands still: versions of one second still have dates of their own."""
    make.booking(scene, scene.sem)
    dates = []
    for day in (2, 3, 4):
        first = client.get(feed_url(secret))
        dates.append(parsedate_to_datetime(first["Last-Modified"]))
        with monkeypatch.context() as still:
            still.setattr(pages, "_rendered", None)
            same = client.get(feed_url(secret), headers={"If-Modified-Since": first["Last-Modified"]})
        assert (same.status_code, same.content, same["Last-Modified"]) == (304, b"", first["Last-Modified"])
        make.booking(scene, scene.sem, period=make.slot(days=day))
        for stale in ({}, {"If-None-Match": first["ETag"]}, {"If-None-Match": '"other"'}):
            changed = client.get(feed_url(secret), headers={"If-Modified-Since": first["Last-Modified"]} | stale)
            assert changed.status_code == 200
        assert (
            client.get(
                feed_url(secret), headers={"If-None-Match": '"other"', "If-Modified-Since": changed["Last-Modified"]}
            ).status_code
            == 200
        )
    assert dates == sorted(set(dates))


@pytest.mark.parametrize("kind", ["events", "freebusy"])
@pytest.mark.parametrize("whose", ["lab", "person"])
def test_two_bodies_never_share_an_etag(scene, client, monkeypatch, kind, whose):
    """Whatever happens to bookings and addresses, one ETag stands for one document."""
    levels = ("busy", "title", "full") if kind == "events" else ("busy",)
    by, resource = (scene.keeper, scene.sem) if whose == "lab" else (scene.researcher, None)
    secrets = [make.feed(by, resource, kind=kind, privacy=level)[1] for level in levels]
    monkeypatch.setattr(rules, "HOURLY", 1000)
    monkeypatch.setattr(pages.cache, "get_or_set", lambda _key, make_it, _s: make_it())
    chance = random.Random(8)
    bodies = {}
    for turn in range(12):
        live = list(Booking.objects.filter(state="requested"))
        act = chance.choice(["book", "cancel", "confirm"]) if live else "book"
        if act == "book":
            make.booking(scene, scene.sem, period=make.slot(days=turn + 1))
        elif act == "cancel":
            bookings.cancel(actor=scene.researcher, booking=live[0], now=make.NOW)
        else:
            bookings.confirm(actor=scene.keeper, booking=live[0], now=make.NOW)
        for secret in secrets:
            answer = client.get(feed_url(secret, kind))
            assert bodies.setdefault(answer["ETag"], answer.content) == answer.content
    assert len(set(bodies.values())) > 8


def test_the_same_etag_always_means_the_same_bytes(scene, client, secret, monkeypatch):
    make.booking(scene, scene.sem)
    morning = client.get(feed_url(secret))
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + timedelta(hours=5))
    evening = client.get(feed_url(secret), headers={"Accept-Language": "en"})
    assert (morning["ETag"], morning.content) == (evening["ETag"], evening.content)
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW.replace(tzinfo=UTC) + timedelta(days=1))
    assert client.get(feed_url(secret))["ETag"] != morning["ETag"]


def test_head_is_get_without_a_body(scene, client, secret):
    got, head = client.get(feed_url(secret)), client.head(feed_url(secret))
    assert head.content == b""
    assert {name: head[name] for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control")} == {
        name: got[name] for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control")
    }
    assert client.post(feed_url(secret)).status_code == 405


def test_unknown_is_404_revoked_410_and_too_often_429(scene, client):
    token, secret = make.feed(scene.keeper, scene.sem)
    assert client.get(feed_url(secret)).status_code == 200
    assert client.get(f"/calendar/{secret}/events.ics").status_code == 200, "where feeds stood before"
    FeedToken.objects.filter(pk=token.pk).update(hour_count=rules.HOURLY)
    often = client.get(feed_url(secret))
    assert (often.status_code, often["Retry-After"]) == (429, "3601")
    services.revoke(actor=scene.keeper, token=token, now=make.NOW)
    gone = client.get(feed_url(secret))
    assert (gone.status_code, gone["Cache-Control"]) == (410, "no-store")
    assert "VCALENDAR" not in gone.content.decode()
    assert client.get(feed_url("x" * 32)).status_code == 404
    assert client.get("/feeds/short/events.ics").status_code == 404
    assert client.get(feed_url(secret, "freebusy")).status_code == 404


def test_a_document_of_more_than_2_mib_is_not_sent(scene, client, secret, monkeypatch):
    monkeypatch.setattr(rules, "MAX_BYTES", 10)
    assert client.get(feed_url(secret)).status_code == 413


# ---- the page


def page_of(resource):
    return reverse("instrument_feed", args=[resource.number]) if resource else reverse("my_feeds")


def form(page, **changes):
    return {"label": "手机日历", "kind": "events", "privacy": "busy", "idempotency_key": page.context["key"]} | changes


@pytest.mark.parametrize("whose", ["lab", "person"])
def test_an_address_is_made_shown_once_and_ended(scene, client, whose):
    resource = scene.sem if whose == "lab" else None
    enter(client, scene.keeper if resource else scene.researcher)
    page = client.get(page_of(resource))
    assert "还没有订阅地址。" in text_of(page)
    shown = client.post(page_of(resource), form(page))
    assert (shown.status_code, shown["Cache-Control"]) == (200, "no-store")
    address = re.search(r"/feeds/([\w-]+)/events\.ics", shown.context["made"]["url"])
    assert shown.context["made"]["webcal"].startswith("webcal://")
    assert Client().get(address[0], headers={"User-Agent": "khal/0.14"}).status_code == 200
    again = client.post(page_of(resource), form(page), follow=True)
    assert address[1] not in again.content.decode()
    token = FeedToken.objects.get()
    for text in ("khal/0.14", "127.0.0.1", token.prefix, "手机日历"):
        assert text in text_of(again)
    ended = client.post(reverse("feed_revoke", args=[token.pk]), follow=True)
    assert "已作废" in text_of(ended)
    assert Client().get(address[0]).status_code == 410


def test_a_form_that_cannot_be_is_given_back(scene, client):
    enter(client, scene.keeper)
    page = client.get(page_of(scene.sem))
    answer = client.post(page_of(scene.sem), form(page, label="", kind="freebusy"))
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["label"])
    answer = client.post(page_of(scene.sem), form(page, kind="freebusy", privacy="full"))
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["privacy"])
    assert not FeedToken.objects.exists()


def test_nobody_sees_or_ends_the_addresses_of_others(scene, client):
    token, _secret = make.feed(scene.keeper, scene.sem)
    enter(client, scene.researcher)
    assert client.get(page_of(scene.sem)).status_code == 403
    assert client.post(reverse("feed_revoke", args=[token.pk])).status_code == 404
    assert FeedToken.objects.get().revoked_at is None


def test_calendar_mails_are_turned_off_on_the_page_of_ones_subscriptions(scene, client):
    enter(client, scene.researcher)
    page = client.get(page_of(None))
    assert "尚未配置邮件服务器" in text_of(page)
    assert page.context["mails"]["wanted"].initial is True
    saved = client.post(reverse("calendar_mails"), {"language": "en"}, follow=True)
    assert "日历邮件的设置已保存。" in text_of(saved)
    assert saved.context["mails"].initial == {"wanted": False, "language": "en"}
    refused = client.post(reverse("calendar_mails"), {"wanted": "on", "language": "fr"}, follow=True)
    assert "没有保存" in text_of(refused)
    enter(client, scene.keeper)
    assert client.get(page_of(scene.sem)).context["mails"] is None
