"""Cells of exports: numbers stay numbers, text never becomes a formula."""

import csv
import io
from decimal import Decimal

import pytest

from portal.kernel.cells import inert
from portal.kernel.money import Money
from portal.pages.exports import exported


def test_money_below_zero_is_a_number_in_a_csv_file_and_adds_up():
    response = exported("fapiao", "csv", ["号", "元"], [["=1+1", Money(30_000)], ["-2+3", Money(-10_000)]])
    _head, *rows = csv.reader(io.StringIO(response.content.decode("utf-8-sig")))
    assert [row[0] for row in rows] == ["'=1+1", "'-2+3"]
    assert sum(Decimal(row[1]) for row in rows) == 200


@pytest.mark.parametrize(
    ("value", "text"),
    [(-5, "-5"), (Decimal("-1.50"), "-1.50"), (None, ""), ("-5", "'-5"), ("@x", "'@x"), ("+86", "'+86"), ("x", "x")],
)
def test_numbers_pass_the_guard_and_text_does_not(value, text):
    assert inert(value) == text
