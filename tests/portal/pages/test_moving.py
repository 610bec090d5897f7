"""Moving a booking as the firm that made it does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services
from scheduler.bookings.models import Booking
from tests import make, standing
from tests.portal.pages.reading import enter, text_of

NEW = {"day": "2026-11-27", "start": "14:00", "end": "17:00", "ends_on": "0"}


class Clock:
    now = make.NOW


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


def build():
    w = make.world()
    return w, make.booking(w, make.instrument(w), pay_with=make.voucher(w))


_standing, _own, w, made = standing.fixtures(build, "w", "made")


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


def test_a_drag_asks_the_price_and_changes_nothing(w, made):
    client, url = enter(Client(), w.researcher), reverse("booking_move_price", args=[made.number])
    told = client.get(url, NEW).json()
    assert told["fits"]
    assert "14:00–17:00" in told["text"]
    assert "¥1,440.00（多 ¥480.00） · 券抵扣 ¥720.00，自付 ¥720.00 · 须实验室重新确认" in told["text"]
    assert "（少 ¥480.00）" in client.get(url, {**NEW, "end": "15:00"}).json()["text"]

    make.booking(w, made.resource, period=make.slot(days=2, start="14:00", end="17:00"))
    taken = client.get(url, NEW).json()
    assert not taken["fits"]
    assert "已被占用" in taken["text"]
    assert "最近的空闲" in taken["text"]
    assert not client.get(url, {**NEW, "day": "never"}).json()["fits"]
    assert Booking.objects.get(pk=made.pk).sequence == made.sequence


def test_a_move_made_in_the_week_leads_back_there_and_is_undone_there(w, made, clock):
    client, url = enter(Client(), w.researcher), reverse("booking_move", args=[made.number])
    week = reverse("bookings") + "?tab=week&day=2026-11-27"
    seen = client.get(url, NEW).context["found"].seen
    dialog = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{week}"}
    done = client.post(url, {**NEW, "act": "move", "seen": seen}, headers=dialog)
    assert done["HX-Redirect"] == week
    undo = reverse("booking_move_undo", args=[made.number])
    page = client.get(week)
    assert f'action="{undo}"' in page.content.decode()
    assert f'data-move="{url}"' in page.content.decode()

    clock.now = make.NOW + timedelta(seconds=5)
    back = client.post(undo, {"back": week})
    assert back["Location"] == week
    assert "已撤销改期" in text_of(client.get(week))
    assert Booking.objects.get(pk=made.pk).starts_at == made.starts_at
    late = client.post(undo, {"back": "https://elsewhere.example/"})
    assert late["Location"] == reverse("booking", args=[made.number])


def test_what_is_too_late_to_undo_is_said(w, made, clock):
    client = enter(Client(), w.researcher)
    answer = client.post(reverse("booking_move_undo", args=[made.number]))
    assert answer.status_code == 409
    assert "改期只能在 10 秒内撤销" in text_of(answer)


def test_a_week_offers_to_move_what_is_ones_own_and_ahead(w, made, clock):
    page = reverse("instrument", args=[made.resource.number]) + "?day=2026-11-26"
    move = f'data-move="{reverse("booking_move", args=[made.number])}"'
    firm, lab = (enter(Client(), who).get(page).content.decode() for who in (w.researcher, w.keeper))
    assert move in firm
    assert f'aria-label="预约 {made.number}' in lab
    assert move not in lab
    assert made.number not in Client().get(page).content.decode()
    assert w.enterprise.name in lab
    type(w.enterprise).objects.filter(pk=w.enterprise.pk).update(name_en="Starriver")
    assert (
        f'aria-label="Booking {made.number}, Starriver' in enter(Client(), w.keeper).get("/en" + page).content.decode()
    )
    clock.now = made.starts_at
    assert move not in enter(Client(), w.researcher).get(page).content.decode()
