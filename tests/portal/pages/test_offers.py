"""The catalogue, the order form, orders and the provider's desk, read as a person reads them."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.bookings.paying import arrives
from tests.vouchers.offers import goods
from vouchers.offers import orders
from vouchers.offers.models import Offer, Order, PriceList, UsageLine

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def firm(w):
    return enter(Client(), w.researcher)


@pytest.fixture
def shop(w):
    return enter(Client(), w.seller)


@pytest.fixture
def corpus(w):
    return goods.offer(w)


def test_a_stranger_finds_offers_by_words_and_facets(w, client, corpus):
    goods.model(w)
    everything = text_of(client.get(reverse("offers")))
    assert "工业设备故障问答语料" in everything
    assert "¥0.50 / 条" in everything
    assert "语料 (1)" in everything
    found = text_of(client.get(reverse("offers"), {"q": "故障 问答", "kind": "corpus"}))
    assert "之江文语大模型" not in found
    assert "没有符合条件的服务" in text_of(client.get(reverse("offers"), {"q": "不存在"}))
    assert client.get(reverse("offers"), {"kind": "' OR 1", "page": "9", "sort": "x"}).status_code == 200
    assert client.get(reverse("offers"), {"q": "\0 故障"}).status_code == 200


def test_the_catalogue_takes_the_same_queries_whatever_its_length(w, client, corpus, django_assert_max_num_queries):
    for at in range(5):
        goods.offer(w, title=f"语料 {at}")
    with django_assert_max_num_queries(8):
        assert client.get(reverse("offers")).status_code == 200


def test_an_offer_shows_its_licence_and_prices_and_a_draft_only_to_its_provider(w, client, shop):
    from vouchers.offers import services

    draft = services.create_offer(actor=w.seller, values=goods.values(), now=make.NOW)
    assert client.get(reverse("offer", args=[draft.number])).status_code == 404
    page = text_of(shop.get(reverse("offer", args=[draft.number])))
    assert "草稿" in page
    assert "还没有公布过价目表" in page


def asked(corpus, **changes):
    form = {"q0": "1000", "voucher": "", "purpose": "故障诊断模型微调", "agreed": "on", "idempotency_key": make.key()}
    return {**form, "act": "order", **changes}


def seen_of(page):
    return page.content.decode().split('name="seen" value="')[1].split('"')[0]


def test_the_calculator_says_what_a_voucher_would_pay_and_the_order_is_placed(w, firm, corpus):
    voucher = goods.voucher(w)
    url = reverse("offer_order", args=[corpus.number])
    quote = firm.get(reverse("offer_quote", args=[corpus.number]), {"q0": "1000", "voucher": voucher.number})
    told = text_of(quote)
    assert "¥500.00" in told
    assert "券抵扣 50% ¥250.00" in told
    assert firm.post(url, asked(corpus, voucher=voucher.number)).status_code == 409
    form = asked(corpus, voucher=voucher.number, seen=seen_of(quote))
    for _twice in range(2):
        answer = firm.post(url, form)
        assert answer.status_code == 302, text_of(answer)
    made = Order.objects.get()
    assert made.charge.voucher_held_fen == 25_000
    page = text_of(firm.get(answer["Location"]))
    assert "待接单" in page
    assert raw_codes(page.replace(made.number, "")) == []
    assert "我的订单" in text_of(firm.get(reverse("orders")))


def test_a_voucher_that_pays_back_is_not_offered_but_explained(w, firm, corpus):
    voucher = goods.voucher(w, redeem={"mode": "reimburse"})
    url = reverse("offer_order", args=[corpus.number])
    page = firm.get(url)
    assert f'value="{voucher.number}"' not in page.content.decode()
    assert f"{voucher.number} 为先付后补，不能在此抵扣" in text_of(page)
    quote = text_of(firm.get(reverse("offer_quote", args=[corpus.number]), {"q0": "1000", "voucher": voucher.number}))
    assert "请先全部自付，取得发票后在“申领”中用该券申领" in quote
    assert firm.post(url, asked(corpus, voucher=voucher.number)).status_code == 409
    assert not Order.objects.exists()


def test_every_reason_against_an_order_stands_in_the_form(w, firm, corpus):
    voucher = goods.voucher(w, "model_api")
    url = reverse("offer_order", args=[corpus.number])
    form = asked(corpus, voucher=voucher.number, related="on")
    answer = firm.post(url, {**form, "act": "quote"})
    told = text_of(answer)
    assert "不能用于此类服务" in told
    assert "不允许向关联方采购" in told
    assert firm.post(url, {**form, "seen": seen_of(answer)}).status_code == 409
    assert firm.post(url, asked(corpus, agreed="", purpose="", q0="1.1234567")).status_code == 422
    assert not Order.objects.exists()


def act(client, order, name, **form):
    return client.post(reverse("order_act", args=[order.number, name]), form)


def test_an_order_goes_its_way_by_its_buttons(w, firm, shop, corpus):
    made = goods.order(w, corpus)
    assert "待接单 1" in text_of(shop.get(reverse("order_queue")))
    assert act(shop, made, "accept").status_code == 302
    assert act(shop, made, "begin").status_code == 302
    assert "缺少交付凭证" in text_of(act(shop, made, "deliver"))
    upload = SimpleUploadedFile(goods.PDF.name, goods.PDF.content)
    sent = shop.post(reverse("order_upload", args=[made.number]), {"purpose": "delivery_proof", "file": upload})
    assert sent.status_code == 302
    assert act(shop, made, "deliver").status_code == 302
    assert "验收交付" in text_of(firm.get(reverse("dashboard")))
    assert act(firm, made, "dispute", note="").status_code == 422
    assert act(firm, made, "dispute", note="缺 10 条").status_code == 302
    assert "处理异议" in text_of(shop.get(reverse("dashboard")))
    assert act(firm, made, "approve").status_code == 302
    assert act(firm, made, "approve").status_code == 409
    page = text_of(firm.get(reverse("order", args=[made.number])))
    assert "已验收" in page
    assert raw_codes(page.replace(made.number, "").replace("交付清单.pdf", "")) == []


def test_less_is_delivered_part_is_accepted_and_the_department_rules(w, client, firm, shop, corpus):
    made = goods.delivering(w, goods.order(w, corpus, pay_with=goods.voucher(w)), by=w.seller)
    upload = SimpleUploadedFile(goods.PDF.name, goods.PDF.content)
    shop.post(reverse("order_upload", args=[made.number]), {"purpose": "delivery_proof", "file": upload})
    asks = shop.get(reverse("order_act", args=[made.number, "deliver"])).content.decode()
    assert 'name="q0" value="1000"' in asks
    assert act(shop, made, "deliver", q0="1000.5").status_code == 422
    assert act(shop, made, "deliver", q0="900").status_code == 302
    assert "最多 900 条" in text_of(firm.get(reverse("order_act", args=[made.number, "dispute"])))
    assert act(firm, made, "dispute", note="缺 200 条", q0="700").status_code == 302
    assert "采购单位认可 标注语料 700 条" in text_of(firm.get(reverse("order", args=[made.number])))
    again = shop.get(reverse("order_act", args=[made.number, "deliver"])).content.decode()
    assert 'name="q0" value="700"' in again
    officer = enter(client, w.approver)
    assert "裁决异议" in text_of(officer.get(reverse("dashboard")))
    assert "裁决异议" in text_of(officer.get(reverse("order", args=[made.number])))
    assert act(officer, made, "rule", note="", q0="800").status_code == 422
    assert act(officer, made, "rule", note="按抽查结果", q0="800").status_code == 302
    made.refresh_from_db()
    assert (made.state, made.actual_fen) == ("completed", 40_000)
    assert act(shop, made, "rule", note="x", q0="1").status_code == 403
    page = text_of(firm.get(reverse("order", args=[made.number])))
    assert "按抽查结果" in page
    assert raw_codes(page.replace(made.number, "").replace(goods.PDF.name, "")) == []


def test_a_settled_order_is_refunded_by_its_provider(w, firm, shop, corpus):
    made = goods.delivered(w, goods.order(w, corpus, pay_with=goods.voucher(w)), by=w.seller)
    orders.approve(actor=w.researcher, order=made, now=make.NOW)
    url = reverse("order_refund", args=[made.number])
    assert "退款" in text_of(shop.get(reverse("order", args=[made.number])))
    form = {"amount": "100.005", "reason": "少 200 条", "idempotency_key": make.key()}
    assert shop.post(url, form).status_code == 422
    assert shop.post(url, {**form, "amount": "600"}).status_code in {409, 422}
    for _twice in range(2):
        assert shop.post(url, {**form, "amount": "100"}).status_code == 302
    made.charge.refresh_from_db()
    assert (made.charge.voucher_refunded_fen, made.charge.own_refunded_fen) == (5_000, 5_000)
    assert firm.post(url, form).status_code == 403


def test_strangers_rivals_and_the_department_see_what_is_theirs(w, client, firm, corpus):
    paid = goods.order(w, corpus, pay_with=goods.voucher(w))
    own = goods.order(w, corpus)
    rival = enter(Client(), make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER))
    for name in ("order", "order_usage_csv"):
        assert rival.get(reverse(name, args=[paid.number])).status_code == 404
        assert client.get(reverse(name, args=[paid.number])).status_code == 302
    reviewer = enter(Client(), w.reviewer)
    page = text_of(reviewer.get(reverse("order", args=[paid.number])))
    assert paid.purpose not in page
    assert reviewer.get(reverse("order", args=[own.number])).status_code == 404
    listed = text_of(reviewer.get(reverse("overseen_orders")))
    assert paid.number in listed
    assert own.number not in listed


def test_files_are_handed_out_to_the_parties_only(w, firm, corpus):
    made = goods.delivered(w, goods.order(w, corpus), by=w.seller)
    kept = orders.evidence.files_of(made.subject).get()
    answer = firm.get(reverse("order_file", args=[made.number, kept.pk]))
    assert answer["Content-Disposition"].startswith("attachment")
    rival = enter(Client(), make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER))
    assert rival.get(reverse("order_file", args=[made.number, kept.pk])).status_code == 404


@pytest.fixture
def delivering(w):
    return goods.delivering(w, goods.order(w, goods.model(w), "100"), by=w.seller)


def check(shop, order, upload):
    return shop.post(
        reverse("order_usage", args=[order.number]), {"file": SimpleUploadedFile(upload.name, upload.content)}
    )


def token_of(page):
    return page.content.decode().split('name="token" value="')[1].split('"')[0]


def test_usage_is_looked_at_then_imported_once(w, shop, firm, delivering):
    url = reverse("order_usage", args=[delivering.number])
    looked = check(shop, delivering, goods.usage_file(*goods.ROWS))
    told = text_of(looked)
    assert "¥30.00" in told
    assert not UsageLine.objects.exists()
    assert shop.post(url, {"token": token_of(looked)}).status_code == 302
    assert UsageLine.objects.count() == 2
    assert shop.post(url, {"token": token_of(looked)}).status_code == 409
    again = check(shop, delivering, goods.usage_file(*goods.ROWS))
    assert shop.post(url, {"token": token_of(again)}).status_code == 302
    assert UsageLine.objects.count() == 2
    rows = list(
        csv.reader(io.StringIO(firm.get(reverse("order_usage_csv", args=[delivering.number])).content.decode()))
    )
    assert [row[1] for row in rows[1:]] == ["call-1", "call-2"]
    export = shop.get(reverse("order_usage_csv", args=[delivering.number])).content
    known = check(shop, delivering, goods.Upload("again.csv", export))
    assert "行，不重复计入" in text_of(known)
    assert known.status_code == 200
    page = firm.get(reverse("order", args=[delivering.number]))
    assert "2 行明细" in text_of(page)
    pk = delivering.imports.get().pk
    assert shop.post(url, {"withdraw": str(pk)}).status_code == 302
    assert not UsageLine.objects.filter(active=True).exists()


def test_a_bad_usage_file_names_rows_and_offers_no_import(w, shop, delivering):
    bad = check(shop, delivering, goods.usage_file((goods.DAY, "a", "=1+1", "", None, None, "1.234")))
    told = text_of(bad)
    assert bad.status_code == 422
    assert "第 2 行“数量”是公式" in told
    assert "第 2 行“金额”“1.234”超过两位小数" in told
    assert 'name="token"' not in bad.content.decode()
    torn = check(shop, delivering, goods.Upload("a.xlsx", goods.usage_file(*goods.ROWS).content[:500]))
    assert "文件不完整或已损坏" in text_of(torn)
    english = check(Client(), delivering, goods.usage_file(*goods.ROWS))
    assert english.status_code == 302


def test_a_use_over_several_days_is_drawn(w, firm, shop, delivering):
    from datetime import timedelta

    from vouchers.offers import importing, usage

    lines = [
        usage.UsageValue(at, make.NOW.date() + timedelta(days=at), f"r{at}", "tokens", goods.Fraction(at + 1))
        for at in range(3)
    ]
    importing.import_lines(actor=w.seller, order=delivering, lines=lines, now=make.NOW + timedelta(days=3))
    assert "<svg" in firm.get(reverse("order", args=[delivering.number])).content.decode()


def price_form(**changes):
    row = {"code": "tokens", "name": "词元", "unit": "million_tokens", "price0": "8.50", "top0": "100", "price1": "7"}
    row |= {"tiering": "whole_volume", "rounding": "half_up"}
    form = {f"row-0-{name}": value for name, value in {**row, **changes}.items()}
    return {**form, "row-TOTAL_FORMS": "1", "row-INITIAL_FORMS": "0", "act": "publish"}


def offer_form(**changes):
    said = goods.values(kind="model_api", delivery="api")
    form = {name: getattr(said, name) for name in said.__slots__}
    return {**form, "idempotency_key": make.key(), **changes}


def test_a_provider_enters_prices_and_publishes_an_offer(w, shop):
    form = offer_form()
    for _twice in range(2):
        assert shop.post(reverse("offer_new"), form).status_code == 302
    made = Offer.objects.get()
    refused = shop.post(reverse("offer_state", args=[made.number]), {"act": "publish"})
    assert "还没有生效的价目表" in text_of(refused)
    url = reverse("offer_prices", args=[made.number])
    assert shop.post(url, price_form(price0="8.1234567")).status_code == 422
    assert shop.post(url, price_form(price1="", top0="100")).status_code == 409
    more = shop.post(url, {**price_form(), "act": "more"})
    assert more.content.decode().count("<fieldset") == 2
    assert shop.post(url, price_form()).status_code == 302
    assert PriceList.objects.get().items[0]["tiers"] == [
        {"price_yuan": "8.50", "up_to": "100"},
        {"price_yuan": "7.00", "up_to": None},
    ]
    assert "8.50" in shop.get(url).content.decode()
    assert shop.post(reverse("offer_state", args=[made.number]), {"act": "publish"}).status_code == 302
    assert shop.get(reverse("offer_withdraw", args=[made.number])).status_code == 200
    assert shop.post(reverse("offer_withdraw", args=[made.number])).status_code == 302
    assert "已下架" in text_of(shop.get(reverse("my_offers")))
    assert shop.post(reverse("offer_edit", args=[made.number]), offer_form()).status_code == 409


def test_the_price_editor_grows_by_lines_and_tiers_and_keeps_what_was_typed(w, shop, corpus):
    url = reverse("offer_prices", args=[corpus.number])
    form = price_form(name="词元（写了一半", free="abc")
    for _more in range(9):
        shown = shop.post(url, {**form, "act": "more", "day": "2099-01-01"})
        form["row-TOTAL_FORMS"] = str(len(shown.context["rows"].forms))
    assert shown.status_code == 200
    assert len(shown.context["rows"].forms) == 10
    page = shown.content.decode()
    assert "词元（写了一半" in page
    assert 'value="abc"' in page
    assert 'value="2099-01-01"' in page
    assert shown.context["rows"].total_error_count() == 0
    form = price_form(top1="200", price2="6", top2="300")
    for at in range(3, 12):
        shown = shop.post(url, {**form, "act": "more.0"})
        assert f'name="row-0-price{at}"' in shown.content.decode()
        form |= {f"row-0-price{at}": f"{5 - at / 10:.1f}", f"row-0-top{at}": str(100 * (at + 1)) if at < 11 else ""}
    assert 'value="more.0"' not in shown.content.decode()
    assert shop.post(url, {**form, "act": "publish", "day": "2099-01-01"}).status_code == 302
    made = PriceList.objects.order_by("-version").first()
    assert len(made.items[0]["tiers"]) == 12
    assert 'name="row-0-price11"' in shop.get(url).content.decode()


def test_another_providers_offers_cannot_be_edited(w, corpus):
    other = make.organisation(make.roles.Kind.PROVIDER)
    rival = enter(Client(), make.actor(other, make.roles.Role.SERVICE_MANAGER))
    for name in ("offer_edit", "offer_prices", "offer_withdraw"):
        assert rival.get(reverse(name, args=[corpus.number])).status_code == 404
    assert rival.post(reverse("offer_state", args=[corpus.number]), {"act": "suspend"}).status_code == 404


def test_lists_come_as_files_too(w, firm, shop, corpus):
    goods.order(w, corpus, purpose="=HYPERLINK(1)")
    for client, name in ((firm, "orders"), (shop, "order_queue"), (firm, "offers")):
        answer = client.get(reverse(name), {"format": "csv"})
        assert answer["Content-Type"].startswith("text/csv")
        assert ",=HYPERLINK" not in answer.content.decode()


def test_english_pages_hold_no_chinese_of_ours(w, corpus):
    made = goods.delivered(w, goods.order(w, corpus), by=w.seller)
    client = enter(Client(), w.researcher)
    for url in ("/en/offers/", f"/en/offers/{corpus.number}/order/", f"/en/orders/{made.number}/"):
        with translation.override("en"):
            page = text_of(client.get(url))
        assert "待验收" not in page
        assert "提交" not in page
        assert "价目表" not in page


def test_an_order_to_be_prepaid_leads_to_its_payment_and_tells_both_sides_what_it_waits_for(w, firm, shop):
    corpus = goods.offer(w, prepay_days=3)
    assert "须预付：下单后 3 天内付款" in text_of(firm.get(reverse("offer", args=[corpus.number])))
    quote = firm.get(reverse("offer_quote", args=[corpus.number]), {"q0": "1000"})
    assert "须预付：下单后 3 天内付清自付部分" in text_of(quote)
    url = reverse("offer_order", args=[corpus.number])
    answer = firm.post(url, asked(corpus, seen=seen_of(quote)))
    made = Order.objects.get()
    payment = made.charge.payment
    assert answer.url == reverse("payment", args=[payment.number])
    page = text_of(firm.get(reverse("order", args=[made.number])))
    assert "自付部分 ¥500.00 须在" in page and "去付款" not in page
    assert "去付款" in text_of(enter(Client(), w.owner).get(reverse("order", args=[made.number])))
    assert "待预付" in text_of(firm.get(reverse("orders")))
    orders.accept(actor=w.seller, order=made, now=make.NOW)
    page = text_of(shop.get(reverse("order", args=[made.number])))
    assert "等待采购单位预付" in page and "开始交付；逾期" in page and "去付款" not in page
    assert (
        reverse("order_act", args=[made.number, "begin"])
        not in shop.get(reverse("order", args=[made.number])).content.decode()
    )
    arrives(payment)
    served = shop.get(reverse("order", args=[made.number]))
    assert "预付款 ¥500.00 已到账" in text_of(served)
    assert reverse("order_act", args=[made.number, "begin"]) in served.content.decode()


def test_late_money_is_told_on_both_orders(w, firm):
    made = goods.order(w, goods.offer(w, prepay_days=1))
    arrives(made.charge.payment, after=timedelta(days=2))
    again = Order.objects.get(again_of=made)
    page = text_of(firm.get(reverse("order", args=[made.number])))
    assert "逾期未预付" in page and f"已按原价重新下单： {again.number}" in " ".join(page.split())
    assert made.number in text_of(firm.get(reverse("order", args=[again.number])))
