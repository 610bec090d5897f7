"""The joined list of orders and payments, and what a payment's page says of money that came in parts."""

import csv
import io

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.bookings.paying import arrives
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due
from tests.vouchers.offers import goods
from vouchers.offers import orders

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def firm(w):
    return enter(Client(), w.owner)


def test_everything_bought_is_on_one_page_with_what_is_paid_and_due(w, firm):
    made = goods.order(w, goods.offer(w, prepay_days=5))
    arrives(made.charge.payment, fen=12_345)
    make.booking(w, make.instrument(w))
    page = firm.get(reverse("purchases"))
    text = text_of(page)
    assert made.number in text and "¥123.45" in text and "¥376.55" in text
    assert raw_codes(text) == []
    assert "没有符合条件的订单" in text_of(firm.get(reverse("purchases"), {"standing": "settled"}))
    assert (
        firm.get(reverse("purchases"), {"standing": "' OR 1", "since": "x", "sort": "x", "page": "9"}).status_code
        == 200
    )
    assert firm.get(reverse("purchases"), {"sort": "-price", "q": "\0 %"}).status_code in {200, 400}


def test_the_list_can_be_taken_away_without_formulas(w, firm):
    made = goods.order(w, goods.offer(w))
    w.lab.name = "=HYPERLINK(1)"
    w.lab.save()
    page = firm.get(reverse("purchases"), {"format": "csv"})
    (head, line) = csv.reader(io.StringIO(page.content.decode("utf-8-sig")))
    assert (line[0], line[5], line[7], head[8]) == (made.number, "500.00", "500.00", "已付（元）")
    assert not any(cell.startswith("=") for cell in line)
    assert firm.get(reverse("purchases"), {"format": "xlsx"}).content[:2] == b"PK"


def test_the_list_takes_the_same_queries_whatever_its_length(w, firm):
    def count():
        with CaptureQueriesContext(connection) as captured:
            assert firm.get(reverse("purchases")).status_code == 200
        return len(captured)

    goods.order(w, goods.offer(w))
    count()
    few = count()
    for _more in range(4):
        made = goods.delivered(w, goods.order(w, goods.offer(w)), by=w.seller)
        orders.approve(actor=w.researcher, order=made, now=make.NOW)
    assert count() == few


def test_only_who_buys_has_the_list(w):
    assert enter(Client(), w.finance).get(reverse("purchases")).status_code == 403


def test_a_payment_that_came_in_parts_says_which_transfers_came_and_what_lacks(w, firm):
    payment = due(w, 96_000)
    bring(w, row("A-100", "300.00", memo=payment.reference), row("A-200", "160.50", memo=payment.reference))
    payment.refresh_from_db()
    page = text_of(firm.get(reverse("payment", args=[payment.number])))
    assert (payment.paid_fen, payment.state) == (46_050, "due")
    for said in ("流水号 A-100", "流水号 A-200", "¥300.00", "¥160.50", "应付 ¥960.00，已到账 ¥460.50", "¥499.50"):
        assert said in page
