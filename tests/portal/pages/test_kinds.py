"""Every kind of thing is entered, opened, priced, published, found and booked in the browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.period import Period
from portal.pages import weeks
from portal.pages.weekgrid import Kind
from scheduler.bookings.models import Booking
from scheduler.resources.entries import CATALOGUED
from scheduler.resources.models import Resource
from tests import make
from tests.portal.pages.test_lab import filled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

WEEK = {"rows": "1", "row0-weekdays": [str(day) for day in range(1, 8)], "row0-opens": "08:00", "row0-closes": "22:00"}
KINDS = [(kind.value, "units") for kind in CATALOGUED] + [("bench", "fungible")]


def signed_in(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


@pytest.mark.parametrize(("kind", "counting"), KINDS)
def test_from_the_form_to_a_booking(w, kind, counting):
    lab, firm = signed_in(w.keeper), signed_in(w.researcher)
    capacity = "1" if kind == "instrument" else "3"
    category = "analytical" if kind == "instrument" else ""
    said = filled(
        kind=kind, name="测试用资源", counting=counting, capacity=capacity, category=category, modes=["self"], lead="0"
    )
    assert lab.post(reverse("instrument_new"), said).status_code == 302
    thing = Resource.objects.get()
    assert (thing.kind, thing.counting, thing.instrument.category) == (kind, counting, category or "other")
    here = reverse("instrument", args=[thing.number])
    lab.post(reverse("instrument_hours", args=[thing.number]), {**WEEK, "row0-audience": "everybody", "act": "save"})
    make.pricing.set_hourly_rate(actor=w.keeper, resource=thing, amount=make.Money.from_yuan("100"), now=make.NOW)
    assert lab.post(reverse("instrument_state", args=[thing.number]), {"action": "publish"}).status_code == 302
    edited = lab.post(reverse("instrument_edit", args=[thing.number]), {**said, "name": "改名后的资源"})
    assert edited["Location"] == here
    found = firm.get(reverse("instruments"), {"kind": kind, "q": "改名"})
    assert here in found.content.decode()
    form = {"day": "2026-11-26", "start": "09:00", "end": "11:00", "title": "试用", "seen": "20000/0", "act": "book"}
    booked = firm.post(reverse("instrument_book", args=[thing.number]), {**form, "idempotency_key": make.key()})
    assert booked.status_code == 302, booked.content.decode()[-3000:]
    assert Booking.objects.get().resource == thing


def test_an_instrument_needs_a_category(w):
    answer = signed_in(w.keeper).post(reverse("instrument_new"), filled(category=""))
    assert list(answer.context["form"].errors) == ["category"]


def test_a_bench_of_two_places_is_free_on_the_grid_until_both_are_taken(w):
    bench, slot = make.instrument(w, kind="bench", capacity=2, category="other"), make.slot()

    def kinds(actor):
        window = Period(slot.start - timedelta(days=1), slot.end + timedelta(days=1))
        times = weeks.look([bench], window=window, now=make.NOW)
        (row,) = weeks.rows([bench], times, actor=actor, now=make.NOW)
        return {block.kind for block in row.blocks if block.period.covers(slot)}

    assert kinds(None) == {Kind.FREE}
    make.booking(w, bench, period=slot)
    assert kinds(None) == {Kind.FREE}
    assert kinds(w.researcher) == {Kind.FREE, Kind.MINE}
    make.booking(w, bench, period=slot)
    assert kinds(None) == {Kind.BOOKED}
