"""Bank statements for tests: rows in, a file as a bank exports it out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import xlsxwriter

HEAD = ("交易日期", "交易流水号", "借方金额", "贷方金额", "余额", "对方户名", "对方账号", "对方开户行", "摘要", "附言")


def row(
    reference: str,
    yuan: str,
    *,
    name: str = "杭州星河智能科技有限公司",
    memo: str = "",
    day: str = "2026-11-26",
    balance: str = "",
    account: str = "3301 0000 1111",
) -> list[str]:
    """Return one row of the generic layout; a minus is money that went out."""
    out = yuan.startswith("-")
    return [day, reference, yuan[1:] if out else "", "" if out else yuan, balance, name, account, "", "转账", memo]


def csv_file(
    rows: Sequence[Sequence[Any]], *, encoding: str = "utf-8", head: Sequence[str] = HEAD, titles: Any = ()
) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([*titles, head, *rows])
    return buffer.getvalue().encode(encoding)


def xlsx_file(rows: Sequence[Sequence[Any]], *, head: Sequence[str] = HEAD, titles: Any = ()) -> bytes:
    """Return a workbook as a bank makes it: a title over all columns, then the table."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.merge_range(0, 0, 0, len(head) - 1, "账户明细查询")
    for at, line in enumerate([*titles, head, *rows], 1):
        for column, value in enumerate(line):
            sheet.write(at, column, value)
    book.close()
    return buffer.getvalue()
