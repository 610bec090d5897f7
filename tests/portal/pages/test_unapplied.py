"""The pages and endpoints of unapplied money: whose it is, where it came from, and what finance does with it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, text_of
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due, fen, line, pay
from vouchers.banking import services
from vouchers.payments.models import Arrival

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def too_much(w, reference: str = "A1") -> Arrival:
    """Return an arrival of ¥10.00 more than was due, by the line of that reference."""
    payment = due(w, 5_000)
    bring(w, row(reference, "60.00", name="某公司"))
    services.match(actor=w.finance, line=line(reference), parts=pay(payment, 6_000), now=make.NOW)
    return payment.arrivals.get()


def test_finance_sees_whose_money_it_is_and_where_it_came_from(client, w):
    arrival = too_much(w)
    enter(client, w.finance)
    said = text_of(client.get(reverse("unapplied_money")))
    for word in ("杭州星河智能科技有限公司", "A1", "某公司", arrival.payment.number, "10.00"):
        assert word in said
    assert "没有符合条件" in text_of(client.get(reverse("unapplied_money"), {"state": "asked"}))
    whole = text_of(client.get(reverse("unapplied_excess", args=[arrival.pk])))
    assert "330100001111" in whole
    assert "该单位没有待付款项" in whole
    table = client.get(reverse("unapplied_money"), {"format": "csv"}).content.decode("utf-8-sig")
    assert "330100001111" in table
    assert "10.00" in table


def test_it_goes_back_by_bank_and_may_be_kept(client, w):
    arrival = too_much(w)
    enter(client, w.finance)
    address = reverse("unapplied_excess", args=[arrival.pk])
    assert "已登记由银行退回" in text_of(client.post(address, {"act": "back"}, follow=True))
    assert "请向 某公司 330100001111 转账" in text_of(client.get(address))
    refused = client.post(address, {"act": "apply", "payment": due(w, 100).number})
    assert refused.status_code == 409
    client.post(address, {"act": "keep"})
    client.post(address, {"act": "back"})
    bring(w, row("X1", "-10.00", name="某公司"))
    assert line("X1").state == "matched"
    assert fen("unapplied_cash", f"organisation:{w.enterprise.pk}") == 0
    assert "没有挂账资金" in text_of(client.get(reverse("unapplied_money")))
    assert "已退回" in text_of(client.get(address))


def test_it_pays_what_the_same_payer_owes(client, w):
    arrival, other = too_much(w), due(w, 400)
    enter(client, w.finance)
    address = reverse("unapplied_excess", args=[arrival.pk])
    assert "尚欠" in text_of(client.get(address))
    done = client.post(address, {"act": "apply", "payment": other.number}, follow=True)
    assert f"用于付款 {other.number}" in text_of(done)
    other.refresh_from_db()
    assert other.state == "confirmed"
    assert fen("unapplied_cash", f"organisation:{w.enterprise.pk}") == 600


def test_from_the_limit_on_another_confirms_on_the_page(client, w, settings):
    arrival, other = too_much(w), due(w, 5_000)
    settings.BANK_TWO_PERSON_FEN = 1_000
    enter(client, w.finance)
    address = reverse("unapplied_excess", args=[arrival.pk])
    asked = text_of(client.post(address, {"act": "apply", "payment": other.number}, follow=True))
    assert "由另一位同事复核" in asked
    assert client.post(address, {"act": "confirm", "payment": other.number}).status_code == 403
    assert "某公司" in text_of(client.get(reverse("unapplied_money"))), "it is still on the list"
    enter(client, w.finance_approver)
    assert "款项已用于付款" in text_of(client.post(address, {"act": "confirm", "payment": other.number}, follow=True))
    other.refresh_from_db()
    assert other.paid_fen == 1_000


def test_what_paid_the_wrong_payment_is_undone_by_two(client, w):
    arrival, other = too_much(w), due(w, 400)
    enter(client, w.finance)
    address = reverse("unapplied_excess", args=[arrival.pk])
    client.post(address, {"act": "apply", "payment": other.number})
    assert client.post(address, {"act": "doubt", "payment": other.number, "reason": ""}).status_code == 422
    done = client.post(address, {"act": "doubt", "payment": other.number, "reason": "选错付款"}, follow=True)
    assert "选错付款" in text_of(done) and "复核并撤销" not in text_of(done)
    assert client.post(address, {"act": "undo", "payment": other.number}).status_code == 403
    enter(client, w.finance_approver)
    assert "复核并撤销" in text_of(client.get(address))
    client.post(address, {"act": "undo", "payment": other.number})
    other.refresh_from_db()
    assert (other.state, fen("unapplied_cash", f"organisation:{w.enterprise.pk}")) == ("due", 1_000)


def test_a_suggested_return_is_matched_on_the_page_of_its_line(client, w):
    too_much(w)
    bring(w, row("X1", "-10.00"))
    enter(client, w.finance)
    address = reverse("bank_line", args=[line("X1").pk])
    assert f'value="{w.enterprise.credit_code}"' in client.get(address).content.decode()
    form = {"act": "match", "kind": ["excess"], "target": [w.enterprise.credit_code], "amount": ["10.00"]}
    client.post(address, form)
    assert line("X1").state == "matched"


def test_others_see_nothing_and_the_approver_only_looks(client, w):
    arrival = too_much(w)
    address = reverse("unapplied_excess", args=[arrival.pk])
    for who in (w.owner, w.keeper, w.reviewer):
        enter(client, who)
        assert client.get(reverse("unapplied_money")).status_code in {403, 404}
        assert client.get(address).status_code in {403, 404}
    enter(client, w.finance_approver)
    assert "登记由银行退回" not in text_of(client.get(address))
    assert client.post(address, {"act": "back"}).status_code == 403


def test_the_list_takes_as_many_queries_for_many_as_for_few(client, w):
    enter(client, w.finance)
    counts = []
    for at in range(4):
        too_much(w, f"A{at}")
        if at in {0, 3}:
            with CaptureQueriesContext(connection) as seen:
                client.get(reverse("unapplied_money"))
            counts.append(len(seen))
    assert counts[0] == counts[1]


def test_over_http(w):
    arrival, other = too_much(w), due(w, 400)
    finance = Caller(w.finance)
    [found] = finance.get("/banking/unapplied").body["items"]
    assert (found["id"], found["free"]["fen"], found["account"], found["payer"]) == (
        arrival.pk,
        1_000,
        "330100001111",
        w.enterprise.credit_code,
    )
    done = finance.post(f"/banking/unapplied/{arrival.pk}/apply", {"payment": other.number})
    assert (done.status, done.body["applied"]["fen"], done.body["free"]["fen"]) == (200, 400, 600)
    asked = finance.post(f"/banking/unapplied/{arrival.pk}/send-back").body
    assert (asked["asked"]["fen"], [use["kind"] for use in asked["uses"]]) == (600, ["applied", "returned"])
    assert finance.post(f"/banking/unapplied/{arrival.pk}/keep").body["free"]["fen"] == 600
    assert Caller(w.owner).get("/banking/unapplied").status == 403
    assert Caller(w.owner).get(f"/banking/unapplied/{arrival.pk}").status == 404
