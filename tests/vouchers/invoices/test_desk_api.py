"""The provider's desk by API: files, tables of numbers, wrong ones issued anew."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.everything import Caller
from tests.vouchers.invoices import making
from vouchers.invoices import documents

pytestmark = pytest.mark.django_db

HEAD = "申请单号,发票号码,开票日期,价税合计\n"


def table(*rows):
    return SimpleUploadedFile("a.csv", (HEAD + "".join(f"{','.join(row)}\n" for row in rows)).encode())


def test_a_file_is_handed_over_once_and_taken_away_by_the_payer(w):
    found = making.asked(w, making.taken(w, 500))
    lab, path = Caller(w.keeper), f"/fapiao/{found.number}/file"
    assert lab.upload(path, file=SimpleUploadedFile("a.pdf", making.PDF.content)).status == 409
    making.issued(w, found, 1)
    for again in (making.PDF, making.PDF):
        answer = lab.upload(path, file=SimpleUploadedFile(again.name, again.content))
        assert (answer.status, answer.body["has_file"]) == (201, True)
    assert lab.upload(path, file=SimpleUploadedFile("a.xml", making.XML.content)).status == 409
    assert lab.upload(path, file=SimpleUploadedFile("a.pdf", b"x")).status in {409, 422}
    assert Caller(w.owner).get(path).status == 200
    for other, status in ((w.owner, 403), (make.applicant(), 404), (w.finance, 403)):
        assert Caller(other).upload(path, file=SimpleUploadedFile("a.pdf", making.PDF.content)).status == status


def test_a_table_is_looked_at_and_then_registered_row_by_row(w):
    one, two = (making.asked(w, making.taken(w, fen)) for fen in (500, 600))
    rows = [
        (one.number, making.number(1), "2026-11-25", "5.00"),
        (two.number, making.number(2), "2026-11-25", "5.99"),
        ("KP2611-999999", making.number(3), "2026-11-25", "1.00"),
    ]
    lab = Caller(w.keeper)
    looked = lab.upload("/fapiao/import/preview", file=table(*rows)).body
    assert [row["verdict"] for row in looked["rows"]] == ["ready", "refused", "refused"]
    assert [row["reasons"][0]["code"] for row in looked["rows"][1:]] == ["fapiao.amount", "fapiao.unknown"]
    one.refresh_from_db()
    assert one.state == "requested"
    done = lab.upload("/fapiao/import", file=table(*rows)).body
    assert (done["registered"], done["refused"], done["same"]) == (1, 2, 0)
    again = lab.upload("/fapiao/import", file=table(*rows)).body
    assert (again["registered"], again["refused"], again["same"]) == (0, 2, 1)
    one.refresh_from_db()
    assert (one.state, one.printed_number) == ("issued", making.number(1))
    for form in ("/fapiao/import/preview", "/fapiao/import"):
        assert Caller(w.owner).upload(form, file=table(*rows)).status == 403
        assert lab.upload(form, file=SimpleUploadedFile("a.csv", b"")).status == 409


def test_a_wrong_one_is_issued_anew(w):
    blue = making.issued(w, making.asked(w, making.taken(w, 500)), 1)
    said = {"reason": "抬头有误", "buyer": {"title": "甲公司", "credit_code": w.enterprise.credit_code}}
    answer = Caller(w.keeper).post(f"/fapiao/{blue.number}/reissue", said)
    assert answer.status == 201
    original, red, anew = (answer.body[name] for name in ("original", "red", "anew"))
    assert original["replaced_by"] == anew["number"]
    assert (red["original"], anew["replaces"]) == (blue.number, blue.number)
    assert [one["number"] for one in Caller(w.owner).get("/fapiao").body["items"]] == [
        anew["number"],
        red["number"],
        blue.number,
    ]


def test_looking_at_a_charge_says_what_is_being_made_and_makes_nothing(w):
    charge = making.taken(w, 500)
    path = f"/documents/charges/{charge.number}"
    firm = Caller(w.owner)
    assert firm.get(path).body == {"documents": [], "being_made": ["invoice"]}
    assert not charge.documents.exists()
    assert len(firm.post(path, None).body) == 1
    assert len(firm.post(path, None).body) == 1
    body = firm.get(path).body
    assert (len(body["documents"]), body["being_made"]) == (1, [])
    assert Caller(make.applicant()).get(path).status == 404
    assert documents.documents_of(charge)[0].number == body["documents"][0]["number"]
