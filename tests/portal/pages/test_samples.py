"""Samples on the pages: asking with hazards, quote, custody, report, rating; strangers find nothing."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.samples.models import SampleOrder
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def firm(w):
    return enter(Client(), w.researcher)


@pytest.fixture
def lab(w):
    return enter(Client(), w.keeper)


@pytest.fixture
def sem(w):
    return make.instrument(w, modes=("self", "sample"))


def form(**more):
    said = {"title": "电解液", "wanted": "测酸度", "rows": "3", "idempotency_key": "sample-form-1", "act": "send"}
    return {**said, "label0": "S-1", "hazard0": "corrosive", "hazard_note0": "硫酸，戴手套", **more}


def act(client, order, name, **said):
    return client.post(reverse("sample_act", args=[order.number, name]), said)


def test_the_whole_way_through_the_pages(w, firm, lab, sem):
    assert "送样检测" in text_of(firm.get(reverse("instrument", args=[sem.number])))
    sent = firm.post(reverse("sample_new", args=[sem.number]), form())
    order = SampleOrder.objects.get()
    assert sent.headers["Location"] == reverse("sample_order", args=[order.number])
    assert order.number in text_of(lab.get(reverse("sample_queue")))
    act(lab, order, "answer", feasibility="can")
    act(lab, order, "quote", unit="sample", unit_price="300", quantity="1", surcharge="谱图解析", surcharge_price="80")
    assert "¥80.00 谱图解析 = ¥380.00" in text_of(firm.get(reverse("sample_order", args=[order.number])))
    act(lab, order, "quote", unit="sample", unit_price="300", quantity="1")
    assert "¥300.00" in text_of(firm.get(reverse("sample_act", args=[order.number, "accept"])))
    act(firm, order, "accept", seen="30000", voucher="")
    handled = lab.post(reverse("sample_handle", args=[order.number, 1]), {"act": "receive", "place": "酸柜"})
    assert handled.status_code == 302
    act(lab, order, "queue")
    act(lab, order, "start")
    report = SimpleUploadedFile(make.REPORT.name, make.REPORT.content)
    act(lab, order, "draft", report=report, counted="1", machine_h="1.5")
    assert "report.pdf" not in text_of(firm.get(reverse("sample_order", args=[order.number])))
    second = enter(Client(), make.actor(w.lab, roles.Role.LAB_MANAGER))
    act(second, order, "review")
    act(second, order, "issue")
    page = firm.get(reverse("sample_order", args=[order.number]))
    assert "report.pdf" in text_of(page)
    file = page.context["reports"][0]
    got = firm.get(reverse("sample_report", args=[order.number, file.pk]))
    assert (got.content, got.headers["X-Content-Type-Options"]) == (make.REPORT.content, "nosniff")
    act(firm, order, "bill")
    act(firm, order, "rate", stars="4", comment="很及时")
    order.refresh_from_db()
    assert (order.state, order.machine_s, order.charge.actual_fen) == ("closed", 5400, 30000)
    shown = text_of(Client().get(reverse("instrument", args=[sem.number])))
    assert "4.0 / 5" in shown
    assert "很及时" in shown
    assert w.enterprise.name not in shown
    assert raw_codes(text_of(firm.get(reverse("sample_order", args=[order.number]))).replace("report.pdf", "")) == []


def test_a_quote_starts_from_the_published_price_of_a_sample(w, firm, lab, sem):
    firm.post(reverse("sample_new", args=[sem.number]), form())
    order = SampleOrder.objects.get()
    act(lab, order, "answer", feasibility="can")
    page = lab.get(reverse("sample_act", args=[order.number, "quote"]))
    initial = page.context["form"].initial
    assert (initial["unit"], str(initial["unit_price"]), initial["quantity"]) == ("sample", "¥300.00", 1)
    assert "已按价目表填入" in text_of(page)
    act(lab, order, "quote", unit="test", unit_price="250", quantity="2")
    initial = lab.get(reverse("sample_act", args=[order.number, "quote"])).context["form"].initial
    assert (initial["unit"], str(initial["unit_price"]), initial["quantity"]) == ("test", "¥250.00", 2)


def test_hazards_left_out_are_asked_for_and_nothing_is_lost(firm, sem):
    refused = firm.post(reverse("sample_new", args=[sem.number]), form(hazard0="", label1="S-2", hazard1="toxic"))
    told = text_of(refused)
    assert refused.status_code == 409
    assert "请申报样品的危险性" in told
    assert "须说明成分" in told
    assert "S-2" in refused.content.decode()
    assert not SampleOrder.objects.exists()


def test_more_rows_keep_what_was_typed(firm, sem):
    more = firm.post(reverse("sample_new", args=[sem.number]), form(act="more", title=""))
    assert more.status_code == 200
    assert 'name="label7"' in more.content.decode()
    assert "S-1" in more.content.decode()


def test_strangers_find_neither_order_nor_report(w, firm, sem):
    order = make.tested(w, sem)
    file = firm.get(reverse("sample_order", args=[order.number])).context["reports"][0]
    others = [make.applicant(), make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)]
    for stranger in others:
        client = enter(Client(), stranger)
        for url in (
            reverse("sample_order", args=[order.number]),
            reverse("sample_report", args=[order.number, file.pk]),
        ):
            assert client.get(url).status_code == 404
        assert act(client, order, "bill").status_code == 404
    listed = enter(Client(), others[0]).get(reverse("samples"))
    assert order.number not in listed.content.decode()


def test_lists_filter_export_and_cost_the_same(w, firm, lab, sem, django_assert_max_num_queries):
    make.sample_order(w, sem)
    order = make.quoted(w, make.sample_order(w, sem))
    assert order.number in text_of(firm.get(reverse("samples"), {"state": "quoted"}))
    assert "没有符合条件的订单" in text_of(firm.get(reverse("samples"), {"q": "不存在"}))
    assert "电解液成分分析" in firm.get(reverse("samples"), {"format": "csv"}).content.decode()
    with django_assert_max_num_queries(12):
        lab.get(reverse("sample_queue"), {"tab": "all"})


def test_a_report_that_is_a_program_is_refused_where_it_was_chosen(w, lab, sem):
    order = make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem))))
    act(lab, order, "queue")
    act(lab, order, "start")
    bad = SimpleUploadedFile("report.pdf", b"MZ\x90\0program")
    refused = act(lab, order, "draft", report=bad, counted="1", machine_h="0")
    assert refused.status_code == 409
    assert "不支持这种文件" in text_of(refused)


def test_a_finished_booking_is_rated_and_the_lab_answers(w, firm, lab, sem):
    made = make.measured(w, make.booking(w, sem))
    assert "评价服务" in text_of(firm.get(reverse("booking", args=[made.number])))
    firm.post(reverse("booking_rate", args=[made.number]), {"stars": "5", "comment": "好"})
    again = firm.post(reverse("booking_rate", args=[made.number]), {"stars": "1"})
    assert again.status_code == 409
    rating = firm.get(reverse("booking", args=[made.number])).context["rating"]
    lab.post(reverse("rating_answer", args=[rating.pk]), {"answer": "谢谢支持"})
    assert "谢谢支持" in text_of(Client().get(reverse("instrument", args=[sem.number])))
    other = enter(Client(), make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER))
    assert other.get(reverse("rating_answer", args=[rating.pk])).status_code == 404
