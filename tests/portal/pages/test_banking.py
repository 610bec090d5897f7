"""The pages of bank statements: finance looks, takes, matches, and a second person reverses."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.portal.pages.reading import enter, text_of
from tests.vouchers.banking.sheets import csv_file, row
from tests.vouchers.banking.test_services import bank, bring, due, line
from vouchers.banking.models import BankMatch, StatementImport

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def file(*rows) -> SimpleUploadedFile:
    return SimpleUploadedFile("对账单.csv", csv_file(rows, encoding="gb18030"))


def test_a_statement_is_looked_at_then_taken(client, w):
    enter(client, w.finance)
    rows = [row("A1", "10.00", name="某公司"), row("A2", "十元")]
    looked = client.post(reverse("bank_import"), {"file": file(*rows), "layout": ""})
    said = text_of(looked)
    assert looked.status_code == 422
    assert "第 3 行" in said
    assert "gb18030" in said
    assert not StatementImport.objects.exists()
    token = looked.context["token"]
    refused = client.post(reverse("bank_import"), {"token": token})
    assert refused.status_code == 409
    done = client.post(reverse("bank_import"), {"token": token, "accept": "on"}, follow=True)
    assert "已导入 1 条新流水" in text_of(done)
    assert "某公司" in text_of(client.get(reverse("bank_lines")))


def test_what_is_no_statement_comes_back_with_its_remedy(client, w):
    enter(client, w.finance)
    answer = client.post(reverse("bank_import"), {"file": SimpleUploadedFile("a.csv", b"%PDF-1.7")})
    assert answer.status_code in {409, 422}
    assert "xlsx" in text_of(answer)


def test_a_line_is_matched_by_its_suggestion_and_reversed_by_another(client, w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00"))
    enter(client, w.finance)
    address = reverse("bank_line", args=[line("A1").pk])
    assert "付款单位名称一致" in text_of(client.get(address))
    wrong = {"act": "match", "kind": ["payment"], "target": [payment.number], "amount": ["959.99"]}
    answer = client.post(address, wrong)
    assert answer.status_code == 422
    assert "相差" in text_of(answer)
    assert 'value="959.99"' in answer.content.decode()
    client.post(address, {**wrong, "amount": ["960.00"]})
    assert bank() == 96_000
    made = BankMatch.objects.get()
    client.post(address, {"act": "doubt", "match": made.pk, "note": "附言填错"})
    assert "同意冲正" not in text_of(client.get(address))
    enter(client, w.finance_approver)
    assert "同意冲正" in text_of(client.get(address))
    client.post(address, {"act": "reverse", "match": made.pk})
    assert bank() == 0


def test_lists_narrow_sort_and_go_away_as_files(client, w):
    bring(w, row("A1", "10.00", name="甲公司"), row("A2", "-5.00", name="", memo="手续费"))
    enter(client, w.finance)
    only = text_of(client.get(reverse("bank_lines"), {"direction": "out", "sort": "-amount"}))
    assert "手续费" in only
    assert "甲公司" not in only
    for kind in ("csv", "xlsx"):
        assert client.get(reverse("bank_lines"), {"format": kind}).status_code == 200


def test_nobody_but_finance_comes_in(client, w):
    bring(w, row("A1", "10.00"))
    for who in (w.owner, w.keeper, w.reviewer, w.auditor):
        enter(client, who)
        for address in ("bank_lines", "bank_import"):
            assert client.get(reverse(address)).status_code == 403
        assert client.get(reverse("bank_line", args=[line("A1").pk])).status_code == 403
    enter(client, w.finance_approver)
    assert client.post(reverse("bank_import"), {"file": file(row("B1", "1.00"))}).status_code == 403


def test_the_list_takes_as_many_queries_for_many_lines_as_for_few(client, w):
    enter(client, w.finance)
    counts = []
    for size in (2, 20):
        for at in range(size):
            payment = due(w, 100)
            bring(w, row(f"L{size}-{at}", "1.00", memo=payment.reference))
        with CaptureQueriesContext(connection) as seen:
            assert client.get(reverse("bank_lines")).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]
