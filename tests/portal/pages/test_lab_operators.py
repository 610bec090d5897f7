"""Operators of a lab and the terms of its instruments, in the browser."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.availability.models import OpeningHours
from scheduler.bookings.models import BookingTerms
from scheduler.resources.models import Resource, Skill
from tests import make

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
