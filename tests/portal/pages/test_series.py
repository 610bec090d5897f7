"""Booking a series on its page: looked at, chosen, booked; the series as it is; cancelled from one use on."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scheduler.bookings import services
from scheduler.bookings.models import Booking, BookingSeries
from tests import make, standing
from tests.portal.pages.reading import enter, raw_codes, text_of


def build():
    """An instrument, priced since long ago: pages ask the present."""
    w = make.world()
    return w, make.instrument(w)


_standing, _own, w, lab = standing.fixtures(build, "w", "lab")


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """Let pages live at the tests' own present."""
    monkeypatch.setattr(timezone, "now", lambda: make.NOW)


def sent(lab, **changes):
    values = {"title": "每周观察", "day": "2026-11-26", "start": "09:00", "end": "11:00", "ends_on": "0"}
    values |= {"frequency": "weekly", "interval": "1", "count": "3", "until": "", "voucher": "", "act": "look"}
    return {**values, "idempotency_key": "series-of-the-test", **changes}


def address(lab):
    return reverse("instrument_series", args=[lab.number])


def test_shows_every_use_then_books_what_was_chosen(w, lab):
    make.booking(w, lab, period=make.slot(days=8, start="08:00", end="10:00"))
    client = enter(Client(), w.researcher)
    assert "查看每一次" in text_of(client.get(address(lab)))

    looked = client.post(address(lab), sent(lab))

    text = text_of(looked)
    assert "2 次可约，1 次不能按原时间约" in text
    assert "改到 2026年12月3日（周四）10:00–12:00" in text
    assert raw_codes(text) == []
    assert not BookingSeries.objects.exists()

    line = looked.context["lines"][1]
    to = line["choices"][-1][0]
    answer = client.post(address(lab), sent(lab, act="book", seen=looked.context["found"].seen, **{line["name"]: to}))
    made = BookingSeries.objects.get()
    assert answer["Location"] == reverse("series", args=[made.number])
    starts = [use.starts_at for use in made.bookings.order_by("planned_at")]
    assert starts == [make.slot().start, make.slot(days=8, start="10:00", end="12:00").start, make.slot(days=15).start]
    assert "原定" in text_of(client.get(answer["Location"]))


def test_who_has_a_voucher_is_offered_to_pay_with_it(w, lab):
    voucher = make.voucher(w)
    shown = enter(Client(), w.researcher).get(address(lab), {"day": "2026-11-26", "start": "09:00", "end": "11:00"})
    assert shown.status_code == 200
    assert shown.context["form"]["voucher"].value() == voucher.number


def test_who_is_signed_out_meanwhile_finds_the_rule_that_was_typed(w, lab):
    typed = sent(lab, frequency="daily", count="5", weekdays=["1", "3"])
    back = unquote(Client().post(address(lab), typed)["Location"].partition("next=")[2])
    form = enter(Client(), w.researcher).get(back).context["form"]
    kept = [form[name].value() for name in ("title", "frequency", "count", "weekdays")]
    assert kept == ["每周观察", "daily", "5", ["1", "3"]]


def test_only_the_free_ones_are_booked_with_one_button(w, lab):
    make.booking(w, lab, period=make.slot(days=8))
    client = enter(Client(), w.researcher)
    seen = client.post(address(lab), sent(lab)).context["found"].seen
    client.post(address(lab), sent(lab, act="free", seen=seen))
    assert BookingSeries.objects.get().bookings.count() == 2


def test_what_changed_meanwhile_is_shown_before_anything_is_booked(w, lab):
    client = enter(Client(), w.researcher)
    seen = client.post(address(lab), sent(lab)).context["found"].seen
    make.booking(w, lab, period=make.slot(days=8))
    answer = client.post(address(lab), sent(lab, act="book", seen=seen))
    assert answer.status_code == 409
    assert "空闲情况或价格刚刚有变" in text_of(answer)
    assert not BookingSeries.objects.exists()


def test_the_same_page_sent_twice_books_once(w, lab):
    client = enter(Client(), w.researcher)
    seen = client.post(address(lab), sent(lab)).context["found"].seen
    for _turn in range(2):
        answer = client.post(address(lab), sent(lab, act="book", seen=seen))
    assert answer["Location"] == reverse("series", args=[BookingSeries.objects.get().number])
    assert Booking.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"count": "156"}, "count"), ({"count": "", "until": "2029-11-26"}, "until"), ({"end": "08:00"}, "end")],
)
def test_what_cannot_be_is_said_at_its_field(w, lab, changes, field):
    answer = enter(Client(), w.researcher).post(address(lab), sent(lab, **changes))
    assert answer.status_code == 422
    assert field in answer.context["form"].errors


def test_a_booking_leads_to_its_series_and_to_cancelling_from_it_on(w, lab):
    made = make.booked_series(w, lab)
    uses = list(made.bookings.order_by("planned_at"))
    client = enter(Client(), w.researcher)
    page = client.get(reverse("booking", args=[uses[1].number]))
    assert reverse("series", args=[made.number]) in page.content.decode()
    assert made.number in text_of(client.get(reverse("bookings")))

    url = reverse("series_cancel", args=[made.number, uses[1].number])
    asked = client.get(url)
    assert "将取消 2 次尚未开始的预约" in text_of(asked)
    assert [use.state for use in made.bookings.all()] == ["requested"] * 3
    client.post(url, {"seen": asked.context["seen"]})
    assert [use.state for use in made.bookings.order_by("planned_at")] == ["requested", "cancelled", "cancelled"]


def test_a_fee_nobody_has_seen_is_shown_before_anything_is_cancelled(w, lab):
    made = make.booked_series(w, lab)
    first = made.bookings.order_by("planned_at")[0]
    Booking.objects.filter(pk=first.pk).update(free_cancel_s=48 * 3600, late_percent=50)
    services.confirm(actor=w.keeper, booking=first, now=make.NOW)
    url = reverse("series_cancel", args=[made.number, first.number])
    answer = enter(Client(), w.researcher).post(url, {"seen": "3/0"})
    assert "现在取消最多收取" in text_of(answer)
    assert made.bookings.filter(state="cancelled").count() == 0


def test_the_calendar_file_has_one_event_for_each_use(w, lab):
    made = make.booked_series(w, lab)
    body = enter(Client(), w.researcher).get(reverse("series_ics", args=[made.number])).content.decode()
    assert body.count("BEGIN:VEVENT") == 3
    assert len(set(re.findall(r"UID:(.+)", body))) == 3
    assert "RRULE" not in body


def test_others_do_not_find_it(w, lab):
    made = make.booked_series(w, lab)
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    for name in ("series", "series_ics"):
        assert enter(Client(), stranger).get(reverse(name, args=[made.number])).status_code == 404
