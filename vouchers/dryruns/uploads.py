"""Read a file of cases for a dry run: the case or request files of `manage.py evaluate`, or a table with a case a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import translation

from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.tables.reading import read_table
from portal.tables.values import Column, Kind, Row
from vouchers.dryruns.rules import MOST_CASES
from vouchers.programmes import fact_choices
from vouchers.programmes.fact_choices import FactKind
from vouchers.programmes.parsing import BadDocument, Problems, child, decode
from vouchers.programmes.readers import refuse
from vouchers.programmes.requests import read_request
from vouchers.programmes.words import Words

__all__ = ["BadCaseFile", "BadCaseTable", "columns", "read_cases", "region_of"]

_ = noop

MAX_BYTES = 4 * 1024 * 1024


class BadCaseFile(BadDocument):
    code = "dry_run.file"
    message = _("案例文件有 %(count)s 处问题。第一处：%(first)s")


class BadCaseTable(BadDocument):
    code = "dry_run.table"
    message = _("案例表有 %(count)s 处问题。第一处：%(first)s")


def read_cases(content: bytes, name: str) -> list[dict[str, Any]]:
    """Return the cases of a file as ``{"number", "name", "request"}``, at most `MOST_CASES`, judged by its content.

    JSON: one request, a list of requests, or a list of cases with a request each. Otherwise xlsx or CSV with a column
    for each fact, headed by its name in either language or its path. Raises BadCaseFile, BadCaseTable, BadTable.
    """
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return _json_cases(content) if start in (b"{", b"[") else _table_cases(content, name)


def _json_cases(content: bytes) -> list[dict[str, Any]]:
    problems = Problems()
    tree = decode(content, problems, max_bytes=MAX_BYTES)
    problems.raise_as(BadCaseFile)
    rows = tree if isinstance(tree, list) else [tree]
    if not 1 <= len(rows) <= MOST_CASES:
        refuse(rows, "$", problems, Words(f"1 到 {MOST_CASES} 个案例", f"1 to {MOST_CASES} cases"))
    cases = []
    for at, row in enumerate(rows[:MOST_CASES]):
        here = f"[{at}]" if isinstance(tree, list) else ""
        is_case = isinstance(row, dict) and "request" in row
        request = row["request"] if is_case else row
        read_request(request, child(here, "request") if is_case else here, problems)
        number = str(row.get("id") or at + 1)[:80] if is_case else str(at + 1)
        cases.append({"number": number, "name": _name_in(request), "request": _plain(request)})
    problems.raise_as(BadCaseFile)
    return _numbered(cases)


def _plain(value: Any) -> Any:
    """Return JSON without decimals: each becomes its text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else format(value, "f")


def _name_in(request: Any) -> str:
    applicant = request.get("applicant") if isinstance(request, dict) else None
    return str(applicant.get("name") or "")[:160] if isinstance(applicant, dict) else ""


def _numbered(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give cases of the same number numbers of their own."""
    seen: dict[str, int] = {}
    for case in cases:
        number = case["number"]
        seen[number] = seen.get(number, 0) + 1
        if seen[number] > 1:
            case["number"] = f"{number[:70]} ({seen[number]})"
    return list(cases)


HEAD = (
    Column("number", _("编号"), names=("id", "number", "No."), required=False, max_length=80),
    Column("name", _("单位"), names=("name", "organisation", "applicant.name"), required=False, max_length=160),
    Column("today", _("申请日期"), Kind.DAY, names=("today", "date"), required=False),
    Column("year", _("年度"), Kind.WHOLE, names=("year",), required=False),
)


def columns() -> tuple[Column, ...]:
    """Return every column a table of cases may have."""
    return (*HEAD, *(_column(path, name) for path, name in fact_choices.facts()))


def _column(path: str, name: Words) -> Column:
    kind = Kind.MONEY if path.startswith("contract.items.") else Kind.TEXT
    if fact_choices.kind_of(path) is FactKind.DAY:
        kind = Kind.DAY
    return Column(path, name.zh, kind, names=(name.en, path), required=False)


def _both(template: str, params: Mapping[str, Any]) -> Words:
    """Return what reading a table says, in both languages."""
    said = []
    for language in ("zh-hans", "en"):
        with translation.override(language):
            text = translation.gettext(template) if template else ""
            said.append(text % {name: translation.gettext(str(value)) for name, value in params.items()})
    return Words(*said)


def _table_cases(content: bytes, name: str) -> list[dict[str, Any]]:
    table = read_table(content, name, columns())
    problems = Problems()
    for fault in table.problems:
        where = f"{fault.row}:{fault.column}"
        params = fault.reason.params
        problems.add(where, _both(fault.reason.message, params), _both(fault.reason.remedy, params))
    cases = []
    for row in table.rows[:MOST_CASES]:
        request = _request_of(row)
        read_request(request, f"[{row.number}]", problems)
        number = str(row.values.get("number") or row.number)
        cases.append({"number": number, "name": str(row.values.get("name") or ""), "request": request})
    if not table.columns & {path for path, _name in fact_choices.facts()}:
        heads = "、".join(table.ignored[:5]) or "—"
        problems.add(
            "1",
            Words(f"表头没有一列是已知的事实（{heads}）", f"No heading names a known fact ({heads})"),
            Words("事实的名称或路径，例如 applicant.region", "a fact's name or path, such as applicant.region"),
        )
    elif not cases and not table.problems:
        refuse([], "$", problems, Words("至少一行案例", "at least one row"))
    problems.raise_as(BadCaseTable)
    return _numbered(cases)


def _request_of(row: Row) -> dict[str, Any]:
    request: dict[str, Any] = {}
    for path, value in row.values.items():
        if value is None or path in ("number", "name"):
            continue
        _put(request, path.split("."), _stated(path, value))
    return request


def _stated(path: str, value: Any) -> Any:
    if isinstance(value, Money):
        return value.yuan()
    if path in ("today", "year"):
        return value if isinstance(value, int) else value.isoformat()
    kind = fact_choices.kind_of(path)
    if kind is FactKind.DAY:
        return value.isoformat()
    if kind is FactKind.TAGS:
        return fact_choices.typed(fact_choices.split(str(value)), path, "has_any")
    if kind is FactKind.YES_NO:
        return {"是": True, "yes": True, "true": True, "1": True}.get(str(value).lower(), False)
    return fact_choices.typed([str(value)], path, "=")


def _put(request: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    here: Any = request
    for key in keys[:-1]:
        here = here.setdefault(key, {})
    here[keys[-1]] = value


def region_of(request: Mapping[str, Any]) -> str:
    """Return the region a case's applicant is of, for quotas; empty where it is not stated."""
    applicant = request.get("applicant")
    said = applicant.get("region") or applicant.get("city") if isinstance(applicant, Mapping) else ""
    return str(said or "")[:60]
