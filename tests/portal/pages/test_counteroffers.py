"""Another time offered on the desk, answered on the booking's page."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from scheduler.bookings import counteroffers
from scheduler.bookings.models import Booking, CounterOffer
from tests import make
from tests.portal.pages.test_bookings import client_of, local_form, url

LATER = make.slot(start="14:00", end="17:00")


@pytest.fixture
def made(w, clock):
    return make.booking(w, make.instrument(w), pay_with=make.voucher(w))


ISO = re.compile(r"\d{4}-\d\d-\d\dT\S*")


def times(period, **more):
    start, end = (local_form(moment) for moment in (period.start, period.end))
    return {"day": start["day"], "start": start["clock"], "end": end["clock"], "ends_on": "0", **more}


def test_the_lab_offers_and_the_enterprise_takes_it_at_the_price_shown(w, made):
    lab, firm = client_of(w.keeper), client_of(w.researcher)
    form = lab.get(url("booking_counter_offer", made))
    assert form.context["form"]["start"].value() == "09:00"
    answer = lab.post(url("booking_counter_offer", made), times(LATER, note="上午检修 <b>"))
    assert answer.status_code == 302
    page = firm.get(url("booking", made)).content.decode()
    assert "上午检修 &lt;b&gt;" in page
    assert "¥1,440.00" in page
    assert "接受建议的时段" in page
    assert ISO.findall(re.sub("<[^>]*>", "", page)) == []
    lab_page = lab.get(url("booking", made)).content.decode()
    assert "等待答复" in lab_page
    assert "接受建议的时段" not in lab_page
    assert "已建议另一时段，等待答复" in lab.get(reverse("booking_queue")).content.decode()

    stale = firm.post(url("counter_offer_accept", made), {"seen": "1/1"})
    assert stale.status_code == 409
    seen = counteroffers.look(actor=w.researcher, booking=made, now=make.NOW).seen
    assert firm.post(url("counter_offer_accept", made), {"seen": seen}).status_code == 302
    moved = Booking.objects.get(pk=made.pk)
    assert (moved.state, moved.starts_at) == ("confirmed", LATER.start)
    assert "原因：改了时间或费用，重新冻结" in firm.get(url("booking", made)).content.decode()


def test_letting_it_go_keeps_the_request(w, made):
    counteroffers.offer(actor=w.keeper, booking=made, period=LATER, note="检修", now=make.NOW)
    assert client_of(w.researcher).post(url("counter_offer_refuse", made)).status_code == 302
    assert CounterOffer.objects.get().state == "refused"
    again = client_of(w.researcher).post(url("counter_offer_refuse", made))
    assert again.status_code == 409
    assert "没有等待答复的建议时段" in again.content.decode()


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"note": ""}, 422, "请写明原因"),
        ({"note": "检修", "start": "09:00", "end": "11:00"}, 422, "与申请的时段相同"),
        ({"note": "检修", "start": "05:00", "end": "06:00"}, 409, "开放时间"),
    ],
)
def test_a_wrong_offer_is_said_and_nothing_is_held(w, made, form, status, said):
    answer = client_of(w.keeper).post(url("booking_counter_offer", made), {**times(LATER), **form})
    assert answer.status_code == status
    assert said in answer.content.decode()
    assert not CounterOffer.objects.exists()


def test_nobody_else_offers_or_answers(w, made):
    assert client_of(w.researcher).get(url("booking_counter_offer", made)).status_code == 403
    for name in ("counter_offer_accept", "counter_offer_refuse"):
        assert client_of(w.keeper).post(reverse(name, args=[made.number])).status_code == 403
