"""Offers and orders over HTTP: the whole way of a model bought by use, and the answers to what is wrong."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.calling import Caller, queries_of
from tests.scheduler.bookings.paying import arrives
from tests.vouchers.offers import goods
from vouchers.payments.models import Payment

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def shop(w):
    return Caller(w.seller)


@pytest.fixture
def firm(w):
    return Caller(w.researcher)


OFFER = {
    "kind": "model_api",
    "title": "文语大模型接口",
    "description": "通用中文大模型。",
    "licence": "按量使用，不得转售。",
    "filing_number": "Zhejiang-2025-001",
    "delivery": "api",
}
ITEM = {"code": "tokens", "name": "文本词元", "unit": "million_tokens", "tiers": [{"price_yuan": "8"}]}
LINES = [{"code": "tokens", "quantity": "100"}]


def file(upload):
    return SimpleUploadedFile(upload.name, upload.content)


def test_from_offer_to_captured_charge(w, shop, firm):
    number = shop.post("/offers", OFFER).body["number"]
    assert shop.post(f"/offers/{number}/publish").reasons == ["offer.no_price_list"]
    assert shop.post(f"/offers/{number}/prices", {"items": [ITEM]}).status == 201
    assert shop.post(f"/offers/{number}/publish").body["state"] == "published"
    voucher = goods.voucher(w, "model_api")
    asked = {"lines": LINES, "vouchers": [voucher.number]}
    quote = firm.post(f"/offers/{number}/quote", asked).body
    assert (quote["orderable"], quote["price"]["yuan"], quote["voucher_share"]["yuan"]) == (True, "800.00", "400.00")

    order = firm.post("/orders", {**asked, "offer": number, "purpose": "客服问答"}, key=make.key()).body["number"]
    for act in ("accept", "begin"):
        assert shop.post(f"/orders/{order}/{act}").status == 200
    usage = goods.usage_file(*goods.ROWS)
    looked = shop.upload(f"/orders/{order}/usage/preview", file=file(usage)).body
    assert (looked["new"], looked["after"]["yuan"], looked["reasons"]) == (2, "30.00", [])
    assert shop.upload(f"/orders/{order}/usage/file", file=file(usage)).body["added"] == 2
    assert shop.upload(f"/orders/{order}/usage/file", file=file(usage)).body == {"id": None, "added": 0, "known": 2}
    line = {"day": goods.DAY, "reference": "call-3", "code": "tokens", "quantity": "1"}
    assert shop.post(f"/orders/{order}/usage", {"lines": [line]}).body["added"] == 1
    assert shop.post(f"/orders/{order}/usage", {"lines": [{**line, "quantity": "2"}]}).reasons == ["usage.conflict"]
    assert shop.post(f"/orders/{order}/deliver", {}).body["actual"]["yuan"] == "38.00"
    done = firm.post(f"/orders/{order}/approve").body
    assert (done["state"], done["charge"]["voucher_captured"]["yuan"]) == ("completed", "19.00")
    assert len(firm.get(f"/orders/{order}/usage").body["items"]) == 3
    assert [row["purpose"] for row in firm.get(f"/orders/{order}/files").body] == ["usage"]


def test_a_dispute_says_what_is_accepted_and_the_department_rules(w, firm):
    made = goods.delivered(w, goods.order(w, goods.offer(w), pay_with=goods.voucher(w)), by=w.seller)
    path = f"/orders/{made.number}"
    said = {"note": "缺 200 条", "quantities": [{"code": "record", "quantity": "800"}]}
    shown = firm.post(f"{path}/dispute", said).body
    assert (shown["state"], shown["proposed"][0]["quantity"], shown["ruled_at"]) == ("disputed", "800", None)
    too_much = {"note": "裁决", "quantities": [{"code": "record", "quantity": "1000.000001"}]}
    assert Caller(w.approver).post(f"{path}/ruling", too_much).reasons == ["order.more_than_delivered"]
    assert Caller(w.reviewer).post(f"{path}/ruling", said).status == 403
    done = Caller(w.approver).post(f"{path}/ruling", {**said, "note": "按抽查结果"}).body
    assert (done["state"], done["actual"]["yuan"], done["note"]) == ("completed", "400.00", "按抽查结果")


def test_the_department_reads_the_orders_its_vouchers_pay_but_not_what_for(w):
    corpus = goods.offer(w)
    goods.order(w, corpus, pay_with=goods.voucher(w))
    goods.order(w, corpus)
    seen = Caller(w.reviewer).get("/orders").body["items"]
    assert [order["purpose"] for order in seen] == [""]


@pytest.mark.parametrize("quantity", ["1.2345678", "-1", "1e3", "", "99999999999"])
def test_a_quantity_is_plain_text_with_six_decimals(w, firm, quantity):
    number = goods.offer(w).number
    answer = firm.post(f"/offers/{number}/quote", {"lines": [{"code": "record", "quantity": quantity}]})
    assert answer.status == 422


def test_the_catalogue_takes_the_same_queries_whatever_its_length(w, firm):
    goods.offer(w)
    few = queries_of(lambda: firm.get("/offers"))
    for at in range(6):
        goods.offer(w, title=f"语料 {at}")
    assert queries_of(lambda: firm.get("/offers")) == few
    assert len(firm.get("/offers", q="故障 语料").body["items"]) == 7
    assert firm.get("/offers", q="没有").body["items"] == []
    assert firm.get("/offers", kind="rd_service").body["items"] == []
    assert firm.get("/offers", mine="true").status == 403


def test_an_order_paid_in_advance_says_what_is_awaited_and_delivery_waits_for_it(w, shop, firm):
    number = goods.offer(w, prepay_days=3).number
    assert shop.get(f"/offers/{number}").body["prepay_days"] == 3
    asked = {"lines": [{"code": "record", "quantity": "1000"}], "offer": number, "purpose": "微调"}
    made = firm.post("/orders", asked, key=make.key()).body
    assert (made["advance"]["state"], made["advance"]["amount"]["yuan"], made["again_of"]) == ("due", "500.00", None)
    assert made["advance"]["due_until"] == "2026-11-28T02:00:00Z"
    path = f"/orders/{made['number']}"
    shop.post(f"{path}/accept")
    assert shop.post(f"{path}/begin").reasons == ["order.not_paid"]
    payment = Payment.objects.get(number=made["advance"]["payment"])
    arrives(payment)
    assert shop.get(path).body["advance"]["state"] == "confirmed"
    assert shop.post(f"{path}/begin").status == 200
    assert shop.put(f"/offers/{number}", {**OFFER, "kind": "corpus", "prepay_days": 16}).status == 422
