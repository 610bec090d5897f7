"""Statements as banks write them: every row is a line, a fault with its remedy, or a note."""

from __future__ import annotations

from datetime import date

import pytest

from portal.tables.values import BadCell, BadTable, Limits
from tests.vouchers.banking.sheets import HEAD, csv_file, row, xlsx_file
from vouchers.banking import spelling, statements


def codes(found: statements.Statement) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.column, problem.reason.code) for problem in found.problems]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_reads_each_encoding_and_says_which(encoding):
    found = statements.read(
        csv_file([row("A1", "1,234.50", memo="２２２２２２２３４５")], encoding=encoding), "对账单.csv"
    )
    [line] = found.lines
    assert (found.encoding, line.amount_fen, line.reference, line.booked_on) == (
        encoding,
        123450,
        "A1",
        date(2026, 11, 26),
    )
    assert line.memo == "转账 2222222345"


def test_reads_a_workbook_with_a_merged_title_and_totals():
    rows = [
        row("A1", "100.00", balance="1100.00"),
        row("A2", "-0.50", name="", balance="1099.50"),
        ["合计", "", 0.5, 100],
    ]
    titles = [["账号：0000 0000 0000 0000 000", "币种：人民币"], ["期初余额", 1000]]
    found = statements.read(xlsx_file(rows, titles=titles), "a.xlsx")
    assert [line.amount_fen for line in found.lines] == [10000, -50]
    assert (found.facts.opening_fen, found.notes, found.gaps, found.problems) == (100000, 1, (), ())


BANKS = {
    "icbc": (
        ["凭证号", "本方账号", "对方账号", "交易时间", "借/贷", "借方发生额", "贷方发生额", "对方行号", "摘要", "用途", "对方单位名称", "余额"],
        ["77", "1", "2", "2026-11-26 09:30:01", "贷", "0.00", "12.30", "102", "转账", "货款", "甲公司", "12.30"],
    ),
    "ccb": (
        ["账号", "账户名称", "交易时间", "借方发生额（支取）", "贷方发生额（收入）", "余额", "币种", "对方户名", "对方账号", "对方开户机构", "记账日期", "摘要", "备注", "账户明细编号-交易流水号"],
        ["1", "我方", "20261126 09:30:01", "", "12.30", "12.30", "人民币元", "甲公司", "2", "某行", "20261126", "转账", "货款", "77"],
    ),
    "abc": (
        ["交易时间", "收入金额", "支出金额", "账户余额", "交易行名", "对方账号", "对方户名", "交易用途", "交易流水号"],
        ["20261126093001", "12.30", "", "12.30", "某行", "2", "甲公司", "货款", "77"],
    ),
    "boc": (
        ["交易类型[ Transaction Type ]", "付款人账号[ Debit Account No. ]", "付款人名称[ Payer's Name ]", "收款人账号", "收款人名称", "交易日期[ Transaction Date ]", "交易货币", "交易金额[ Trade Amount ]", "交易后余额", "交易流水号[ Reference ]", "用途[ Purpose ]"],
        ["来账", "2", "甲公司", "1", "我方", "20261126", "CNY", "12.30", "12.30", "77", "货款"],
    ),
    "cmb": (
        ["交易日", "起息日", "交易类型", "借方金额", "贷方金额", "余额", "摘要", "流水号", "用途", "收(付)方名称", "收(付)方账号"],
        ["20261126", "20261126", "转账", "", "12.30", "12.30", "汇入", "77", "货款", "甲公司", "2"],
    ),
    "bocom": (
        ["交易时间", "摘要", "借贷标志", "发生额", "余额", "对方账号", "对方户名", "核心流水号"],
        ["2026/11/26 09:30", "货款", "贷", "12.30", "12.30", "2", "甲公司", "77"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("bank", BANKS)
def test_knows_the_layouts_of_banks_by_their_headings(bank):
    head, cells = BANKS[bank]
    found = statements.read(csv_file([cells], head=head, encoding="gb18030"), f"{bank}.csv")
    assert found.layout == bank
    [line] = found.lines
    assert (line.booked_on, line.amount_fen, line.balance_fen) == (date(2026, 11, 26), 1230, 1230)
    assert (line.reference, line.name, line.account) == ("77", "甲公司", "2")
    assert "货款" in line.memo


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("１，２３４．５６", 123456),
        ("+1,000.00", 100000),
        ("-5", -500),
        ("(5.00)", -500),
        ("5.00-", -500),
        ("￥3.10", 310),
        ("−7.5", -750),
        ("—", None),
        ("", None),
        (12.3, 1230),
        ('="8.00"', 800),
    ],
)
def test_amounts_in_the_usual_spellings(text, fen):
    assert spelling.fen_of(text) == fen


@pytest.mark.parametrize("text", ["1.234", "12,34", "十元", "1e5", "=1+1", "∞", "9" * 30])
def test_refuses_what_is_no_amount(text):
    with pytest.raises(BadCell):
        spelling.fen_of(text)


def test_names_every_fault_with_row_and_column():
    rows = [
        row("A1", "十元"),
        row("A2", "10.00", day="2026-02-30"),
        ["2026-11-26", "A3", "1.00", "1.00", "", "甲", "", "", "", ""],
        ["2026-11-26", "A4", "", "", "", "甲", "", "", "", ""],
        ["2026-11-26", "A5", "", "=1+1", "", "甲", "", "", "", ""],
        row("A6", "0.005"),
        row("A7", "10.00"),
    ]
    found = statements.read(csv_file(rows), "a.csv")
    assert codes(found) == [
        (2, "credit", "banking.amount"),
        (3, "booked_on", "banking.day"),
        (4, "debit", "banking.both_sides"),
        (5, "credit", "banking.no_amount"),
        (6, "credit", "banking.formula"),
        (7, "credit", "banking.amount_places"),
    ]
    assert [line.reference for line in found.lines] == ["A7"]
    assert found.rows == len(found.lines) + len({problem.row for problem in found.problems}) + found.notes
    assert all(problem.reason.remedy for problem in found.problems)
    assert found.raw[2][3] == "十元"


def test_a_formula_in_a_workbook_is_a_fault_and_never_evaluated():
    found = statements.read(xlsx_file([row("A1", "=1+1"), row("A2", "3.00")]), "a.xlsx")
    assert [problem.reason.code for problem in found.problems] == ["table.formula"]
    assert [line.reference for line in found.lines] == ["A2"]


def test_a_number_a_workbook_has_changed_is_no_reference():
    changed = row("", "3.00")
    changed[1] = 1234567890123456789  # type: ignore[call-overload]
    found = statements.read(xlsx_file([changed]), "a.xlsx")
    assert codes(found) == [(3, "reference", "banking.number_changed")]


def test_foreign_money_is_a_fault():
    head = [*HEAD, "币种"]
    found = statements.read(csv_file([[*row("A1", "3.00"), "USD"], [*row("A2", "3.00"), "人民币"]], head=head), "a.csv")
    assert codes(found) == [(2, "currency", "banking.currency")]


def test_the_running_balance_is_followed_in_either_order():
    rows = [
        row("A1", "100.00", balance="1100.00"),
        row("A2", "50.00", balance="1150.00"),
        row("A3", "-20.00", balance="1130.00"),
    ]
    for file in (rows, rows[::-1]):
        found = statements.read(csv_file(file), "a.csv")
        assert ([line.reference for line in found.lines], found.gaps) == (["A1", "A2", "A3"], ())
    rows[1][3] = "50.01"
    assert [gap.row for gap in statements.read(csv_file(rows), "a.csv").gaps] == [3]


def test_lines_a_bank_does_not_number_are_known_by_their_content():
    rows = [row("", "1.00", balance="1.00"), row("", "1.00", balance="2.00"), row("", "1.00"), row("", "1.00")]
    first, second = (statements.read(csv_file(rows), "a.csv") for _ in range(2))
    references = [line.reference for line in first.lines]
    assert len(set(references)) == 4
    assert references == [line.reference for line in second.lines]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "table.empty"),
        (b"%PDF-1.7 nothing", "table.unknown_type"),
        (b"PK\x03\x04 broken", "table.cut_short"),
        (b"\xd0\xcf\x11\xe0 old workbook", "table.unknown_type"),
        ("你好\n再见\n".encode(), "banking.no_headings"),
        (csv_file([row("A1", "1.00")], encoding="utf-16"), "table.unknown_type"),
        (csv_file([], encoding="utf-8"), "banking.no_lines"),
        (csv_file([["2026-11-26", "A1"]], head=["交易日期", "流水号"]), "banking.no_headings"),
    ],
)
def test_a_file_that_is_no_statement_is_refused_with_a_remedy(content, code):
    with pytest.raises(BadTable) as caught:
        statements.read(content, "a.csv")
    [reason] = caught.value.reasons
    assert (reason.code, reason.field) == (code, "file")
    assert reason.remedy


def test_a_file_that_is_too_large_or_too_long_is_refused():
    for limits in (Limits(size=100), Limits(rows=3)):
        with pytest.raises(BadTable):
            statements.read(csv_file([row(f"A{at}", "1.00") for at in range(9)]), "a.csv", limits=limits)
