"""Read an uploaded xlsx or CSV as a table of known columns. No Django, no clock; openpyxl reads through defusedxml.

A file is judged by its content. Nothing is unpacked before its table of contents says that it is small; rows are read one
by one, formulas are never evaluated, and entities are refused.
"""

from __future__ import annotations

import csv
import io
import itertools
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from openpyxl import load_workbook

from portal.kernel.errors import Reason, noop
from portal.tables.values import (
    FAULT,
    FORMULA,
    LIMITS,
    BadCell,
    BadTable,
    Column,
    Limits,
    Problem,
    Row,
    Table,
    heading,
    parse,
)

__all__ = ["Cell", "Cells", "Sheet", "read_cells", "read_table"]

_ = noop

HEAD_ROWS: Final = 10
"""The headings stand in one of the first ten rows that hold anything; titles above them are skipped."""
TOTALS: Final = frozenset({"合计", "总计", "total", "sum", "grandtotal"})

CUT_SHORT = Reason(
    "table.cut_short",
    _("文件不完整或已损坏，无法作为 xlsx 读取。"),
    _("请在表格软件中重新另存为 xlsx，或改用 CSV 后上传。"),
    field="file",
)
NOT_A_TABLE = Reason(
    "table.unknown_type",
    _("不支持这种文件：按内容判断，它既不是 xlsx，也不是 CSV 文本。"),
    _("请在表格软件中另存为 xlsx 或 CSV（UTF-8）后上传。"),
    field="file",
)
EMPTY = Reason("table.empty", _("文件是空的。"), _("请选择有内容的文件。"), field="file")
BOMB = Reason(
    "table.unpacks_too_large",
    _("文件解压后过大，可能是压缩炸弹，没有读取。"),
    _("请只保留数据所在的一张工作表，删去图片和空行，另存后上传。"),
    field="file",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as the file holds it. `fault` is set where it is a formula or an error value."""

    value: Any
    fault: BadCell | None = None


Cells = tuple[int, list[Cell]]
"""A row: its number as the spreadsheet shows it, and what stands in it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as it stands, before anybody says which columns it has. `encoding`: ``xlsx``, ``utf-8``, ``utf-8-sig``, ``gb18030``."""

    encoding: str
    rows: Iterator[Cells]


def read_cells(content: bytes, name: str, *, limits: Limits = LIMITS) -> Sheet:
    """Open a file and return its rows; reading them raises as `read_table` does. For tables with a layout of their own.

    `name` is what the sender calls the file, for messages only. Raises BadTable.
    """
    if not content:
        raise BadTable([EMPTY])
    if len(content) > limits.size:
        raise BadTable([_too_large(name, limits)])
    if content.startswith(b"PK"):
        return Sheet("xlsx", _guarded(_xlsx(content, limits)))
    encoding, text = _text_of(content)
    return Sheet(encoding, _guarded(_separated(text)))


def _guarded(lines: Iterator[Cells]) -> Iterator[Cells]:
    """Yield rows; whatever a broken or forged container makes the reader say, it means: this is no workbook."""
    try:
        yield from lines
    except BadTable:
        raise
    except csv.Error as error:
        raise BadTable([_broken_csv()]) from error
    except Exception as error:
        raise BadTable([CUT_SHORT]) from error


def read_table(content: bytes, name: str, columns: Sequence[Column], *, limits: Limits = LIMITS) -> Table:
    """Read a table. Faults of cells come back in `Table.problems`; a file that is no such table raises BadTable.

    `name` is what the sender calls the file, for messages only. Columns may stand in any order; further ones are ignored.
    """
    lines = read_cells(content, name, limits=limits).rows
    try:
        return _read(lines, columns, limits)
    except BadTable:
        raise
    except Exception as error:
        raise BadTable([CUT_SHORT]) from error


def _too_large(name: str, limits: Limits) -> Reason:
    return Reason(
        "table.too_large",
        _("文件“%(name)s”超过上限 %(limit)s MB。"),
        _("请按月份拆分后分别上传。"),
        field="file",
        params={"name": name[:80], "limit": limits.size // 1024 // 1024},
    )


def _broken_csv() -> Reason:
    return Reason(
        "table.broken_csv",
        _("CSV 不完整：有引号没有成对，或某一格过长。"),
        _("请检查引号，或改用 xlsx 后上传。"),
        field="file",
    )


def _xlsx(content: bytes, limits: Limits) -> Iterator[Cells]:
    """Yield the rows of the first sheet. Raises BadTable before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError) as error:
        raise BadTable([CUT_SHORT]) from error
    if not any(item.filename == "xl/workbook.xml" for item in members):
        raise BadTable([NOT_A_TABLE])
    unpacked = sum(item.file_size for item in members)
    if unpacked > min(limits.unpacked, len(content) * limits.ratio):
        raise BadTable([BOMB])
    if any(item.flag_bits & 1 for item in members):
        reason = Reason("table.encrypted", _("文件有密码，无法读取。"), _("请去除密码后上传。"), field="file")
        raise BadTable([reason])
    return _sheet(content, limits)


def _sheet(content: bytes, limits: Limits) -> Iterator[Cells]:
    with warnings.catch_warnings():
        # openpyxl warns of styles and extensions it does not know; none of them is data.
        warnings.simplefilter("ignore")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
        try:
            sheet = book.worksheets[0]
            most = limits.rows + HEAD_ROWS + 2
            for number, row in enumerate(sheet.iter_rows(max_col=limits.columns, max_row=most), 1):
                yield number, [_cell(cell) for cell in row]
        finally:
            book.close()


def _cell(cell: Any) -> Cell:
    kind = getattr(cell, "data_type", None)
    return Cell(cell.value, FORMULA if kind == "f" else FAULT if kind == "e" else None)


OTHER_FILES = (b"%PDF", b"\xd0\xcf\x11\xe0", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")
"""How documents, pictures and archives begin, which a Chinese encoding would read as text."""


def _text_of(content: bytes) -> tuple[str, str]:
    """Return a text in UTF-8 or GB 18030 and which of them it is. Raises BadTable for anything else."""
    if b"\0" in content or content.lstrip()[:1] == b"<" or content.startswith(OTHER_FILES):
        raise BadTable([NOT_A_TABLE])
    for encoding in ("utf-8", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return ("utf-8-sig" if text.startswith("\ufeff") else encoding), text.removeprefix("\ufeff")
    raise BadTable([NOT_A_TABLE])


def _separated(text: str) -> Iterator[Cells]:
    """Yield the rows of a text separated by comma, semicolon or tab."""
    head = list(itertools.islice((line for line in text.splitlines() if line.strip()), HEAD_ROWS))
    separator = max(",;\t", key=lambda mark: max((line.count(mark) for line in head), default=0))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    yield from ((number, [Cell(value) for value in row]) for number, row in enumerate(rows, 1))


def _read(lines: Iterator[Cells], columns: Sequence[Column], limits: Limits) -> Table:
    places, ignored = _headings(lines, columns)
    rows: list[Row] = []
    totals: list[Row] = []
    faulty: list[Row] = []
    problems: list[Problem] = []
    for number, cells in lines:
        if all(_is_empty(cell) for cell in cells):
            continue
        if len(rows) + len(totals) >= limits.rows:
            raise BadTable([_too_many(limits)])
        row, faults, total = _line(number, cells, places)
        problems += faults
        (faulty if faults else totals if total else rows).append(row)
        if len(problems) >= limits.problems:
            break
    if not rows and not problems:
        reason = Reason("table.no_rows", _("表格没有数据行。"), _("请在表头下面逐行填写后重新上传。"), field="file")
        raise BadTable([reason])
    return Table(
        rows=tuple(rows),
        problems=tuple(problems),
        totals=tuple(totals),
        ignored=ignored,
        faulty=tuple(faulty),
        columns=frozenset(column.key for column in places.values()),
    )


def _too_many(limits: Limits) -> Reason:
    return Reason(
        "table.too_many_rows",
        _("数据超过 %(limit)s 行。"),
        _("请按月份拆分后分别上传。"),
        field="file",
        params={"limit": limits.rows},
    )


def _is_empty(cell: Cell) -> bool:
    return cell.value is None or (isinstance(cell.value, str) and not cell.value.strip())


def _headings(lines: Iterator[Cells], columns: Sequence[Column]) -> tuple[dict[int, Column], tuple[str, ...]]:
    """Find the row of headings; return which place holds which column. Raises BadTable naming what is missing or double."""
    known = {heading(name): column for column in columns for name in (column.key, column.title, *column.names)}
    best: list[Cell] = []
    most = 0
    seen = 0
    for _number, cells in lines:
        if all(_is_empty(cell) for cell in cells):
            continue
        seen += 1
        found = sum(heading(cell.value) in known for cell in cells)
        if found > most:
            best, most = cells, found
        if most >= sum(column.required for column in columns) or seen >= HEAD_ROWS:
            break
    places = {at: known[key] for at, cell in enumerate(best) if (key := heading(cell.value)) in known}
    reasons = _heading_faults(places.values(), columns)
    if reasons:
        raise BadTable(reasons)
    ignored = tuple(str(cell.value)[:40] for at, cell in enumerate(best) if at not in places and not _is_empty(cell))
    return places, ignored


def _heading_faults(found: Iterable[Column], columns: Sequence[Column]) -> list[Reason]:
    keys = [column.key for column in found]
    missing = [column.title for column in columns if column.required and column.key not in keys]
    double = [column.title for column in columns if keys.count(column.key) > 1]
    reasons = []
    if missing:
        reasons.append(
            Reason(
                "table.missing_columns",
                _("表头缺少：%(columns)s。"),
                _("请按模板补上这些列；列的顺序不限。"),
                field="file",
                params={"columns": missing},
            )
        )
    if double:
        reasons.append(
            Reason(
                "table.double_columns",
                _("表头重复：%(columns)s。"),
                _("每列只保留一次后重新上传。"),
                field="file",
                params={"columns": double},
            )
        )
    return reasons


def _line(number: int, cells: list[Cell], places: dict[int, Column]) -> tuple[Row, list[Problem], bool]:
    """Return a row, its faults, and whether it is a row of totals, whose other cells may be empty."""
    total = any(heading(cell.value) in TOTALS for cell in cells if isinstance(cell.value, str))
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for at, column in places.items():
        cell = cells[at] if at < len(cells) else Cell(None)
        values[column.key] = None
        if total and (_is_empty(cell) or column.kind in TOTALLED):
            continue
        try:
            if cell.fault is not None:
                raise cell.fault
            values[column.key] = parse(cell.value, column)
        except BadCell as bad:
            problems.append(bad.problem(row=number, column=column, value=cell.value))
    return Row(number, values), problems, total


TOTALLED: Final = frozenset({"text", "day"})
"""Kinds of columns that nobody adds up: in a row of totals they are not read."""
