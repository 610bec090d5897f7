"""Purchases joined with payments and papers: figures of each way money goes, each in one standing, constant queries."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from tests import make
from tests.calling import Caller, queries_of
from tests.scheduler.bookings.paying import arrives
from tests.vouchers.invoices import making
from tests.vouchers.offers import goods
from vouchers.charges import services as charges
from vouchers.invoices import documents
from vouchers.offers import orders
from vouchers.payments.models import Payment
from vouchers.purchases import access, queries
from vouchers.purchases.rules import Bought, Papers, Standing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture(autouse=True)
def _own_folders(settings, tmp_path):
    names = ("certificates", "evidence")
    own = {name: {**settings.STORAGES[name], "OPTIONS": {"location": tmp_path / name}} for name in names}
    settings.STORAGES = {**settings.STORAGES, **own}


def rows(w, **by):
    found = queries.with_papers(queries.narrowed(access.own_purchases(w.owner), queries.Narrowing(**by)))
    return [queries.row(one) for one in found.order_by("pk")]


def figures(row):
    one = row.figures
    return one.price, one.voucher, one.own, one.paid, one.due, one.refunded, one.back, one.owed_back


def payment_of(order):
    return Payment.objects.get(charge=order.charge_id)


@pytest.fixture
def bought(w):
    """An order in each standing: running, due, settled, owed back, free; each of 1,000 records for 500 yuan."""
    corpus, ahead, voucher = goods.offer(w), goods.offer(w, prepay_days=5), goods.voucher(w)
    running = goods.order(w, corpus, pay_with=voucher)
    due = goods.order(w, ahead)
    arrives(payment_of(due), fen=20_000)
    settled = goods.delivered(w, goods.order(w, corpus, pay_with=voucher), by=w.seller)
    orders.approve(actor=w.researcher, order=settled, now=make.NOW)
    arrives(payment_of(settled))
    back = goods.order(w, ahead)
    arrives(payment_of(back))
    orders.decline(actor=w.seller, order=back, note="排期已满", now=make.NOW)
    free = goods.order(w, corpus)
    orders.cancel(actor=w.researcher, order=free, note="", now=make.NOW)
    return running, due, settled, back, free


def test_every_purchase_stands_in_one_way_with_its_figures(w, bought):
    found = rows(w)
    assert [row.standing.value for row in found] == ["running", "due", "settled", "owed_back", "free"]
    assert [figures(row) for row in found] == [
        (50_000, 25_000, 25_000, 0, 0, 0, 0, 0),
        (50_000, 0, 50_000, 20_000, 30_000, 0, 0, 0),
        (50_000, 25_000, 25_000, 25_000, 0, 0, 0, 0),
        (0, 0, 0, 50_000, 0, 0, 0, 50_000),
        (0, 0, 0, 0, 0, 0, 0, 0),
    ]
    for standing, row in zip(("running", "due", "settled", "owed_back", "free"), found, strict=True):
        assert [one.subject for one in rows(w, standing=Standing(standing))] == [row.subject]
    sums = queries.sums(access.own_purchases(w.owner))
    assert (sums.due_fen, sums.owed_back_fen, sums.held_voucher_fen, sums.held_own_fen) == (
        30_000,
        50_000,
        25_000,
        75_000,
    )


def test_a_list_is_narrowed_by_kind_day_number_and_provider(w, bought):
    make.booking(w, make.instrument(w))
    assert len(rows(w, kind=Bought.ORDER)) == 5
    assert [row.kind for row in rows(w, kind=Bought.BOOKING)] == ["booking"]
    assert rows(w, since=make.NOW + timedelta(seconds=1)) == rows(w, until=make.NOW) == []
    due = bought[1]
    assert [row.subject for row in rows(w, text=due.number)] == [due.number]
    assert [row.subject for row in rows(w, text=payment_of(due).reference.lower())] == [due.number]
    assert len(rows(w, text=w.lab.name[:4])) == 6
    assert rows(w, text="%") == []


def test_receipts_and_tax_invoices_are_told_and_narrowed_by(w, bought):
    settled = bought[2]
    documents.all_for(actor=w.owner, charge=settled.charge.__class__.objects.get(pk=settled.charge_id), now=make.NOW)
    making.buyer(w)
    charge = access.own_purchases(w.owner).get(pk=settled.charge_id)
    assert len(rows(w, papers=Papers.NONE)) == 5
    fapiao = making.asked(w, charge)
    (row,) = rows(w, papers=Papers.ASKED)
    assert (row.receipt[:1] != "", row.fapiao.number) == (True, fapiao.number)
    assert rows(w, papers=Papers.ISSUED) == []


def test_a_charge_whose_place_another_took_is_left_out(w):
    resource = make.instrument(w)
    made = make.booking(w, resource)
    charges.release(charge_id=made.charge_id, reason="moved", actor=w.owner, now=make.NOW)
    assert [row.standing.value for row in rows(w)] == ["free"]
    charges.hold_again(
        charge_id=made.charge_id,
        price=Money(1_000),
        quote=made.charge.quote,
        ends_at=made.ends_at,
        actor=w.owner,
        now=make.NOW,
    )
    assert [(row.standing.value, row.figures.price) for row in rows(w)] == [("running", 1_000)]


def test_a_list_takes_three_queries_whatever_its_length_and_its_first_page_reads_an_index(w, bought):
    def count():
        with CaptureQueriesContext(connection) as captured:
            rows(w)
        return len(captured)

    few = count()
    for _more in range(3):
        goods.order(w, goods.offer(w))
    assert (few, count()) == (3, 3)


def test_strangers_see_nothing_of_it(w, bought):
    assert access.own_purchases(make.applicant()).count() == 0
    with pytest.raises(Forbidden):
        access.own_purchases(w.finance)


def test_the_interface_tells_the_same_page_by_page(w, bought):
    firm = Caller(w.researcher)
    first = firm.get("/purchases?limit=3").body
    assert [one["standing"] for one in first["items"]] == ["free", "owed_back", "settled"]
    rest = firm.get(f"/purchases?limit=3&before={first['next_before']}").body["items"]
    assert [(one["standing"], one["due"]["yuan"], one["paid"]["yuan"]) for one in rest] == [
        ("due", "300.00", "200.00"),
        ("running", "0.00", "0.00"),
    ]
    assert rest[0]["payment"] == payment_of(bought[1]).number and rest[0]["due_until"]
    assert len(firm.get("/purchases?standing=due&kind=order&papers=none").body["items"]) == 1
    assert firm.get("/purchases?standing=whatever").status == 422
    assert firm.get("/purchases?since=2026-11-27").status == 422
    assert Caller(w.finance).get("/purchases").status == 403
    few = queries_of(lambda: firm.get("/purchases?limit=1"))
    assert queries_of(lambda: firm.get("/purchases")) == few
