"""Waiting for time: who may, in which order it is offered, what happens to an offer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden
from portal.organisations.models import Member, User
from scheduler.availability.models import Claim
from scheduler.bookings import services as bookings
from scheduler.displacements import services as displacements
from scheduler.messages.models import Message
from scheduler.quotas import rules as quota_rules
from scheduler.quotas import services as quotas
from scheduler.waitlist import access, notifying, rules, services
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from tests import make
from tests.bookings.scenarios.racing import rivals
from tests.calling import Caller, zoned
from tests.portal.pages.reading import enter, raw_codes, text_of

HOUR = timedelta(hours=1)


@pytest.fixture
def scene(w):
    """An instrument whose whole tomorrow is booked by somebody else, and an entry of the enterprise that waits for it."""
    w.sem, [w.other] = make.instrument(w), rivals(1)
    w.taken = [book(w.other, w.sem, "08:00", "15:00"), book(w.other, w.sem, "15:00", "22:00")]
    w.entry = wait(w.researcher, w.sem)
    return w


def book(who, resource, start, end):
    wanted = bookings.Wanted(resource=resource, period=make.slot(1, start, end), title="占满")
    return bookings.request_booking(actor=who, wanted=wanted, now=make.NOW, key=make.key())


def wait(who, resource, hours=2, **more):
    asked = services.Asked(resource, make.slot(1, "08:00", "22:00"), hours * HOUR, "候补", **more)
    return services.join(actor=who, asked=asked, now=make.NOW)


def freed(w, *, now=make.NOW):
    bookings.cancel(actor=w.other, booking=w.taken[0], now=now)
    services.look_everywhere(now=now)
    return WaitlistOffer.objects.filter(state="open").first()


def test_what_becomes_free_is_held_and_told_once(scene):
    person = make.user_of(scene.researcher)
    person.email = "lin@example.com"
    person.save()
    services.look_everywhere(now=make.NOW)
    assert not WaitlistOffer.objects.exists()
    offer = freed(scene)
    assert (offer.entry, offer.starts_at) == (scene.entry, make.slot(1, "08:00", "10:00").start)
    [claim] = offer.claims.all()
    assert (claim.state, claim.hold_until) == ("held", offer.answer_by)
    assert [notifying.send_due(now=make.NOW) for _twice in range(2)] == [1, 0]
    assert mail.outbox[0].to == ["lin@example.com"]


def test_who_has_left_the_organisation_is_told_of_nothing(scene):
    User.objects.filter(pk=scene.researcher.user_id).update(email="left@example.com")
    freed(scene)
    Member.objects.filter(user_id=scene.researcher.user_id).update(left_at=make.NOW)
    assert notifying.send_due(now=make.NOW) == 1
    assert mail.outbox == []


def test_a_refused_offer_passes_on_and_is_not_made_again(scene):
    freed(scene)
    second = wait(rivals(1)[0], scene.sem)
    services.refuse(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    services.look_everywhere(now=make.NOW)
    found = WaitlistOffer.objects.filter(state="open").values_list("entry_id", "starts_at")
    eight, ten = make.slot(1, "08:00", "10:00").start, make.slot(1, "10:00", "12:00").start
    assert dict(found) == {scene.entry.pk: ten, second.pk: eight}


def test_an_outage_takes_an_offer_back_and_waiting_goes_on(scene):
    freed(scene)
    said = displacements.Declared(make.slot(1, "08:00", "12:00"), "停电")
    displacements.declare(actor=scene.keeper, resource=scene.sem, declared=said, now=make.NOW, key="outage-1")
    with pytest.raises(rules.OfferGone):
        services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    assert services.close_due(now=make.NOW) == 1
    scene.entry.refresh_from_db()
    assert (scene.entry.state, scene.entry.offers.get().state) == ("waiting", "taken_back")


def test_one_like_it_will_do_only_where_that_was_said(scene):
    make.instrument(scene)
    willing = wait(rivals(1)[0], scene.sem, takes_twins=True)
    services.look_everywhere(now=make.NOW)
    [offer] = WaitlistOffer.objects.all()
    assert (offer.entry, offer.resource == scene.sem) == (willing, False)


def test_waiting_ends_by_withdrawal_and_by_time(scene):
    freed(scene)
    services.withdraw(actor=scene.owner, entry=scene.entry, now=make.NOW)
    assert not Claim.objects.filter(state="held", booking=None).exists()
    late = wait(scene.researcher, scene.sem, hours=7, part=rules.PartOfDay.MORNING)
    assert services.close_due(now=late.until) == 1
    late.refresh_from_db()
    assert late.state == "expired"


def test_what_cannot_be_waited_for(w):
    resource = make.instrument(w)
    with pytest.raises(rules.BadWindow):
        services.join(actor=w.researcher, asked=services.Asked(resource, make.slot(-3), HOUR, "候补"), now=make.NOW)
    for hours in (0, 9, 1000):
        with pytest.raises(rules.BadLength) as refused:
            wait(w.researcher, resource, hours=hours)
        assert refused.value.field == "length"
    for _more in range(rules.MOST):
        wait(w.researcher, resource)
    with pytest.raises(rules.TooMany):
        wait(w.researcher, resource)
    with pytest.raises(Forbidden):
        wait(w.keeper, resource)


def test_nobody_answers_for_others_and_a_lab_sees_a_number(scene):
    freed(scene)
    [rival] = rivals(1)
    for verb in (services.accept, services.refuse, services.withdraw):
        with pytest.raises(Forbidden):
            verb(actor=rival, entry=scene.entry, now=make.NOW)
    assert access.waiting_for(scene.keeper, scene.sem) == 1
    with pytest.raises(Forbidden):
        access.waiting_for(
            make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER), scene.sem
        )


@pytest.fixture
def elsewhere(scene):
    """Instruments of the same category, all free: one of another lab in Ningbo, one in Wenzhou."""
    lab = make.organisation(make.roles.Kind.PROVIDER)
    scene.there = []
    for city in ("宁波", "温州"):
        made = make.instrument(scene, city=city)
        type(made).objects.filter(pk=made.pk).update(owner=lab)
        made.refresh_from_db()
        scene.there.append(made)
    return scene


def test_an_instrument_of_the_category_will_do_in_the_cities_named(elsewhere):
    w = elsewhere
    willing = wait(rivals(1)[0], w.sem, anywhere=True, cities=["温州"])
    services.look_everywhere(now=make.NOW)
    [offer] = WaitlistOffer.objects.all()
    assert (offer.entry, offer.resource) == (willing, w.there[1])
    assert offer.claims.get().state == "held"
    by = make.actor(willing.organisation, make.roles.Role.RESEARCHER)
    made = services.accept(actor=by, entry=willing, now=make.NOW)
    assert (made.resource, made.state) == (w.there[1], "requested")


def test_without_a_city_any_will_do_and_another_category_never(elsewhere):
    w = elsewhere
    for one in w.there:
        type(one.instrument).objects.filter(pk=one.instrument.pk).update(category="other")
    willing = wait(rivals(1)[0], w.sem, anywhere=True)
    services.look_everywhere(now=make.NOW)
    assert not WaitlistOffer.objects.exists()
    facts = w.there[0].instrument
    type(facts).objects.filter(pk=facts.pk).update(category=w.sem.instrument.category)
    services.promote(resource=type(w.sem).objects.get(pk=w.there[0].pk), now=make.NOW)
    assert WaitlistOffer.objects.get().entry == willing


def test_a_category_is_waited_for_by_page_and_api_and_the_offer_shows_its_price(elsewhere, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    w = elsewhere
    client, url = enter(Client(), w.researcher), reverse("instrument_wait", args=[w.sem.number])
    said = {"since": "2026-11-26", "until": "2026-11-26", "hours": "2", "part": "any", "title": "候补", "voucher": ""}
    assert client.post(url, {**said, "anywhere": "on", "cities": ["北京"]}).status_code == 422
    assert client.post(url, {**said, "anywhere": "on", "cities": ["宁波"]})["Location"] == reverse("waitlist")
    services.look_everywhere(now=make.NOW)
    page = text_of(client.get(reverse("waitlist")))
    assert "其他单位的同类仪器也可以 · 宁波" in page
    assert "¥960.00" in page
    assert raw_codes(page) == []
    row = Caller(w.researcher).get("/waitlist").body["items"][0]
    assert row["offers"][0]["price"]["fen"] == 96000
    assert (row["anywhere"], row["cities"], row["offers"][0]["instrument"]) == (True, ["宁波"], w.there[0].number)


def limited(w):
    """Let nobody have more than an hour a week of the instrument."""
    limit = quota_rules.Limit("每周限额", quota_rules.Measure.HOURS, 3600)
    quotas.add_rule(actor=w.keeper, limit=limit, instruments=[w.sem], now=make.NOW)


def test_who_is_passed_over_is_told_why_once_a_day_however_often_one_looks(scene):
    limited(scene)
    assert freed(scene) is None
    for _again in range(3):
        services.promote(resource=scene.sem, now=make.NOW + timedelta(minutes=5))
    [told] = Message.objects.filter(kind="wait_passed_over")
    assert told.user_id == scene.researcher.user_id
    assert [reason["code"] for reason in told.reasons] == ["quota.hours"]
    services.promote(resource=scene.sem, now=make.NOW + timedelta(hours=6))
    services.promote(resource=scene.sem, now=make.NOW + timedelta(hours=6))
    assert Message.objects.filter(kind="wait_passed_over").count() == 1


def test_what_is_told_names_the_time_the_cause_and_the_remedy(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    limited(scene)
    freed(scene)
    text = text_of(enter(Client(), scene.researcher).get(reverse("my_messages")))
    assert "2026-11-26 08:00–10:00" in text
    assert "贵单位最多 1 小时" in text
    assert raw_codes(text) == []


def test_a_lab_sees_what_waits_and_who_only_where_they_let_it(scene, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    lab, url = enter(Client(), scene.keeper), reverse("lab_waitlist")
    page = text_of(lab.get(url))
    assert "未公开" in page
    assert scene.enterprise.name not in page
    wait(scene.researcher, scene.sem, hours=3, named=True)
    with django_assert_num_queries(6):
        page = text_of(lab.get(url))
    assert scene.enterprise.name in page
    assert raw_codes(page) == []
    named = {row["organisation"] for row in Caller(scene.keeper).get("/waitlist/received").body["items"]}
    assert named == {None, scene.enterprise.name}
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    assert Caller(other).get("/waitlist/received").body["items"] == []
    assert Caller(scene.researcher).get("/waitlist/received").status == 403


def test_by_the_api(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    firm, window = Caller(scene.researcher), make.slot(1, "08:00", "22:00")
    asked = {"instrument": scene.sem.number, "duration_s": 3600, "title": "候补", "part": "morning", "weekdays": [4]}
    made = firm.post("/waitlist", {**asked, "since": zoned(window.start), "until": zoned(window.end)})
    assert (made.status, made.body["state"], made.body["offers"]) == (201, "waiting", [])
    freed(scene)
    rows = {row["id"]: row for row in firm.get("/waitlist").body["items"]}
    assert {row["state"] for row in rows.values()} == {"offered"}
    booked = firm.post(f"/waitlist/{scene.entry.pk}/accept")
    assert booked.body["starts_at"] == rows[scene.entry.pk]["offers"][0]["starts_at"]
    assert firm.post(f"/waitlist/{made.body['id']}/refuse").body["state"] == "waiting"
    assert firm.post(f"/waitlist/{made.body['id']}/withdraw").body["state"] == "withdrawn"
    assert Caller(scene.keeper).get(f"/instruments/{scene.sem.number}/waiting").body == {"waiting": 0}


def test_by_the_pages(scene, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    client = enter(Client(), scene.researcher)
    url = reverse("instrument_wait", args=[scene.sem.number])
    assert url in client.get(reverse("instrument", args=[scene.sem.number])).content.decode()
    assert client.get(url).status_code == 200
    said = {"since": "2026-11-26", "until": "2026-11-27", "hours": "7", "part": "any", "title": "候补", "voucher": ""}
    assert client.post(url, {**said, "hours": ""}).status_code == 422
    assert "时长须在 1 至 8 小时之间" in text_of(client.post(url, {**said, "hours": "1000"}))
    assert client.post(url, {**said, "since": "2026-11-20", "until": "2026-11-21"}).status_code == 422
    assert client.post(url, said)["Location"] == reverse("waitlist")
    assert WaitlistEntry.objects.count() == 2
    freed(scene)
    page = client.get(reverse("waitlist"))
    assert "保留到" in text_of(page)
    assert raw_codes(text_of(page)) == []
    act = reverse("waitlist_act", args=[scene.entry.pk])
    done = client.post(act, {"act": "accept"}, follow=True)
    assert "已预约" in text_of(done)
    assert client.post(act, {"act": "refuse"}).status_code == 409
    with django_assert_num_queries(QUERIES):
        client.get(reverse("waitlist"))
    wait(scene.owner, scene.sem, hours=3)
    with django_assert_num_queries(QUERIES):
        client.get(reverse("waitlist"))


QUERIES = 7
