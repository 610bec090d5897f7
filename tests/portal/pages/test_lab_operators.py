"""Operators of a lab and the terms of its instruments, in the browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Refused
from scheduler.availability.models import Closure, OpeningHours, SpecialOpening
from scheduler.bookings import services as bookings
from scheduler.bookings.models import BookingTerms
from scheduler.resources.models import Resource, Skill
from tests import make
from tests.calling import Caller, zoned
from tests.portal.pages.reading import raw_codes, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def lab(w):
    client = Client()
    client.force_login(make.user_of(w.keeper))
    return client


def test_an_operator_is_entered_given_hours_and_an_instrument_and_can_be_booked(w, lab):
    sem = make.instrument(w)
    entered = lab.post(reverse("operator_new"), {"name": "秦操作", "city": "杭州", "zone": "Asia/Shanghai"})
    person = Resource.objects.get(kind="operator")
    here = reverse("operator", args=[person.number])
    assert entered["Location"] == here
    hours = reverse("operator_hours", args=[person.number])
    assert "工作时间" in lab.get(hours).content.decode()
    week = {
        "rows": "1",
        "row0-weekdays": [str(day) for day in range(1, 8)],
        "row0-opens": "08:00",
        "row0-closes": "22:00",
    }
    assert lab.post(hours, {**week, "row0-audience": "everybody", "act": "save"})["Location"] == here
    assert OpeningHours.objects.filter(resource=person).count() == 1
    sent = {"act": "grant", "instrument": sem.number, "since": "2026-11-01", "until": "2027-10-31"}
    assert lab.post(here, sent)["Location"] == here
    page = lab.get(here)
    assert [row["until"].isoformat() for row in page.context["skills"]] == ["2027-10-31"]
    assert sem.name in lab.get(reverse("operators")).content.decode()
    lab.post(here, {"act": "end", "instrument": sem.number})
    assert [row.valid.upper.isoformat() for row in Skill.objects.all()] == ["2026-11-25"]


def test_wrong_days_and_names_are_said_at_their_fields(w, lab):
    sem, person = make.instrument(w), make.operator(w)
    here = reverse("operator", args=[person.number])
    sent = {"act": "grant", "instrument": sem.number, "since": "2026-11-02", "until": "2026-11-01"}
    answer = lab.post(here, sent)
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["until"])
    assert lab.post(reverse("operator_new"), {"name": " ", "city": "杭州", "zone": "Asia/Shanghai"}).status_code == 422
    wrong = lab.post(reverse("operator_new"), {"name": "秦", "city": "杭州", "zone": "Moon/Base"})
    assert wrong.status_code == 422


def test_operators_are_their_labs_own(w):
    person = make.operator(w)
    other = Client()
    other.force_login(make.user_of(make.world().keeper))
    for name in ("operator", "operator_hours"):
        assert other.get(reverse(name, args=[person.number])).status_code == 404
    stranger = Client()
    stranger.force_login(make.user_of(w.researcher))
    assert stranger.get(reverse("operators")).status_code == 403


@pytest.mark.parametrize("count", [1, 6])
def test_the_list_asks_a_constant_number_of_questions(w, lab, count, django_assert_num_queries):
    sem = make.instrument(w)
    for _ in range(count):
        make.operator(w, sem)
    with django_assert_num_queries(8):
        assert len(lab.get(reverse("operators")).context["lines"]) == count


def test_terms_are_set_and_shown(w, lab):
    sem, bench = make.instrument(w), make.instrument(w, kind="bench")
    here = reverse("instrument_terms", args=[sem.number])
    assert here in lab.get(reverse("instrument", args=[sem.number])).content.decode()
    said = {
        "self_use": "never",
        "bench": bench.number,
        "bench_minutes": "90",
        "bench_places": "1",
        "free_cancel_hours": "24",
        "late_cancel_percent": "30",
    }
    assert lab.post(here, said).status_code == 302
    row = BookingTerms.objects.get()
    assert (row.self_use, row.bench, row.bench_s, row.free_cancel_s, row.late_percent) == (
        "never",
        bench,
        5400,
        86400,
        30,
    )
    form = lab.get(here).context["form"]
    assert {name: str(form.initial[name]) for name in said} == said
    wrong = lab.post(here, {**said, "bench_minutes": "2"})
    assert (wrong.status_code, list(wrong.context["form"].errors)) == (422, ["bench"])
    assert lab.post(here, {**said, "late_cancel_percent": "101"}).status_code == 422


def test_leave_names_the_bookings_that_lose_their_operator_before_it_is_saved(w, lab):
    sem = make.instrument(w)
    person = make.operator(w, sem)
    wanted = bookings.Wanted(resource=sem, period=make.slot(), title="失效分析", operator=person)
    made = bookings.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
    here = reverse("operator_absences", args=[person.number])
    assert here in lab.get(reverse("operators")).content.decode()
    assert here in lab.get(reverse("operator", args=[person.number])).content.decode()
    day = make.slot().start.astimezone(make.BEIJING).date().isoformat()
    leave = {
        "act": "save",
        "kind": "closed",
        "day": day,
        "start": "00:00",
        "end_day": day,
        "end": "20:00",
        "reason": "年假",
    }
    asked = lab.post(here, leave)
    assert asked.status_code == 409
    assert made.number in text_of(asked)
    assert "下列预约由此人操作" in text_of(asked)
    assert not Closure.objects.exists()
    assert lab.post(here, {**leave, "accepts": made.number})["Location"] == here
    page = text_of(lab.get(here))
    assert "请假" in page
    assert "特别开放" not in page
    assert raw_codes(page) == []
    assert bookings.Booking.objects.get(pk=made.pk).state == "requested"
    other = replace(wanted, period=make.slot(start="13:00", end="15:00"))
    with pytest.raises(Refused):
        bookings.request_booking(actor=w.researcher, wanted=other, now=make.NOW, key=make.key())
    closure = Closure.objects.get()
    assert lab.post(here, {"act": "lift", "id": closure.pk})["Location"] == here
    bookings.request_booking(actor=w.researcher, wanted=other, now=make.NOW, key=make.key())


def test_an_operators_extra_duty_is_open_to_everybody(w, lab):
    person = make.operator(w, make.instrument(w))
    here = reverse("operator_absences", args=[person.number])
    duty = {
        "act": "save",
        "kind": "open",
        "day": "2026-11-28",
        "start": "22:00",
        "end_day": "2026-11-28",
        "end": "23:00",
    }
    assert lab.post(here, {**duty, "reason": "赶工"})["Location"] == here
    assert SpecialOpening.objects.get(resource=person).audience == "everybody"


def test_leave_by_the_api(w):
    sem = make.instrument(w)
    person, keeper, period = make.operator(w, sem), Caller(w.keeper), make.slot()
    wanted = bookings.Wanted(resource=sem, period=period, title="失效分析", operator=person)
    made = bookings.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
    leave = {"starts_at": zoned(period.start), "ends_at": zoned(period.end), "reason": "年假"}
    path = f"/operators/{person.number}/absences"
    refused = keeper.post(path, leave)
    assert (refused.status, refused.reasons) == (409, ["availability.booking_affected"])
    entered = keeper.post(path, {**leave, "accepts": [made.number]})
    assert entered.status == 201
    assert [row["id"] for row in keeper.get(path).body] == [entered.body["id"]]
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    assert Caller(other).delete(f"{path}/{entered.body['id']}").status == 404
    assert Caller(w.researcher).delete(f"{path}/{entered.body['id']}").status == 403
    assert keeper.delete(f"{path}/{entered.body['id']}").status == 204
    assert keeper.get(path).body == []
    assert Caller(other).post(path, leave).status == 404
