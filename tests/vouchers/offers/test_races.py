"""Rivals: two acceptances at once capture once; acceptance and dispute at once do one of them."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from portal.kernel.errors import PortalError
from tests import make
from tests.vouchers.offers import goods
from vouchers.charges.models import Charge
from vouchers.ledger import verification
from vouchers.offers import disputes, orders
from vouchers.offers.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def together(*acts):
    """Run acts at once, each on a connection of its own; return what each raised, or None."""
    start = threading.Barrier(len(acts))
    ended: list[Exception | None] = [None] * len(acts)

    def run(at, act):
        start.wait()
        try:
            act()
        except PortalError as error:
            ended[at] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(at, act)) for at, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_two_acceptances_at_once_capture_once():
    w = make.world()
    seller = goods.seller(w)
    voucher = goods.voucher(w)
    made = goods.delivered(w, goods.order(w, goods.offer(w, by=seller), pay_with=voucher), by=seller)

    def accept():
        orders.approve(actor=w.researcher, order=made, now=make.NOW)

    ended = together(accept, accept, accept)
    assert sum(error is None for error in ended) == 1
    assert Charge.objects.get().voucher_captured_fen == 25_000
    assert verification.verify() == []


def test_acceptance_and_dispute_at_once_are_one_of_them():
    w = make.world()
    seller = goods.seller(w)
    made = goods.delivered(w, goods.order(w, goods.offer(w, by=seller)), by=seller)
    ended = together(
        lambda: orders.approve(actor=w.researcher, order=made, now=make.NOW),
        lambda: disputes.dispute(actor=w.owner, order=made, note="内容不全", now=make.NOW),
    )
    state = Order.objects.get().state
    # A dispute may still be followed by acceptance; acceptance may not be followed by a dispute.
    assert state == "completed" or (state == "disputed" and ended[0] is not None)
    assert (Charge.objects.get().state == "captured") == (state == "completed")


def test_one_key_sent_by_two_at_once_is_one_order():
    w = make.world()
    corpus = goods.offer(w)
    key = make.key()

    def place():
        orders.place(actor=w.researcher, wanted=goods.wanted(corpus), now=make.NOW, key=key)

    assert together(place, place) == [None, None]
    assert Order.objects.count() == 1
