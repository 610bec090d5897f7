"""Uploaded tables: what is read, and that every bad file is told apart, by row and column."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from fractions import Fraction

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.http import explain_reason
from portal.kernel.money import Money
from portal.tables.reading import read_table
from portal.tables.values import BadTable, Column, Kind, Limits

COLUMNS = (
    Column("day", "日期", Kind.DAY, ("Date",)),
    Column("reference", "参考号", names=("Reference",), max_length=40),
    Column("quantity", "数量", Kind.QUANTITY, ("Quantity",)),
    Column("amount", "金额", Kind.MONEY, ("Amount",), required=False),
    Column("tokens", "输入词元", Kind.WHOLE, required=False),
)
HEAD = ["日期", "参考号", "数量", "金额（元）"]


def xlsx(*rows, head=HEAD):
    book = openpyxl.Workbook()
    for row in [head, *rows]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def text(*rows, head=HEAD, separator=","):
    return "\r\n".join(separator.join(map(str, row)) for row in [head, *rows]).encode()


def read(content, **more):
    return read_table(content, "用量.xlsx", COLUMNS, **more)


def refused(content, **more):
    with pytest.raises(BadTable) as caught:
        read(content, **more)
    return [reason.code for reason in caught.value.reasons]


def faults(content):
    return [(problem.row, problem.column, problem.reason.code) for problem in read(content).problems]


GOOD = ["2026-11-01", "r-1", "1,234.5", "12.30"]


@pytest.mark.parametrize("content", [xlsx(GOOD), text(["2026-11-01", "r-1", "1234.5", "12.30"])])
def test_xlsx_and_csv_read_alike(content):
    (row,) = read(content).rows
    assert row.number == 2
    assert row.values == {
        "day": date(2026, 11, 1),
        "reference": "r-1",
        "quantity": Fraction("1234.5"),
        "amount": Money(1230),
    }


def test_a_workbooks_own_dates_and_numbers_are_read():
    (row,) = read(xlsx([datetime(2026, 11, 1), 17, 0.1 + 0.2, 12.3])).rows
    assert row.values == {
        "day": date(2026, 11, 1),
        "reference": "17",
        "quantity": Fraction("0.3"),
        "amount": Money(1230),
    }


def test_titles_above_columns_in_any_order_other_columns_and_empty_lines():
    book = openpyxl.Workbook()
    for row in (["十一月用量"], [], ["备注", "Quantity", "Date", "Reference"], ["好", 3, "2026/11/2", "r"], []):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    table = read(buffer.getvalue())
    assert table.ignored == ("备注",)
    assert table.rows[0].number == 4
    assert table.columns == {"day", "reference", "quantity"}


@pytest.mark.parametrize("written", ["2026-11-01", "2026/11/1", "2026年11月1日", "20261101", "2026-11-01 10:20"])
def test_days_as_people_write_them(written):
    assert read(text([written, "r", 1, ""])).rows[0].values["day"] == date(2026, 11, 1)


def test_gb18030_semicolons_and_tabs():
    for separator in (";", "\t"):
        content = text(GOOD, separator=separator).decode().encode("gb18030")
        assert len(read(content).rows) == 1


def test_a_row_of_totals_stands_apart():
    table = read(xlsx(GOOD, ["合计", None, 1234.5, 12.3]))
    assert len(table.rows) == 1
    assert table.totals[0].values["quantity"] == Fraction("1234.5")
    assert table.totals[0].values["amount"] == Money(1230)


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (["2026-13-01", "r", 1, ""], "day", "table.day"),
        (["", "r", 1, ""], "day", "table.empty_cell"),
        (["2026-11-01", "r" * 41, 1, ""], "reference", "table.too_long"),
        (["2026-11-01", "r", "12 小时", ""], "quantity", "table.quantity"),
        (["2026-11-01", "r", -1, ""], "quantity", "table.quantity"),
        (["2026-11-01", "r", "0.0000001", ""], "quantity", "table.quantity"),
        (["2026-11-01", "r", 1, "12.345"], "amount", "table.amount_places"),
        (["2026-11-01", "r", 1, "十元"], "amount", "table.amount"),
        (["2026-11-01", "=1+1", 1, ""], "reference", "table.formula"),
    ],
)
def test_a_bad_cell_is_named_by_row_column_and_remedy(row, column, code):
    for content in (xlsx(GOOD, row), text(["2026-11-01", "r-1", 1, 1], row)):
        assert faults(content) == [(3, column, code)]
        told = explain_reason(read(content).problems[0].reason)
        assert "3" in told["text"]
        assert told["remedy"]


def test_formulas_errors_and_truth_values_of_a_workbook_are_faults():
    content = xlsx(["2026-11-01", "r", "=A1", ""], ["2026-11-01", "r", "#N/A", ""], ["2026-11-01", "r", True, ""])
    assert [code for _row, _column, code in faults(content)] == ["table.formula", "table.fault", "table.truth_value"]


def test_faults_stop_being_collected_at_the_limit():
    content = text(*(["x", "r", 1, ""] for _ in range(500)))
    assert len(read(content).problems) == 100


def test_a_truncated_workbook_is_told():
    content = xlsx(GOOD)
    assert refused(content[: len(content) // 2]) == ["table.cut_short"]


def test_a_workbook_damaged_inside_is_told():
    content = bytearray(xlsx(*[GOOD] * 50))
    at = content.index(b"xl/worksheets/sheet1.xml") + 60
    content[at : at + 40] = b"\xff" * 40
    assert refused(bytes(content)) == ["table.cut_short"]


def repacked(content, **members):
    """Return the workbook with some members replaced, compressed as hard as can be."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, members.get(info.filename.rsplit("/", 1)[-1].split(".")[0], old.read(info)))
    return buffer.getvalue()


def test_a_zip_bomb_of_50_mb_is_not_unpacked():
    assert refused(repacked(xlsx(GOOD), sheet1=b"<x>" + b" " * 50 * 1024 * 1024)) == ["table.unpacks_too_large"]


def test_entities_are_refused():
    evil = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData><row><c><v>&a;</v></c></row></sheetData></worksheet>'
    assert refused(repacked(xlsx(GOOD), sheet1=evil)) == ["table.cut_short"]


def test_a_zip_that_is_no_workbook_and_other_files_are_told():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "x")
    assert refused(buffer.getvalue()) == ["table.unknown_type"]
    assert refused(b"%PDF-1.7\n") == ["table.unknown_type"]
    assert refused(b"\x89PNG\r\n\x1a\ncut short") == ["table.unknown_type"]
    assert refused(b"\xd0\xcf\x11\xe0 an old xls") == ["table.unknown_type"]
    assert refused(b"<html>") == ["table.unknown_type"]
    assert refused(b"") == ["table.empty"]


def test_a_csv_cut_short_inside_quotes_is_told():
    assert refused(text(GOOD[:1]) + b'\r\n2026-11-01,"r') == ["table.broken_csv"]


def test_limits_of_size_and_rows():
    assert refused(text(*[["2026-11-01", "r", 1, 1]] * 11), limits=Limits(rows=10)) == ["table.too_many_rows"]
    assert refused(xlsx(*[GOOD] * 11), limits=Limits(rows=10)) == ["table.too_many_rows"]
    assert refused(text(GOOD), limits=Limits(size=10)) == ["table.too_large"]


def test_missing_and_double_headings_are_named_together():
    with pytest.raises(BadTable) as caught:
        read(text(["1", "2"], head=["参考号", "Reference", "金额"]))
    told = {reason.code: explain_reason(reason)["text"] for reason in caught.value.reasons}
    assert told["table.missing_columns"] == "表头缺少：日期、数量。"
    assert told["table.double_columns"] == "表头重复：参考号。"


def test_a_table_without_lines_is_told():
    assert refused(text()) == ["table.no_rows"]


@given(st.binary(max_size=400), st.booleans())
def test_whatever_is_uploaded_is_read_or_refused(content, packed):
    try:
        table = read((b"PK\x03\x04" if packed else b"") + content)
    except BadTable as error:
        assert error.reasons
    else:
        assert table.rows or table.problems
