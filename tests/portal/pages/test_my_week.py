"""What an enterprise has ahead: tabs, the week, what comes next, and undoing a fresh request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.pages import my_week
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def firm(w):
    w.sem = make.instrument(w)
    w.made = make.booking(w, w.sem)
    client = Client()
    client.force_login(make.user_of(w.researcher))
    return client


def numbers(page) -> list[str]:
    return [line["booking"].number for line in page.context["lines"]]


def test_tabs_part_what_is_ahead_from_what_is_over(w, firm):
    later = make.booking(w, w.sem, period=make.slot(days=2))
    bookings.cancel(actor=w.researcher, booking=w.made, now=make.NOW)
    assert numbers(firm.get(reverse("bookings"), {"tab": "upcoming"})) == [later.number]
    assert numbers(firm.get(reverse("bookings"), {"tab": "past"})) == [w.made.number]
    assert len(numbers(firm.get(reverse("bookings"), {"tab": "nonsense"}))) == 2
    exported = firm.get(reverse("bookings"), {"tab": "upcoming", "format": "csv"}).content.decode()
    assert later.number in exported
    assert w.made.number not in exported


@pytest.mark.parametrize("count", [1, 5])
def test_the_week_shows_them_on_their_instruments(w, firm, django_assert_num_queries, count):
    for number in range(1, count):
        make.booking(w, make.instrument(w, name=f"仪器 {number}"))
    with django_assert_num_queries(9):
        page = firm.get(reverse("bookings"), {"tab": "week"})
    assert len(page.context["grid"].rows) == count
    assert "09:00–11:00" in page.content.decode()
    assert "这一周没有预约" in firm.get(reverse("bookings"), {"tab": "week", "day": "2027-03-01"}).content.decode()


def test_says_what_comes_next(w, firm):
    made = w.made
    assert my_week.next_step(made, now=make.NOW) == "等待实验室确认"
    assert my_week.next_step(made, now=made.starts_at) == "开始时间已过，等待实验室处理"
    bookings.confirm(actor=w.keeper, booking=made, now=make.NOW)
    made = Booking.objects.get(pk=made.pk)
    assert my_week.next_step(made, now=make.NOW) == "23 小时后到场"
    assert my_week.next_step(made, now=made.starts_at - timedelta(seconds=90)) == "1 分后到场"
    assert my_week.next_step(made, now=made.starts_at) == "请到场并请实验室登记开始"


def test_a_fresh_request_is_undone_with_one_press(w, firm, monkeypatch):
    page = firm.get(reverse("booking", args=[w.made.number]))
    assert 'data-countdown="10"' in page.content.decode()
    answer = firm.post(reverse("booking_cancel", args=[w.made.number]))
    assert answer.status_code == 302
    undone = Booking.objects.select_related("charge").get(pk=w.made.pk)
    assert (undone.state, undone.charge.state) == ("cancelled", "released")
    assert "data-countdown" not in firm.get(answer["Location"]).content.decode()


def test_nothing_is_undone_later_or_by_others_or_once_confirmed(w, firm, monkeypatch):
    url = reverse("booking", args=[w.made.number])
    lab = Client()
    lab.force_login(make.user_of(w.keeper))
    assert "data-countdown" not in lab.get(url).content.decode()
    assert my_week.undo_s(w.made, now=make.NOW + timedelta(seconds=9)) == 1
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + timedelta(seconds=10))
    assert "data-countdown" not in firm.get(url).content.decode()
    bookings.confirm(actor=w.keeper, booking=w.made, now=make.NOW)
    assert my_week.undo_s(Booking.objects.get(pk=w.made.pk), now=make.NOW) == 0
