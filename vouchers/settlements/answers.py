"""Read what a bank says of a payment order: a table or a text whose columns and words are data. No clock, no tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Reason, Refused, noop
from portal.kernel.money import Money
from portal.tables.reading import read_table
from portal.tables.values import BadTable, Column, Kind
from vouchers.settlements.order_rules import AnswerOutcome

__all__ = ["ANSWER_FORMATS", "Answer", "AnswerFormat", "BadAnswer", "read_answer"]

_ = noop


class BadAnswer(Refused):
    """Nothing of the file is taken; every fault with its row."""

    code = "return_file.unreadable"
    message = _("回盘文件没有导入，原因如下。没有任何批次改变状态。")


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How a return file is read. `delimiter` empty: a workbook, or a CSV whose separator and encoding are found out.

    With a delimiter the file is a text without quotes. `titles` give each field its headings; without `header` they say
    the order. `skip` lines stand before the table. `paid` and `failed` are the bank's words, compared without case.
    """

    code: str
    name: str
    titles: Mapping[str, tuple[str, ...]]
    paid: frozenset[str]
    failed: frozenset[str]
    amount: str = "yuan"
    delimiter: str = ""
    header: bool = True
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bank says of one line; `row` as the file counts."""

    row: int
    reference: str
    amount_fen: int
    outcome: AnswerOutcome
    reason: str
    bank_reference: str


PAID: Final = frozenset({"成功", "付款成功", "交易成功", "已付款", "s", "success", "paid", "0000"})
FAILED: Final = frozenset({"失败", "付款失败", "交易失败", "退回", "退票", "f", "fail", "failed", "rejected"})

ANSWER_FORMATS: Final[Mapping[str, AnswerFormat]] = MappingProxyType(
    {
        "table": AnswerFormat(
            "table",
            _("回盘表格（xlsx 或 CSV）"),
            {
                "reference": ("明细号", "客户流水号", "指令明细号", "reference"),
                "amount": ("金额", "交易金额", "amount"),
                "outcome": ("处理结果", "交易状态", "结果", "状态", "result"),
                "reason": ("失败原因", "原因", "备注", "reason"),
                "bank_reference": ("银行流水号", "交易流水号", "流水号", "bank reference"),
            },
            PAID,
            FAILED,
        ),
        "bank-txt": AnswerFormat(
            "bank-txt",
            _("银企直联回盘 TXT（竖线分隔，金额为分）"),
            {
                "reference": ("明细号",),
                "amount": ("金额",),
                "outcome": ("处理结果",),
                "reason": ("失败原因",),
                "bank_reference": ("银行流水号",),
            },
            PAID,
            FAILED,
            amount="fen",
            delimiter="|",
            header=False,
            skip=1,
        ),
    }
)
"""The first serves every table whose headings are known; a department adds its bank's own."""


def read_answer(content: bytes, name: str, wanted: AnswerFormat) -> Sequence[Answer]:
    """Return what the file says, line by line. Raises BadAnswer with every fault: nothing of such a file is used."""
    kinds = {"amount": Kind.WHOLE if wanted.amount == "fen" else Kind.MONEY}
    columns = [
        Column(
            key,
            titles[0],
            kinds.get(key, Kind.TEXT),
            names=titles[1:],
            required=key in ("reference", "amount", "outcome"),
        )
        for key, titles in wanted.titles.items()
    ]
    try:
        table = read_table(_tabled(content, wanted) if wanted.delimiter else content, name, columns)
    except BadTable as error:
        raise BadAnswer(error.reasons) from error
    reasons = [problem.reason for problem in table.problems]
    found = []
    for row in table.rows:
        said = str(row.values["outcome"]).strip().casefold()
        if said not in wanted.paid | wanted.failed:
            reasons.append(_unknown(row.number, str(row.values["outcome"])))
            continue
        outcome = AnswerOutcome.PAID if said in wanted.paid else AnswerOutcome.FAILED
        found.append(Answer(row.number, *_values(row.values, outcome)))
    reasons += _doubled(found)
    if reasons:
        raise BadAnswer(reasons)
    return found


def _values(values: Mapping[str, Any], outcome: AnswerOutcome) -> tuple[str, int, AnswerOutcome, str, str]:
    amount = values["amount"]
    fen = amount.fen if isinstance(amount, Money) else int(amount)
    reason, bank = (str(values.get(key) or "").strip() for key in ("reason", "bank_reference"))
    return str(values["reference"]).strip(), fen, outcome, reason[:200], bank[:60]


def _unknown(row: int, word: str) -> Reason:
    return Reason(
        "return_file.outcome",
        _("第 %(row)s 行的处理结果“%(word)s”不认识。"),
        _("应为成功或失败；银行另有说法的，请在该格式中登记这些词。"),
        field="file",
        params={"row": row, "word": word[:40]},
    )


def _doubled(found: Sequence[Answer]) -> list[Reason]:
    seen: dict[str, int] = {}
    reasons = []
    for answer in found:
        if answer.reference in seen:
            reasons.append(
                Reason(
                    "return_file.twice",
                    _("明细 %(reference)s 在第 %(first)s 行和第 %(second)s 行各出现一次。"),
                    _("请向银行核对，每条明细只能有一个结果。"),
                    field="file",
                    params={"reference": answer.reference[:40], "first": seen[answer.reference], "second": answer.row},
                )
            )
        seen.setdefault(answer.reference, answer.row)
    return reasons


def _tabled(content: bytes, wanted: AnswerFormat) -> bytes:
    """Return a text without quotes as the CSV that `read_table` reads, in the encoding it came in."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        return content
    lines = [line.split(wanted.delimiter) for line in text.splitlines()[wanted.skip :] if line.strip()]
    if not wanted.header:
        lines.insert(0, [titles[0] for titles in wanted.titles.values()])
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue().encode()
