"""Read one row of a statement: all of its cells, so that all faults are told at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from portal.kernel.errors import noop
from portal.tables.reading import Cell
from portal.tables.values import BadCell, Column, Problem
from vouchers.banking import spelling
from vouchers.banking.layouts import TITLES

__all__ = ["LineReader", "LineValue"]

_ = noop

LONGEST: Final = {"reference": 60, "name": 200, "account": 60, "bank": 200, "memo": 500}


@dataclass(frozen=True, slots=True)
class LineValue:
    """One line of a statement. `amount_fen` is positive for money that came in; `reference` is the bank's own, or one
    made of the line's content, beginning with ``~``, where the bank gives none.
    """

    row: int
    reference: str
    booked_on: date
    amount_fen: int
    value_on: date | None = None
    name: str = ""
    account: str = ""
    bank: str = ""
    memo: str = ""
    balance_fen: int | None = None


class LineReader:
    """One row that ought to be a line: every cell is read, so that all faults are told at once."""

    def __init__(self, number: int, cells: Sequence[Cell], places: Mapping[int, str]) -> None:
        self.number, self.cells = number, cells
        self.at = {key: place for place, key in reversed(list(places.items())) if key != "memo"}
        self.memos = [place for place, key in places.items() if key == "memo"]
        self.problems: list[Problem] = []

    def read(self) -> LineValue | None:
        booked = self._value("booked_on", spelling.day_of, needed=True)
        amount = self._amount()
        currency = self._value("currency", spelling.currency_of) or ""
        if currency:
            self._blame("currency", CURRENCY_DIFFERS, currency)
        side = "payer" if (amount or 0) > 0 else "payee"
        line = LineValue(
            row=self.number,
            reference=spelling.number_of(self._text("reference")),
            booked_on=booked or date.min,
            value_on=self._value("value_on", spelling.day_of),
            amount_fen=amount or 0,
            name=self._text("name") or self._text(f"{side}_name"),
            account=self._text("account") or self._text(f"{side}_account"),
            bank=self._text("bank") or self._text(f"{side}_bank"),
            memo=self._memo(),
            balance_fen=self._value("balance", spelling.fen_of),
        )
        return None if self.problems else line

    def _cell(self, key: str) -> Cell:
        place = self.at.get(key, -1)
        return self.cells[place] if 0 <= place < len(self.cells) else Cell(None)

    def _value(self, key: str, reader: Any, *, needed: bool = False) -> Any:
        cell = self._cell(key)
        try:
            if cell.fault is not None:
                raise cell.fault
            text = spelling.plain(cell.value)
            if text.startswith("="):
                raise FORMULA
            if key != "booked_on" and spelling.is_blank(text):
                return None
            if needed and not text:
                raise spelling.EMPTY
            return reader(cell.value)
        except BadCell as bad:
            self._blame(key, bad, cell.value)
            return None

    def _text(self, key: str) -> str:
        value = self._value(key, spelling.plain)
        return str(value)[: LONGEST.get(key.rpartition("_")[2], 200)] if value else ""

    def _memo(self) -> str:
        texts: list[str] = []
        for place in self.memos:
            self.at["memo"] = place
            text = str(self._value("memo", spelling.plain) or "")
            if text and text not in texts:
                texts.append(text)
        return " ".join(texts)[: LONGEST["memo"]]

    def _amount(self) -> int | None:
        if {"debit", "credit"} <= self.at.keys():
            debit, credit = (self._value(key, spelling.fen_of) for key in ("debit", "credit"))
            if self.problems and debit is None and credit is None:
                return None
            if debit and credit:
                self._blame("debit", BOTH_SIDES, self._cell("debit").value)
            net = int(credit or 0) - int(debit or 0)
            if not net and not (debit and credit):
                self._blame("credit" if credit is None else "debit", NO_MONEY, "")
            return net
        fen: int | None = self._value("amount", spelling.fen_of)
        if not fen:
            if not any(problem.column == "amount" for problem in self.problems):
                self._blame("amount", NO_MONEY, "")
            return None
        if "direction" in self.at:
            side = self._value("direction", spelling.side_of, needed=True)
            if side is None and not any(problem.column == "direction" for problem in self.problems):
                self._blame("direction", spelling.NO_SIDE, "")
            return abs(fen) * int(side) if side and (fen > 0 or side < 0) else fen
        return fen

    def _blame(self, key: str, bad: BadCell, value: Any) -> None:
        column = Column(key=key, title=TITLES[key], max_length=LONGEST.get(key, 200))
        self.problems.append(bad.problem(row=self.number, column=column, value="" if value is None else value))


FORMULA: Final = BadCell(
    "banking.formula",
    _("第 %(row)s 行“%(column)s”是公式，不会被执行。"),
    _("请上传网银导出的原始文件，或把公式“选择性粘贴为数值”后再上传。"),
)
CURRENCY_DIFFERS: Final = BadCell(
    "banking.currency",
    _("第 %(row)s 行的币种是“%(value)s”，不是人民币。"),
    _("本账户只记人民币：外币账户的对账单请在结汇后，导入人民币账户的流水。"),
)
BOTH_SIDES: Final = BadCell(
    "banking.both_sides",
    _("第 %(row)s 行借方和贷方都有金额，无法判断收支方向。"),
    _("一行只能有一个方向：请从网银重新导出。"),
)
NO_MONEY: Final = BadCell(
    "banking.no_amount", _("第 %(row)s 行没有金额，或金额为零。"), _("请从网银重新导出完整的明细。")
)
