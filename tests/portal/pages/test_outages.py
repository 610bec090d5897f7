"""Declaring an outage and choosing instead of a displaced booking, as people do it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings.models import Booking
from scheduler.displacements import services
from scheduler.displacements.models import Outage
from tests import make
from tests.calling import Caller, zoned
from tests.portal.pages.reading import enter, raw_codes, text_of

SAID = {
    "day": "2026-11-26",
    "start": "08:00",
    "end_day": "2026-11-26",
    "end": "20:00",
    "reason": "真空泵故障",
    "answer_hours": "12",
}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)


@pytest.fixture
def made(w):
    resource = make.instrument(w)
    make.instrument(w)
    return make.booking(w, resource)


def declared(w, made):
    said = services.Declared(make.slot(1, "08:00", "20:00"), "真空泵故障")
    return services.declare(actor=w.keeper, resource=made.resource, declared=said, now=make.NOW, key="outage-1")


def test_the_lab_sees_whom_it_meets_before_it_declares(w, made):
    client, url = enter(Client(), w.keeper), reverse("instrument_outage", args=[made.resource.number])
    assert url in client.get(reverse("instrument_maintenance", args=[made.resource.number])).content.decode()
    seen = client.post(url, {**SAID, "act": "preview", "idempotency_key": client.get(url).context["key"]})
    assert made.number in text_of(seen)
    assert not Outage.objects.exists()
    done = client.post(url, {**SAID, "act": "declare", "idempotency_key": seen.context["key"]})
    outage = Outage.objects.get()
    assert done["Location"] == reverse("outage", args=[outage.number])
    page = client.get(done["Location"])
    assert "待选择" in text_of(page)
    assert raw_codes(text_of(page)) == []
    assert outage.number in text_of(client.get(reverse("outages")))
    ended = client.post(reverse("outage_end", args=[outage.number]), follow=True)
    assert "重新开放预约" in text_of(ended)


def test_wrong_entries_stay_on_the_form(w, made):
    client, url = enter(Client(), w.keeper), reverse("instrument_outage", args=[made.resource.number])
    assert client.post(url, {**SAID, "reason": "", "act": "preview"}).status_code == 422
    past = client.post(url, {**SAID, "end": "07:00", "act": "preview"})
    assert past.status_code == 422
    assert "结束时间必须晚于开始时间" in text_of(past)


@pytest.mark.parametrize(("choice", "state"), [("twin", "confirmed"), ("later", "confirmed"), ("refund", "cancelled")])
def test_the_enterprise_chooses_with_one_press(w, made, choice, state):
    declared(w, made)
    client, url = enter(Client(), w.researcher), reverse("displaced")
    assert url in client.get(reverse("booking", args=[made.number])).content.decode()
    page = client.get(url)
    assert "¥960.00" in text_of(page)
    assert raw_codes(text_of(page)) == []
    client.post(reverse("booking_choose", args=[made.number]), {"choice": choice})
    assert Booking.objects.get(pk=made.pk).state == state
    again = client.post(reverse("booking_choose", args=[made.number]), {"choice": "nothing"})
    assert again["Location"] == url
    if choice != "refund":
        late = client.post(reverse("booking_choose", args=[made.number]), {"choice": "refund"})
        assert (late.status_code, "已经确定" in text_of(late)) == (409, True)


def test_the_lists_cost_the_same_however_long(w, made, django_assert_num_queries):
    client = enter(Client(), w.researcher)
    declared(w, made)
    with django_assert_num_queries(QUERIES):
        client.get(reverse("displaced"))
    second = make.booking(w, make.instrument(w), period=make.slot(2))
    said = services.Declared(make.slot(2), "停电")
    services.declare(actor=w.keeper, resource=second.resource, declared=said, now=make.NOW, key="outage-2")
    with django_assert_num_queries(QUERIES):
        client.get(reverse("displaced"))


QUERIES = 7


def test_by_the_api(w, made):
    lab, firm = Caller(w.keeper), Caller(w.researcher)
    span = make.slot(1, "08:00", "20:00")
    period = {"starts_at": zoned(span.start), "ends_at": zoned(span.end)}
    path = f"/instruments/{made.resource.number}/outages"
    assert [row["number"] for row in lab.post(f"{path}/preview", period).body] == [made.number]
    answer = lab.post(path, {**period, "reason": "真空泵故障"}, key="outage-key-1")
    assert (answer.status, answer.body["displaced"], answer.body["open"]) == (201, 1, 1)
    number = answer.body["number"]
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    for stranger, status in ((lab, 403), (Caller(w.officer), 403), (Caller(rival), 404)):
        answer = stranger.post(f"/bookings/{made.number}/displacement", {"choice": "refund"})
        assert answer.status == status
    said = firm.get(f"/bookings/{made.number}/displacement").body
    assert [option["kind"] for option in said["options"]] == ["later", "twin", "refund"]
    chosen = firm.post(f"/bookings/{made.number}/displacement", {"choice": "twin"})
    assert (chosen.status, chosen.body["state"]) == (200, "moved")
    assert lab.get(f"/outages/{number}").body["moved"] == 1
    assert [row["number"] for row in lab.get("/outages").body["items"]] == [number]
    assert lab.post(f"/outages/{number}/end").body["ended_at"] is not None
    assert firm.post(f"/bookings/{made.number}/displacement", {"choice": "refund"}).code == "displacement.answered"
