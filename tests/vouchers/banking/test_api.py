"""Bank statements over the API: what finance sees and does, and clear answers to what is no statement."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.calling import Caller
from tests.vouchers.banking.sheets import csv_file, row
from tests.vouchers.banking.test_services import bank, bring, due, line
from vouchers.banking import tasks
from vouchers.banking.models import StatementLine

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def finance(w, monkeypatch) -> Caller:
    monkeypatch.setattr(tasks, "wake", lambda import_id: tasks.look_through(import_id=import_id))
    caller = Caller(w.finance)
    assert caller.get("/banking/accounts").body[0]["code"] == "main"
    return caller


def file(*rows, name: str = "对账单.csv", encoding: str = "gb18030") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, csv_file(rows, encoding=encoding))


def test_upload_preview_import_match(w, finance, django_capture_on_commit_callbacks):
    payment = due(w, 96_000)
    rows = [row("A1", "960.00", memo=payment.reference), row("A2", "5.00", name="某公司"), row("A3", "一元")]
    looked = finance.upload("/banking/accounts/main/preview", file=file(*rows)).body
    assert (looked["encoding"], looked["new"], looked["faulty"], looked["incoming"]["fen"]) == ("gb18030", 2, 1, 96_500)
    assert looked["rows"][0]["verdict"] == "faulty"
    assert looked["rows"][0]["reasons"][0]["remedy"]
    refused = finance.upload("/banking/accounts/main/imports", file=file(*rows))
    assert (refused.status, refused.body["code"]) == (409, "banking.bad_statement")
    with django_capture_on_commit_callbacks(execute=True):
        done = finance.upload("/banking/accounts/main/imports", file=file(*rows), accept="true")
    assert (done.status, done.body["new"], done.body["faulty"]) == (201, 2, 1)
    after = finance.get(f"/banking/imports/{done.body['id']}").body
    assert (after["looked"], after["matched"], after["finished_at"] is not None) == (2, 1, True)
    [left] = finance.get("/banking/lines?state=open").body["items"]
    assert (left["reference"], left["amount"]["fen"]) == ("A2", 500)
    assert bank() == 96_000


def test_a_line_is_split_by_number_and_yuan(w, finance):
    first, second = due(w, 10_000), due(w, 5_000)
    bring(w, row("A1", "150.00", name="某公司"))
    path = f"/banking/lines/{line('A1').pk}/match"
    part = {"kind": "payment", "target": first.number, "amount": {"yuan": "100.00"}}
    short = finance.post(path, {"parts": [part, {**part, "target": second.reference, "amount": {"yuan": "49.99"}}]})
    assert (short.status, short.body["code"]) == (422, "banking.sum_differs")
    unknown = finance.post(path, {"parts": [{"kind": "payment", "target": "P0000-000000"}]})
    assert (unknown.status, unknown.body["code"]) == (422, "banking.no_such_target")
    done = finance.post(path, {"parts": [part, {**part, "target": second.reference, "amount": {"yuan": "50.00"}}]})
    assert [one["payment"] for one in done.body["matches"][0]["parts"]] == [first.number, second.number]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"%PDF-1.7", "table.unknown_type"),
        ("你好".encode(), "banking.no_headings"),
        (b"\xff\xfe\x00bad", "table.unknown_type"),
        (b"a" * (50 * 1024 * 1024), "table.too_large"),
    ],
    ids=["pdf", "text", "encoding", "50 MB"],
)
def test_what_is_no_statement_gets_a_clear_answer(finance, content, code):
    answer = finance.upload("/banking/accounts/main/preview", file=SimpleUploadedFile("a.csv", content))
    assert answer.status == 409
    [reason] = answer.body["reasons"]
    assert (reason["code"], reason["field"]) == (code, "file")
    assert reason["remedy"]


def test_unknown_layouts_and_accounts_are_named(finance):
    assert finance.upload("/banking/accounts/main/preview", file=file(row("A", "1")), layout="xx").status == 422
    assert finance.upload("/banking/accounts/none/preview", file=file(row("A", "1"))).status == 404


@pytest.mark.parametrize("who", ["owner", "keeper", "reviewer", "officer"])
def test_nobody_but_finance_sees_or_sends_statements(w, who):
    caller = Caller(getattr(w, who))
    bring(w, row("A1", "1.00"))
    pk = line("A1").pk
    for path in ("/banking/accounts", "/banking/imports", "/banking/lines", f"/banking/lines/{pk}"):
        assert caller.get(path).status in {403, 404}, path
    for form in ("preview", "imports"):
        assert caller.upload(f"/banking/accounts/main/{form}", file=file(row("A2", "1"))).status in {403, 404}


def test_a_list_takes_as_many_queries_for_many_lines_as_for_few(w, finance):
    counts = []
    for size in (3, 40):
        bring(w, *(row(f"L{size}-{at}", "1.00", name="无名") for at in range(size)))
        with CaptureQueriesContext(connection) as seen:
            assert finance.get("/banking/lines?limit=100&state=open").status == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert StatementLine.objects.count() == 43
