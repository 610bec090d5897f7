"""Moving a booking as the firm that made it does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services
from scheduler.bookings.models import Booking
from tests import make
from tests.portal.pages.reading import enter, text_of

NEW = {"day": "2026-11-27", "start": "14:00", "end": "17:00", "ends_on": "0"}


class Clock:
    now = make.NOW


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


@pytest.fixture
def made(w):
    return make.booking(w, make.instrument(w), pay_with=make.voucher(w))


def test_the_price_is_seen_before_the_booking_moves(w, made):
    client, url = enter(Client(), w.researcher), reverse("booking_move", args=[made.number])
    assert url in client.get(reverse("booking", args=[made.number])).content.decode()
    assert client.get(url).status_code == 200

    unseen = client.post(url, {**NEW, "act": "move"})
    assert unseen.status_code == 409
    assert "¥1,440.00" in text_of(unseen)
    assert Booking.objects.get(pk=made.pk).sequence == made.sequence

    done = client.post(url, {**NEW, "act": "move", "seen": unseen.context["found"].seen})
    assert done["Location"] == reverse("booking", args=[made.number])
    moved = Booking.objects.get(pk=made.pk)
    assert (moved.starts_at, moved.charge.price_fen) == (make.slot(days=2, start="14:00", end="17:00").start, 144000)
    assert "改期" in text_of(client.get(done["Location"]))


def test_a_taken_time_is_told_with_what_is_free(w, made):
    make.booking(w, made.resource, period=make.slot(days=2, start="14:00", end="17:00"))
    client = enter(Client(), w.researcher)
    page = client.post(reverse("booking_move", args=[made.number]), {**NEW, "act": "move", "seen": "144000/72000"})
    assert "已被占用" in text_of(page)
    assert len(page.context["alternatives"]) == 3
    link = page.context["alternatives"][0]["url"]
    assert client.get(link).context["found"].quote.reasons == ()


def test_the_rest_of_one_in_use_is_given_back(w, made, clock):
    services.confirm(actor=w.keeper, booking=made, now=make.NOW)
    services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
    clock.now = made.starts_at + timedelta(hours=1)
    client = enter(Client(), w.researcher)
    assert "提前释放余下时间" in text_of(client.get(reverse("booking", args=[made.number])))
    client.post(reverse("booking_release_rest", args=[made.number]))
    assert Booking.objects.get(pk=made.pk).ends_at == clock.now


def test_only_its_firm_moves_a_booking(w, made):
    lab = enter(Client(), w.keeper)
    for name in ("booking_move", "booking_release_rest"):
        assert lab.post(reverse(name, args=[made.number]), NEW).status_code == 403
