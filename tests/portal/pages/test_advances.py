"""What people see of a booking that is paid in advance: before, while it waits, afterwards; and what a lab sets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services
from scheduler.bookings.models import Booking
from tests import make
from tests.portal.pages.reading import enter, text_of
from tests.scheduler.bookings.paying import booked, payment_of, prepaid_instrument
from vouchers.payments import arriving

pytestmark = pytest.mark.usefixtures("clock")
NOW = make.NOW
SLOT = make.slot(days=3, now=NOW)


def page(who, name: str, *args) -> str:
    return text_of(enter(Client(), who).get(reverse(name, args=args)))


@pytest.fixture
def held(w) -> Booking:
    return booked(w, prepaid_instrument(w), now=NOW, period=SLOT)


def money_comes(made: Booking) -> None:
    payment = payment_of(made)
    arriving.receive(
        payment=payment,
        amount=make.Money(payment.amount_fen),
        source=f"attempt:P{payment.pk}",
        account="rail:stripe",
        actor=make.Actor.system("test"),
        now=NOW + timedelta(minutes=1),
    )


@pytest.mark.django_db
class TestAsEnterprise:
    def test_the_form_says_before_who_pays_what_by_when_and_what_comes_back(self, w):
        sem = prepaid_instrument(w)
        voucher = make.voucher(w, now=NOW)
        query = {"day": SLOT.start.astimezone(make.BEIJING).date(), "start": "09:00", "end": "11:00"}
        url = reverse("instrument_book", args=[sem.number])
        told = text_of(enter(Client(), w.researcher).get(url, {**query, "voucher": voucher.number}))
        assert "自付部分 ¥480.00 须预付" in told
        assert "预付款用对公转账" in told
        assert "用不完的预付款退还" in told

    def test_booking_leads_to_the_payment_and_holds_the_time(self, w):
        sem = prepaid_instrument(w)
        client = enter(Client(), w.owner)
        url = reverse("instrument_book", args=[sem.number])
        sent = {
            "day": SLOT.start.astimezone(make.BEIJING).date().isoformat(),
            "start": "09:00",
            "end": "11:00",
            "ends_on": "0",
            "title": "截面观察",
            "seen": "96000/0/before",
            "idempotency_key": make.key(),
            "act": "book",
        }
        answer = client.post(url, sent)
        made = Booking.objects.get()
        assert (answer.status_code, made.state) == (302, "held")
        assert answer["Location"] == reverse("payment", args=[payment_of(made).number])

    def test_what_was_shown_before_the_lab_asked_in_advance_is_shown_anew(self, w):
        sem = prepaid_instrument(w)
        sent = {
            "day": SLOT.start.astimezone(make.BEIJING).date().isoformat(),
            "start": "09:00",
            "end": "11:00",
            "ends_on": "0",
            "title": "截面观察",
            "seen": "96000/0",
            "idempotency_key": make.key(),
            "act": "book",
        }
        answer = enter(Client(), w.owner).post(reverse("instrument_book", args=[sem.number]), sent)
        assert answer.status_code == 409
        assert not Booking.objects.exists()

    def test_a_waiting_booking_shows_what_is_to_be_paid_and_how_long_is_left(self, w, held):
        told = page(w.owner, "booking", held.number)
        assert "待预付 ¥960.00" in told
        assert "去付款" in told
        assert "提交预约" not in told.replace("到账后预约自动提交", "")
        assert "前付款" in page(w.owner, "bookings")

    def test_a_paid_one_says_so(self, w, held):
        money_comes(held)
        told = page(w.owner, "booking", held.number)
        assert "预付款 ¥960.00 已到账" in told
        assert "待预付" not in told

    def test_a_cancelled_one_says_what_goes_back(self, w, held):
        money_comes(held)
        services.cancel(actor=w.researcher, booking=Booking.objects.get(), now=NOW + timedelta(minutes=2))
        assert "其中 ¥960.00 待退还给付款单位" in page(w.owner, "booking", held.number)

    def test_who_lost_the_hold_is_told_nothing_was_charged(self, w, held, monkeypatch):
        monkeypatch.setattr("django.utils.timezone.now", lambda: NOW + timedelta(minutes=11))
        assert "预付款没有按时到账" in page(w.owner, "booking", held.number)


@pytest.mark.django_db
class TestAsLab:
    def test_sets_the_terms(self, w):
        sem = make.instrument(w)
        client, url = enter(Client(), w.keeper), reverse("instrument_payment_terms", args=[sem.number])
        sent = {"collect": "before", "hold_minutes": "15", "transfer_hold_hours": "48"}
        assert client.post(url, sent).status_code == 302
        assert 'value="15"' in client.get(url).content.decode()
        assert client.post(url, {**sent, "hold_minutes": "121"}).status_code == 422

    def test_sees_whether_it_is_paid_and_no_way_to_pay(self, w, held):
        told = page(w.keeper, "booking", held.number)
        assert "待预付 ¥960.00" in told
        assert "去付款" not in told
