"""Numbers come back as a table: looked at row by row, registered row by row, twice changes nothing."""

import io

import openpyxl
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.errors import Forbidden
from portal.tables.values import BadTable
from tests.vouchers.invoices import making
from vouchers.invoices import importing
from vouchers.invoices.models import Fapiao

pytestmark = pytest.mark.django_db
HEAD = ["申请单号", "发票号码", "发票代码", "开票日期", "价税合计（元）"]


def table(*rows, head=HEAD):
    book = openpyxl.Workbook()
    for row in (head, *rows):
        book.active.append(list(row))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def look(w, content, *, by=None):
    return importing.check(actor=by or w.keeper, content=content, name="回填.xlsx", now=making.LATER)


def row(found, serial, amount, day="2026-11-25"):
    return [found.number, making.number(serial), "", day, amount]


@pytest.fixture
def three(w):
    return [making.asked(w, making.taken(w, fen)) for fen in (500, 600, 700)]


def test_good_rows_are_registered_and_bad_ones_say_why(w, three):
    one, two, three_ = three
    content = table(
        row(one, 1, "5.00"),
        row(two, 2, "5.99"),
        ["KP2611-999999", making.number(3), "", "2026-11-25", "7"],
        [three_.number, "123", "", "2026-11-25", "seven"],
    )
    found = look(w, content)
    assert [one.is_ready for one in found] == [True, False, False, False]
    assert [[reason.code for reason in one.reasons] for one in found] == [
        [],
        ["fapiao.amount"],
        ["fapiao.unknown"],
        ["invalid.amount"],
    ]
    assert Fapiao.objects.filter(state="issued").count() == 0
    done = importing.register(actor=w.keeper, rows=found, now=making.LATER)
    assert [each.error is None for each in done] == [True, False, False, False]
    one.refresh_from_db()
    assert (one.state, one.printed_number) == ("issued", making.number(1))
    again = look(w, content)
    assert (again[0].is_same, again[0].is_ready, again[0].reasons) == (True, False, ())
    importing.register(actor=w.keeper, rows=again, now=making.LATER)
    assert Fapiao.objects.filter(state="issued").count() == 1


def test_a_row_twice_is_neither(w, three):
    found = look(w, table(row(three[0], 1, "5"), row(three[1], 1, "6"), row(three[2], 3, "7")))
    assert [[reason.code for reason in one.reasons] for one in found] == [["fapiao.twice"], ["fapiao.twice"], []]


def test_an_ended_request_keeps_its_number(w, three):
    making.issued(w, three[0], 9)
    [found] = look(w, table(row(three[0], 1, "5")))
    assert "fapiao.ended" in [reason.code for reason in found.reasons]


def test_a_row_of_a_red_one_is_not_taken_for_a_blue_one(w, three):
    [found] = look(w, table(row(three[0], 1, "-5.00")))
    assert ([reason.code for reason in found.reasons], found.is_ready) == (["fapiao.blue_below_zero"], False)


def test_a_number_registered_over_another_sum_is_not_ready(w, three):
    making.issued(w, three[0], 1)
    [found] = look(w, table(row(three[0], 1, "4.00")))
    assert ([reason.code for reason in found.reasons], found.is_same) == (["fapiao.other_sum"], False)


def test_as_many_queries_for_three_rows_as_for_one(w, three):
    asked = []
    for some in (three[:1], three):
        content = table(*(row(one, one.pk, f"{one.amount_fen // 100}") for one in some))
        with CaptureQueriesContext(connection) as queries:
            assert all(found.is_ready for found in look(w, content))
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 7


def test_csv_of_tax_software_in_gb18030_and_a_signed_red(w, three):
    blue = making.issued(w, three[0], 9)
    making.refunded(w, blue.charge, 200)
    red = blue.reds.get()
    text = f"申请单号,发票号码,开票日期,价税合计\n{red.number},{making.number(10)},2026-11-25,-2.00\n"
    [found] = importing.check(actor=w.keeper, content=text.encode("gb18030"), name="a.csv", now=making.LATER)
    assert found.is_ready
    importing.register(actor=w.keeper, rows=[found], now=making.LATER)
    blue.refresh_from_db()
    assert blue.red_issued_fen == 200


def test_formulas_other_files_and_other_people_are_refused(w, three):
    found = look(w, table([three[0].number, "=1+1", "", "2026-11-25", "5"]))
    assert not found[0].is_ready
    with pytest.raises(BadTable):
        look(w, b"%PDF-1.7 nonsense")
    with pytest.raises(Forbidden):
        look(w, table(row(three[0], 1, "5")), by=w.owner)
