"""A provider's income: tiles, chart, and the statement of a month as page, PDF, xlsx and CSV with the same lines."""

import io

import openpyxl
import pytest
from django.urls import reverse
from django.utils import timezone

from tests import make, standing
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.vouchers.scenarios.vouchers import bought, granted
from tests.vouchers.settlements.test_parts import paid
from vouchers.settlements import services


def build():
    w = make.world()
    voucher = granted(w, 10_000)
    bought(w, [voucher], 100_000)
    paid(w, services.draft(actor=w.finance, payee=w.lab, now=make.NOW))
    bought(w, [voucher], 20_000, subject="job:J-2")
    return w, voucher


_standing, _own, w, voucher = standing.fixtures(build, "w", "voucher")


def address():
    today = timezone.localtime()
    return reverse("income_month", args=[today.year, today.month])


def test_says_what_is_due_on_its_way_and_paid(w, client):
    enter(client, w.lab_owner)
    shown = client.get(reverse("income"))
    text = text_of(shown)
    assert "¥100.00" in text
    assert "¥500.00" in text
    assert "<svg" in shown.content.decode()
    assert raw_codes(text) == []


def test_the_files_of_a_month_hold_the_lines_of_the_page(w, client):
    enter(client, w.lab_owner)
    page = text_of(client.get(address()))
    assert "期末" in page
    table = client.get(f"{address()}?as=csv").content.decode("utf-8-sig").splitlines()
    assert table[-1].endswith("700.00")
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"{address()}?as=xlsx").content)).active
    assert book.cell(book.max_row, 5).value == 700
    for language in ("zh-hans", "en"):
        client.cookies["django_language"] = language
        made = client.get(f"{address()}?as=pdf").content
        assert made.startswith(b"%PDF-")
        assert b"pdfaid:part" in made, "PDF/A: to be kept"


@pytest.mark.parametrize("who", ["keeper", "finance", "auditor"])
def test_is_the_payees_own(w, client, who):
    assert enter(client, getattr(w, who)).get(reverse("income")).status_code == 403


def test_no_such_month(w, client):
    enter(client, w.lab_owner)
    assert client.get(reverse("income_month", args=[2026, 13])).status_code == 422


def test_takes_as_many_queries_for_one_as_for_many(w, client, voucher, django_assert_num_queries):
    enter(client, w.lab_owner)
    client.get(address())
    with django_assert_num_queries(7):
        client.get(address())
    for at in range(3, 6):
        bought(w, [voucher], 10_000, subject=f"job:J-{at}")
    with django_assert_num_queries(7):
        client.get(address())
