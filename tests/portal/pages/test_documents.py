"""Documents and tax invoices on pages: who sees what, asks, issues, imports, and checks a printed one."""

import io

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.vouchers.invoices import making
from vouchers.invoices import documents
from vouchers.invoices.models import Fapiao, SalesTax


@pytest.fixture(autouse=True)
def _own_folders(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "certificates": {**settings.STORAGES["certificates"], "OPTIONS": {"location": tmp_path / "papers"}},
        "evidence": {**settings.STORAGES["evidence"], "OPTIONS": {"location": tmp_path / "evidence"}},
    }


@pytest.fixture
def charge(w):
    making.taxed(w)
    found = making.taken(w, 8_800_000)
    making.paid(found)
    return found


def see(client, who, name, *args):
    return enter(client, who).get(reverse(name, args=args))


def test_the_payer_sees_its_documents_and_takes_them_away(w, client, charge):
    making.refunded(w, charge, 800_000)
    address = reverse("charge_documents", args=[charge.number])
    assert "正在出具：结算单、收款凭证、退款单" in text_of(see(client, w.owner, "charge_documents", charge.number))
    assert not charge.documents.exists()
    assert client.post(address).status_code == 302
    text = text_of(client.get(address))
    assert "正在出具" not in text
    assert "结算单" in text
    assert "收款凭证" in text
    assert "退款单" in text
    assert "-¥8,000.00" in text
    assert raw_codes(text) == []
    assert charge.number in text_of(client.get(reverse("documents")))
    for one in charge.documents.all():
        pdf = client.get(reverse("document_file", args=[one.number, "pdf"]))
        assert pdf.content.startswith(b"%PDF-1.7")
        assert client.get(reverse("document_file", args=[one.number, "json"])).json()["sha256"] == one.sha256
        assert client.get(reverse("document_file", args=[one.number, "xml"])).content.startswith(b"<?xml")
    assert client.get(reverse("document_file", args=[one.number, "exe"])).status_code == 404


def test_others_see_what_is_theirs(w, client, charge):
    assert see(client, make.applicant(), "charge_documents", charge.number).status_code == 404
    assert see(client, w.reviewer, "charge_documents", charge.number).status_code == 403
    for one in (w.keeper, w.lab_owner, w.finance, w.auditor):
        assert see(client, one, "charge_documents", charge.number).status_code == 200
        assert charge.number in text_of(client.get(reverse("documents")))


def test_anybody_can_check_a_document_and_a_forged_one_is_told(w, client, charge):
    [invoice, _receipt] = documents.all_for(actor=w.owner, charge=charge, now=making.LATER)
    text = text_of(client.get(reverse("document_verify", args=[documents.token_of(invoice)])))
    assert "真实无误" in text
    assert invoice.sha256 in text
    assert client.get(reverse("document_verify", args=["forged.token"])).status_code == 404


def buyer(w, **changes):
    return {"kind": "normal", "title": "甲公司", "credit_code": w.enterprise.credit_code, **changes}


def test_asked_for_issued_and_the_file_taken_away(w, client, charge):
    enter(client, w.owner)
    address = reverse("fapiao_new", args=[charge.number])
    assert w.enterprise.credit_code in client.get(address).content.decode()
    wrong = client.post(address, buyer(w, kind="special", title="乙公司", phone="x"))
    assert wrong.status_code == 422 or wrong.status_code == 409
    assert "乙公司" in wrong.content.decode()
    assert "专票须填写开户银行。" in text_of(wrong)
    assert client.post(address, buyer(w)).status_code == 302
    found = Fapiao.objects.get()
    enter(client, w.keeper)
    page = reverse("fapiao", args=[found.number])
    assert raw_codes(text_of(client.get(page))) == []
    bad = client.post(page, {"act": "issue", "number": "1", "issued_on": "2026-11-25", "amount": "1"})
    assert bad.status_code == 409
    assert "数电发票号码须为 20 位数字" in text_of(bad)
    sent = {"act": "issue", "number": making.number(1), "issued_on": "2026-11-25", "amount": "88000.00"}
    file = SimpleUploadedFile("发票.pdf", making.PDF.content)
    assert client.post(page, {**sent, "file": file}).status_code == 302
    found.refresh_from_db()
    assert (found.state, found.file.name) == ("issued", "发票.pdf")
    assert see(client, w.owner, "fapiao_file", found.number).content == making.PDF.content
    assert making.number(1) in text_of(client.get(reverse("fapiaos")))
    assert see(client, make.applicant(), "fapiao", found.number).status_code == 404


def test_a_wrong_one_is_issued_anew_on_its_page(w, client, charge):
    blue = making.issued(w, making.asked(w, charge), 1)
    page = reverse("fapiao", args=[blue.number])
    assert "红冲重开" not in text_of(see(client, w.owner, "fapiao", blue.number))
    enter(client, w.keeper)
    assert "红冲重开" in text_of(client.get(page))
    bad = client.post(page, {"act": "reissue", "reason": "抬头有误", **buyer(w, kind="special", title="改对的公司")})
    assert "专票须填写开户银行。" in text_of(bad)
    assert "改对的公司" in bad.content.decode()
    sent = client.post(page, {"act": "reissue", "reason": "抬头有误", **buyer(w)})
    anew = Fapiao.objects.get(replaces=blue)
    assert sent["Location"] == reverse("fapiao", args=[anew.number])
    text = text_of(see(client, w.owner, "fapiao", blue.number))
    assert anew.number in text
    assert blue.reds.get().number in text
    assert raw_codes(text) == ["example.com"]
    assert blue.number in text_of(client.get(reverse("fapiao", args=[anew.number])))
    assert "抬头有误" in text_of(client.get(reverse("fapiao", args=[blue.reds.get().number])))


def test_withdrawn_and_declined(w, client, charge):
    first = making.asked(w, charge)
    enter(client, w.owner)
    assert client.post(reverse("fapiao", args=[first.number]), {"act": "withdraw"}).status_code == 302
    second = making.asked(w, charge)
    enter(client, w.keeper)
    page = reverse("fapiao", args=[second.number])
    assert client.post(page, {"act": "decline", "reason": " "}).status_code == 422
    assert client.post(page, {"act": "decline", "reason": "抬头有误"}).status_code == 302
    assert "抬头有误" in text_of(see(client, w.owner, "fapiao", second.number))


def test_numbers_come_back_in_two_steps(w, client, charge):
    found = making.asked(w, charge)
    enter(client, w.keeper)
    exported = client.get(reverse("fapiaos"), {"format": "xlsx"})
    book = openpyxl.load_workbook(io.BytesIO(exported.content))
    sheet = book.active
    heads = [cell.value for cell in sheet[1]]
    for name, value in (("发票号码", making.number(7)), ("开票日期", "2026-11-25")):
        sheet.cell(row=2, column=heads.index(name) + 1, value=value)
    buffer = io.BytesIO()
    book.save(buffer)
    address = reverse("fapiao_import")
    looked = client.post(address, {"file": SimpleUploadedFile("a.xlsx", buffer.getvalue())})
    assert "可登记" in text_of(looked)
    found.refresh_from_db()
    assert found.state == "requested"
    token = looked.context["token"]
    assert client.post(address, {"token": token}).status_code == 302
    found.refresh_from_db()
    assert (found.state, found.printed_number) == ("issued", making.number(7))
    assert client.post(address, {"token": token}).status_code == 409
    assert client.post(address, {"file": SimpleUploadedFile("a.pdf", b"%PDF-1.7")}).status_code in {409, 422}


def test_a_provider_states_its_tax(w, client, charge):
    enter(client, w.keeper)
    address = reverse("fapiao_tax")
    assert client.post(address, {"service": "compute", "rate": "13", "category": "12"}).status_code == 422
    assert client.post(address, {"service": "compute", "rate": "13"}).status_code == 302
    assert SalesTax.objects.get(service="compute").rate == "13"
    assert raw_codes(text_of(client.get(address))) == []
    assert see(client, w.owner, "fapiao_tax").status_code == 403


def test_lists_take_a_constant_number_of_queries(w, client, charge, django_assert_max_num_queries):
    for fen in (500, 600, 700):
        making.asked(w, making.taken(w, fen))
    enter(client, w.owner)
    client.get(reverse("documents"))
    with django_assert_max_num_queries(12):
        client.get(reverse("documents"))
    with django_assert_max_num_queries(12):
        client.get(reverse("fapiaos"))
