"""The page of closures and special openings, and the second look before hours break a booking."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.availability.models import Closure, OpeningHours, SpecialOpening
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SPAN = {
    "act": "save",
    "kind": "closed",
    "day": "2026-11-27",
    "start": "08:00",
    "end_day": "2026-11-27",
    "end": "12:00",
    "reason": "搬迁",
    "audience": "everybody",
}


@pytest.fixture
def lab(w):
    return enter(Client(), w.keeper)


@pytest.fixture
def page(w, lab):
    resource = make.instrument(w)
    return resource, reverse("instrument_exceptions", args=[resource.number])


def test_a_closure_and_a_special_opening_are_entered_listed_and_taken_back(lab, page):
    _resource, url = page
    assert lab.post(url, SPAN).status_code == 302
    night = {**SPAN, "kind": "open", "start": "22:00", "end": "24:00", "audience": "own", "is_automatic": "on"}
    assert lab.post(url, night).status_code == 302
    text = text_of(lab.get(url))
    assert all(words in text for words in ("搬迁", "特别开放 仅本单位人员 · 自动确认", "停用"))
    assert raw_codes(text) == []
    closure, special = Closure.objects.get(), SpecialOpening.objects.get()
    assert lab.post(url, {"act": "lift", "id": closure.pk}).status_code == 302
    assert lab.post(url, {"act": "withdraw", "id": special.pk}).status_code == 302
    assert not Closure.objects.exists()
    assert not SpecialOpening.objects.exists()


def test_what_cannot_be_is_said_at_its_field(lab, page):
    _resource, url = page
    answer = lab.post(url, {**SPAN, "end": "07:00"})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["end"])
    over = lab.post(url, {**SPAN, "day": "2026-11-01", "end_day": "2026-11-01"})
    assert (over.status_code, list(over.context["form"].errors)) == (422, ["end"])
    assert lab.post(url, {"act": "lift", "id": "x"}).status_code == 404


def test_bookings_in_the_way_are_shown_first_and_saved_after_a_tick(w, lab, page):
    resource, url = page
    booking = make.booking(w, resource, period=make.slot(days=2, start="09:00", end="11:00"))
    asked = lab.post(url, SPAN)
    assert asked.status_code == 409
    text = text_of(asked)
    assert booking.number in text
    assert booking.organisation.name in text
    assert not Closure.objects.exists()
    assert lab.post(url, {**SPAN, "accepts": asked.context["accepts"]}).status_code == 302
    assert Closure.objects.exists()


def test_withdrawing_a_special_opening_with_a_booking_asks_in_its_row(w, lab, page):
    resource, url = page
    lab.post(url, {**SPAN, "kind": "open", "start": "06:00", "end": "08:00"})
    booking = make.booking(w, resource, period=make.slot(days=2, start="06:00", end="07:00"))
    row = {"act": "withdraw", "id": SpecialOpening.objects.get().pk}
    asked = lab.post(url, row)
    assert (asked.status_code, asked.context["accepts"]) == (409, booking.number)
    assert f'form="row-withdraw-{row["id"]}"' in asked.content.decode()
    assert lab.post(url, {**row, "accepts": booking.number}).status_code == 302
    assert not SpecialOpening.objects.exists()


def test_hours_carry_audience_and_approval_and_ask_before_they_break_a_booking(w, lab):
    resource = make.instrument(w)
    url = reverse("instrument_hours", args=[resource.number])
    booking = make.booking(w, resource, period=make.slot(days=2, start="09:00", end="11:00"))
    row = {"row0-weekdays": ["1", "2", "3", "4", "5"], "row0-opens": "10:00", "row0-closes": "20:00"}
    sent = {"rows": "1", **row, "row0-audience": "enterprises", "row0-is_automatic": "on", "follows_holidays": "on"}
    asked = lab.post(url, sent)
    assert (asked.status_code, asked.context["accepts"]) == (409, booking.number)
    assert lab.post(url, {**sent, "accepts": booking.number}).status_code == 302
    stored = OpeningHours.objects.get(resource=resource)
    assert (stored.audience, stored.is_automatic, stored.opens_min) == ("enterprises", True, 600)
    resource.refresh_from_db()
    assert resource.follows_holidays
    again = lab.get(url)
    assert again.context["rows"][0]["audience"].value() == "enterprises"
    assert again.context["follows_holidays"]


def test_hours_that_overlap_are_named(w, lab):
    resource = make.instrument(w)
    day = {"weekdays": ["1"], "opens": "08:00", "closes": "12:00"}
    sent = {f"row{at}-{name}": value for at in (0, 1) for name, value in day.items()}
    answer = lab.post(reverse("instrument_hours", args=[resource.number]), {"rows": "2", **sent})
    assert answer.status_code == 409
    assert "“周一 08:00–12:00 本单位和企业”与“周一 08:00–12:00 本单位和企业”重叠" in text_of(answer)


def test_a_clock_that_changes_is_told_beside_the_hours(w, lab):
    resource = make.instrument(w, zone="Europe/Zurich", opens=(150, 720))
    text = text_of(lab.get(reverse("instrument_hours", args=[resource.number])))
    assert "当地没有 2027-03-28 02:30，顺延为 03:30。" in text
    assert "2027-10-31 02:30 会出现两次，取第一次。" in text
