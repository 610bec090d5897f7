"""Buyers of orders that are paid in advance are told: asked, paid, lapsed, ordered again, gone; each once, in their language."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import translation

from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from tests import make
from tests.scheduler.bookings.paying import arrives
from tests.vouchers.offers import goods
from vouchers.offers import deadlines, orders
from vouchers.offers.models import Order
from vouchers.payments.models import Payment

pytestmark = pytest.mark.django_db
NOW, DAY = make.NOW, timedelta(days=1)


@pytest.fixture
def w():
    return make.world()


@pytest.fixture
def corpus(w):
    return goods.offer(w, by=goods.seller(w), prepay_days=5)


def payment_of(made: Order) -> Payment:
    return Payment.objects.get(charge_id=Order.objects.get(pk=made.pk).charge_id)


def kinds() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("kind", flat=True))


def test_who_ordered_is_asked_and_told_when_it_is_paid(w, corpus):
    made = goods.order(w, corpus)
    [asked] = Message.objects.all()
    assert (asked.kind, asked.user_id, asked.about) == ("order_asked", made.placed_by_id, made.number)
    said = worded(asked)
    for word in (made.number, "¥500.00", f"{(NOW + 5 * DAY).astimezone(make.BEIJING):%Y-%m-%d %H:%M}"):
        assert word in said.text
    assert said.path.endswith(f"/orders/{made.number}/")
    with translation.override("en"):
        assert made.number in worded(asked).text
    arrives(payment_of(made), fen=20_000)
    assert kinds() == ["order_asked"]
    arrives(payment_of(made), fen=30_000)
    assert kinds() == ["order_asked", "order_paid"]
    deadlines.run_deadlines(now=NOW + 6 * DAY)
    assert kinds() == ["order_asked", "order_paid"]


def test_what_lapsed_is_told_once_and_late_money_says_what_became_of_it(w, corpus):
    made = goods.order(w, corpus)
    for _run in range(2):
        deadlines.run_deadlines(now=NOW + 5 * DAY)
    assert kinds() == ["order_asked", "order_lapsed"]
    arrives(payment_of(made), after=6 * DAY)
    again = Order.objects.get(again_of=made)
    last = Message.objects.order_by("pk").last()
    assert (kinds(), last.about) == (["order_asked", "order_lapsed", "order_again"], again.number)
    assert again.number in worded(last).text


def test_late_money_that_orders_nothing_is_told_to_go_back(w, corpus):
    made = goods.order(w, corpus)
    deadlines.run_deadlines(now=NOW + 5 * DAY)
    arrives(payment_of(made), after=40 * DAY)
    assert kinds() == ["order_asked", "order_lapsed", "order_gone"]


def test_an_order_that_asks_for_nothing_in_advance_tells_nobody(w):
    made = goods.order(w, goods.offer(w, by=goods.seller(w)))
    orders.cancel(actor=w.researcher, order=made, note="", now=NOW)
    assert kinds() == []
