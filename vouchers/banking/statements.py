"""Read a bank's statement, row by row: what each says, or what is wrong with it and what would mend it. Pure.

A file is judged by its content; no formula is ever evaluated. Titles above the headings, rows of totals and notes below are
told apart from lines. Nothing is lost: every row that holds something is a line, a fault, a total or a note.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from portal.kernel.errors import Reason, noop
from portal.tables.reading import Cell, Cells, read_cells
from portal.tables.values import LIMITS, BadCell, BadTable, Limits, Problem
from vouchers.banking import spelling
from vouchers.banking.layouts import BY_CODE, LAYOUTS, TITLES, Layout, folded, missing
from vouchers.banking.lines import LineReader, LineValue

__all__ = ["Facts", "LineValue", "Statement", "read"]

_ = noop

HEAD_ROWS: Final = 20
"""The headings stand in one of the first twenty rows that hold anything."""
TOTALS: Final = ("合计", "总计", "小计", "累计", "本页", "总笔数", "笔数", "借方合计", "贷方合计", "total", "sum")
OPENING: Final = ("期初余额", "上期余额", "承前页", "起始余额", "openingbalance")
CLOSING: Final = ("期末余额", "本期余额", "结束余额", "当前余额", "closingbalance")
ACCOUNT: Final = ("账号", "帐号", "账户", "查询账号", "本方账号", "accountnumber", "account")
CURRENCY: Final = ("币种", "货币", "currency")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file says of itself above and below its lines; empty or None where it says nothing."""

    account: str = ""
    currency: str = ""
    opening_fen: int | None = None
    closing_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """What was read: faultless `lines`, oldest first; `problems` by row; `gaps`, where the running balance does not go on.

    `rows` counts all rows below the headings that hold something, `notes` those that are no lines (totals, remarks).
    """

    layout: str
    encoding: str
    lines: tuple[LineValue, ...]
    problems: tuple[Problem, ...]
    gaps: tuple[Problem, ...]
    facts: Facts
    rows: int
    notes: int
    ignored: tuple[str, ...] = ()
    raw: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """The cells of faulty rows as they stand, by row."""


def read(content: bytes, name: str, *, layout: str = "", limits: Limits = LIMITS) -> Statement:
    """Read a statement in the layout of code `layout`, or the one its headings fit best. Raises BadTable.

    `name` is what the sender calls the file, for messages only.
    """
    sheet = read_cells(content, name, limits=limits)
    chosen = [BY_CODE[layout]] if layout else list(LAYOUTS)
    rows = sheet.rows
    head = list(itertools.islice((row for row in rows if not _empty(row)), HEAD_ROWS))
    found, places, at = _headings(head, chosen)
    titles = _facts(head[:at])
    body = _Body(places, found, limits)
    for row in itertools.chain(head[at + 1 :], rows):
        body.take(row)
    if not body.lines and not body.problems:
        raise BadTable([NO_LINES])
    lines, descends = _ordered(_named(body.lines))
    facts = replace(
        titles,
        opening_fen=titles.opening_fen if titles.opening_fen is not None else body.opening_fen,
        closing_fen=titles.closing_fen if titles.closing_fen is not None else body.closing_fen,
    )
    return Statement(
        layout=found.code,
        encoding=sheet.encoding,
        lines=tuple(lines),
        problems=tuple(body.problems),
        gaps=tuple(_gaps(lines, facts, {problem.row for problem in body.problems}, descends=descends)),
        facts=facts,
        rows=body.rows,
        notes=body.notes,
        ignored=tuple(
            text
            for place, cell in enumerate(head[at][1])
            if place not in places and (text := str(cell.value or "").strip()[:40])
        ),
        raw=body.raw,
    )


NO_LINES: Final = Reason(
    "banking.no_lines", _("对账单里没有明细行。"), _("请在网银选择有交易的日期范围，重新导出后上传。"), field="file"
)


def _empty(row: Cells) -> bool:
    return all(cell.value is None or not str(cell.value).strip() for cell in row[1])


def _headings(head: Sequence[Cells], layouts: Sequence[Layout]) -> tuple[Layout, dict[int, str], int]:
    """Return the layout whose headings one of the first rows answers best, its places, and that row. Raises BadTable."""
    best: tuple[int, Layout, dict[int, str], int] | None = None
    lacks = ["booked_on", "amount"]
    for at, (_number, cells) in enumerate(head):
        texts = {place: folded(cell.value) for place, cell in enumerate(cells)}
        for layout in layouts:
            places = layout.places(texts)
            absent = missing(frozenset(places.values()))
            if absent:
                lacks = absent if len(places) > 2 and len(absent) <= len(lacks) else lacks
            elif best is None or len(places) > best[0]:
                best = (len(places), layout, places, at)
    if best is None:
        raise BadTable(
            [
                Reason(
                    "banking.no_headings",
                    _("没有找到对账单的表头，缺少：%(columns)s。"),
                    _("请上传网银导出的原始文件；文字显示为乱码的，请用 UTF-8 或 GB18030 编码另存。"),
                    field="file",
                    params={"columns": [TITLES[key] for key in lacks]},
                )
            ]
        )
    return best[1], best[2], best[3]


def _facts(titles: Sequence[Cells]) -> Facts:
    """Read what stands above the headings: ``账号：1202…`` in one cell, or the label in one and the value in the next."""
    found: dict[str, str] = {}
    for _number, cells in titles:
        texts = [str(cell.value).strip() for cell in cells if cell.value is not None and str(cell.value).strip()]
        for text, following in itertools.zip_longest(texts, texts[1:], fillvalue=""):
            for piece in re.split(r"[;；,，]\s*|\s{2,}", text):
                label, _mark, value = re.sub(r"：", ":", piece).partition(":")
                found.setdefault(folded(label), value.strip() or following)
    return Facts(
        account=next((found[key] for key in ACCOUNT if sum(map(str.isdigit, found.get(key, ""))) >= 4), ""),
        currency=next((spelling.currency_of(found[key]) for key in CURRENCY if found.get(key)), ""),
        opening_fen=_first_fen(found, OPENING),
        closing_fen=_first_fen(found, CLOSING),
    )


def _first_fen(found: Mapping[str, str], labels: Iterable[str]) -> int | None:
    for label in labels:
        try:
            if label in found and (fen := spelling.fen_of(found[label])) is not None:
                return fen
        except BadCell:
            continue
    return None


class _Body:
    """The rows below the headings, taken one by one."""

    def __init__(self, places: Mapping[int, str], layout: Layout, limits: Limits) -> None:
        self.places, self.layout, self.limits = places, layout, limits
        self.lines: list[LineValue] = []
        self.problems: list[Problem] = []
        self.raw: dict[int, tuple[str, ...]] = {}
        self.rows = self.notes = 0
        self.opening_fen: int | None = None
        self.closing_fen: int | None = None

    def take(self, row: Cells) -> None:
        """Take one row: a line, a fault, a total or a note. Raises BadTable past the most rows."""
        number, cells = row
        if _empty(row):
            return
        self.rows += 1
        if self.rows > self.limits.rows:
            raise BadTable([_too_many(self.limits)])
        if self._is_note(cells):
            self.notes += 1
            return
        reader = LineReader(number, cells, self.places)
        line = reader.read()
        if line is None:
            self.problems += reader.problems
            self.raw[number] = tuple(str(cell.value)[:80] if cell.value is not None else "" for cell in cells)
        else:
            self.lines.append(line)

    def _is_note(self, cells: Sequence[Cell]) -> bool:
        """Say whether a row is no line: totals, a balance carried over, a heading repeated on a new page, a remark."""
        texts = [folded(cell.value) for cell in cells]
        filled = [text for text in texts if text]
        for labels, name in ((OPENING, "opening_fen"), (CLOSING, "closing_fen")):
            if at := next((place + 1 for place, text in enumerate(texts) if text.startswith(labels)), 0):
                setattr(self, name, _last_fen([texts[at - 1], *(cell.value for cell in cells[at:])]))
                return True
        day = next((place for place, key in self.places.items() if key == "booked_on"), 0)
        is_dated = day < len(texts) and any(map(str.isdigit, texts[day]))
        if any(text.startswith(TOTALS) for text in filled[:2]) and not (is_dated and filled[0] == texts[day]):
            return True
        if len(self.layout.places(dict(enumerate(texts)))) >= max(3, len(self.places) - 1):
            return True
        return len(filled) == 1 and not is_dated and len(self.places) > 2


def _last_fen(values: Sequence[Any]) -> int | None:
    for value in reversed(values):
        try:
            tail = value.rpartition(":")[2] if isinstance(value, str) else value
            if (fen := spelling.fen_of(tail)) is not None:
                return fen
        except BadCell:
            continue
    return None


def _too_many(limits: Limits) -> Reason:
    return Reason(
        "banking.too_many_rows",
        _("对账单超过 %(limit)s 行。"),
        _("请按较短的日期范围分几次导出；日期重叠没有关系，已导入的流水不会重复。"),
        field="file",
        params={"limit": limits.rows},
    )


def _named(lines: Sequence[LineValue]) -> list[LineValue]:
    """Give lines of banks that number none a reference made of their content; equal ones are counted in the file's order."""
    seen: Counter[str] = Counter()
    named = []
    for line in lines:
        if not line.reference:
            parts = (line.booked_on, line.amount_fen, line.name, line.account, line.memo, line.balance_fen)
            content = "\x1f".join(map(str, parts))
            seen[content] += 1
            digest = hashlib.sha256(f"{content}\x1f{seen[content]}".encode()).hexdigest()[:24]
            named.append(replace(line, reference=f"~{digest.upper()}"))
        else:
            named.append(line)
    return named


def _steps(lines: Sequence[LineValue]) -> int:
    """Return how often the running balance goes on from a line to the next."""
    pairs = itertools.pairwise(lines)
    return sum(
        1
        for a, b in pairs
        if a.balance_fen is not None and b.balance_fen is not None and a.balance_fen + b.amount_fen == b.balance_fen
    )


def _ordered(lines: list[LineValue]) -> tuple[list[LineValue], bool]:
    """Return lines oldest first, and whether the file had them newest first, as its balances or else its days tell."""
    back = lines[::-1]
    there, here = _steps(back), _steps(lines)
    descends = lines[0].booked_on > lines[-1].booked_on if there == here and lines else there > here
    return (back, True) if descends else (lines, False)


GAP: Final = BadCell(
    "banking.gap",
    _("第 %(row)s 行的余额是 %(value)s，按上一行推算应为 %(expected)s，中间少了、多了或改动了流水。"),
    _("请从网银重新导出完整的日期范围；确认无误的，可勾选后继续导入。"),
)


def _gaps(lines: Sequence[LineValue], facts: Facts, faulty: set[int], *, descends: bool) -> Iterable[Problem]:
    """Yield where the running balance does not go on. Pairs with a faulty row between them are not judged."""
    before = facts.opening_fen
    last = 0
    for line in lines:
        between = range(line.row + 1, last) if descends else range(last + 1, line.row)
        broken = bool(last) and any(row in faulty for row in between)
        if line.balance_fen is not None:
            if before is not None and not broken and before + line.amount_fen != line.balance_fen:
                yield _gap(line.row, line.balance_fen, before + line.amount_fen)
            before = line.balance_fen
        elif before is not None:
            before += line.amount_fen
        last = line.row
    if facts.closing_fen is not None and before is not None and not faulty and before != facts.closing_fen and lines:
        yield _gap(lines[-1].row, facts.closing_fen, before)


def _gap(row: int, found: int, expected: int) -> Problem:
    params = {"row": row, "value": f"{found / 100:.2f}", "expected": f"{expected / 100:.2f}"}
    return Problem(row, "balance", Reason(GAP.code, GAP.message, GAP.remedy, field="file", params=params))
