"""Put many enterprises forward that need not apply (免申即享): read a list, look at each line, grant each by itself.

Source: “免申即享” as published schemes have it: the department knows the facts and grants without an application; here
the rules still decide on every line and an approver still has the last word.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, PortalError, Reason, Refused, noop
from portal.kernel.money import Money
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.tables.reading import read_table
from portal.tables.values import Column, Kind, Row, heading
from vouchers.issuance import facts, services
from vouchers.issuance.models import Application
from vouchers.programmes import names
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import Programme

__all__ = ["MOST", "Common", "Line", "Look", "Result", "as_table", "columns", "grant_each", "look", "read"]

_ = noop

MOST: Final = 50
"""Lines of one list: each is its own transaction, and one request does them all."""
CODE: Final = re.compile(r"[0-9A-Za-z]{18}")
YES: Final = frozenset({"是", "yes", "y", "true", "1"})
NO: Final = frozenset({"否", "no", "n", "false", "0"})


class TooManyLines(Invalid):
    code = "grants.too_many"
    message = _("一次至多 %(limit)s 家单位，这份名单有 %(found)s 家。请分几次办理。")


class NoLines(Invalid):
    code = "grants.empty"
    message = _("名单是空的。请搜索单位、粘贴统一社会信用代码，或上传名单文件。")


class UnknownOrganisation(Invalid):
    code = "grants.unknown_organisation"
    message = _("没有登记过统一社会信用代码为 %(value)s 的企业。请先由企业登记，或更正代码。")


class ListedTwice(Invalid):
    code = "grants.listed_twice"
    message = _("同一单位的同一合同在名单里出现了两次，只办理第一次。")


class ReasonMissing(Invalid):
    code = "grants.reason"
    message = _("请写明免申即享的依据，例如认定名单的文号。")


class NotQualified(Conflict):
    code = "grants.not_qualified"
    message = _("按现在的事实，规则不予给付或还缺信息，没有办理。")


@dataclass(frozen=True, slots=True)
class Common:
    """What holds for every line that does not say otherwise; `items` are fen by cost kind."""

    number: str = ""
    provider: str = ""
    signed: date | None = None
    months: int | None = None
    related: bool | None = None
    items: Mapping[str, Money] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: an enterprise by credit code, its contract, and what is wrong with the line itself."""

    row: int
    credit_code: str
    contract: facts.Contract | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What the rules say of one line now; `error` says why they cannot be asked or why nothing may be granted."""

    line: Line
    organisation: Organisation | None = None
    decision: Decision | None = None
    error: PortalError | None = None

    @property
    def ready(self) -> bool:
        """Say whether the line may be put forward: granted, or computed and left to the approver's judgement."""
        return (
            self.error is None
            and self.decision is not None
            and self.decision.decision in {DecisionKind.GRANT, DecisionKind.MANUAL}
        )

    @property
    def amount(self) -> Money:
        return (self.decision.amount if self.decision and self.ready else None) or Money(0)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one line: the case it made, or why it made none."""

    line: Line
    organisation: Organisation | None = None
    application: Application | None = None
    error: PortalError | None = None


def columns(scheme: Programme) -> tuple[Column, ...]:
    """Return what a list may hold: the credit code, the contract, and an amount for each kind of cost."""
    kinds = scheme.cost.include or tuple(names.KINDS)
    return (
        Column("credit_code", _("统一社会信用代码"), names=("信用代码", "unified social credit code", "credit code")),
        Column("contract_number", _("合同编号"), names=("contract number",), required=False, max_length=60),
        Column("provider", _("服务单位"), names=("provider",), required=False, max_length=120),
        Column("signed", _("签订日期"), Kind.DAY, ("signed", "date signed"), required=False),
        Column("months", _("合同期限（月）"), Kind.WHOLE, ("合同期限", "term in months", "months"), required=False),
        Column("related", _("关联方"), names=("related", "related parties"), required=False, max_length=10),
        *(
            Column(kind, names.kind(kind).zh, Kind.MONEY, (names.kind(kind).en, f"{names.kind(kind).zh}金额"), False)
            for kind in kinds
        ),
    )


def read(content: bytes, *, name: str, scheme: Programme, common: Common) -> list[Line]:
    """Read a list: xlsx, CSV with headings, or nothing but credit codes, one a line.

    What a line leaves empty is taken from `common`. Faults of a line stand in its `reasons`. Raises BadTable for a file
    that is no such list, Refused with every unreadable cell, NoLines, TooManyLines.
    """
    codes = _bare_codes(content)
    if codes is not None:
        rows: Iterable[Row] = [Row(at, {"credit_code": code}) for at, code in enumerate(codes, 1)]
    else:
        table = read_table(content, name, columns(scheme))
        if table.problems:
            raise Refused([problem.reason for problem in table.problems])
        rows = table.rows
    lines = [_line(row, scheme, common) for row in rows]
    if not lines:
        raise NoLines(field="table")
    if len(lines) > MOST:
        raise TooManyLines(field="table", limit=MOST, found=len(lines))
    return lines


def _bare_codes(content: bytes) -> list[str] | None:
    """Return the credit codes where that is all there is, one at the start of each line; None for a table."""
    if content.startswith(b"PK"):
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    found = [
        part for line in text.splitlines() for part in re.split(r"[\s,;，；、]+", line)[:1] if line.strip() and part
    ]
    return found if found and CODE.fullmatch(found[0]) else [] if not text.strip() else None


def _line(row: Row, scheme: Programme, common: Common) -> Line:
    values: Mapping[str, Any] = row.values
    reasons: list[Reason] = []
    related = _related(values.get("related"), common, reasons)
    signed = values.get("signed") or common.signed
    if signed is None:
        reasons.append(Reason("contract.signed_missing", _("请填写签订日期。"), field="signed"))
    own = {kind: values[kind] for kind in (scheme.cost.include or names.KINDS) if values.get(kind)}
    code = str(values["credit_code"]).strip().upper()
    if signed is None or related is None:
        return Line(row.number, code, None, tuple(reasons))
    contract = facts.Contract(
        number=values.get("contract_number") or common.number,
        provider=values.get("provider") or common.provider,
        signed=signed,
        months=values.get("months") or common.months or 0,
        items=own or dict(common.items or {}),
        related=related,
    )
    return Line(row.number, code, contract)


def _related(said: Any, common: Common, reasons: list[Reason]) -> bool | None:
    word = heading(said)
    if word in YES | NO:
        return word in YES
    if word:
        reasons.append(
            Reason("contract.related_unclear", _("“关联方”一列只能写“是”或“否”。"), field="related"),
        )
        return None
    if common.related is None:
        reasons.append(Reason("contract.related_missing", _("请说明合同双方是否为关联方。"), field="related"))
    return common.related


def as_table(lines: Sequence[Line], scheme: Programme) -> str:
    """Return lines with a contract as a CSV that `read` reads back to the same, nothing left to `Common`."""
    known = columns(scheme)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(column.key for column in known)
    for line in lines:
        if line.contract is not None:
            writer.writerow(_cells(line.credit_code, line.contract, known))
    return buffer.getvalue()


def _cells(code: str, contract: facts.Contract, known: Sequence[Column]) -> list[str]:
    said = {
        "credit_code": code,
        "contract_number": contract.number,
        "provider": contract.provider,
        "signed": contract.signed.isoformat(),
        "months": str(contract.months),
        "related": "是" if contract.related else "否",
        **{kind: amount.yuan() for kind, amount in contract.items.items()},
    }
    return [said.get(column.key, "") for column in known]


def look(*, actor: Actor, version: ProgrammeVersion, lines: Sequence[Line], now: datetime) -> list[Look]:
    """Say of every line what the rules would decide now, each as if it were the only one; changes nothing.

    Raises Forbidden, NeedsApplication, NotOpen: what concerns the programme and not one line.
    """
    services.check_unasked(actor=actor, version=version)
    seen: set[tuple[str, str]] = set()
    found = []
    for line in lines:
        mark = (line.credit_code, line.contract.number if line.contract else "")
        found.append(_looked(actor, version, line, now) if mark not in seen else Look(line, error=ListedTwice()))
        seen.add(mark)
    return found


def _looked(actor: Actor, version: ProgrammeVersion, line: Line, now: datetime) -> Look:
    organisation = None
    try:
        organisation = _organisation(line)
        decision = services.assess_unasked(
            actor=actor, organisation=organisation, wanted=_wanted(version, line), now=now
        )
    except PortalError as error:
        return Look(line, organisation, error=error)
    return Look(line, organisation, decision)


def _organisation(line: Line) -> Organisation:
    found = people.by_name_or_code(line.credit_code)
    if found is None or found.kind != Organisation.Kind.ENTERPRISE.value:
        raise UnknownOrganisation(field="credit_code", value=line.credit_code)
    return found


def _wanted(version: ProgrammeVersion, line: Line) -> services.Wanted:
    if line.contract is None or line.reasons:
        raise Refused(line.reasons)
    return services.Wanted(version=version, contract=line.contract, stated={})


def grant_each(
    *, actor: Actor, version: ProgrammeVersion, lines: Sequence[Line], reason: str, now: datetime, key: str
) -> list[Result]:
    """Put forward each line that qualifies, in the order given; one that fails leaves the others done.

    Idempotent on `key`: the same list sent again makes no second case. Raises ReasonMissing, and as `look`.
    """
    if not reason.strip():
        raise ReasonMissing(field="reason")
    return [
        _granted(actor, version, seen, reason=reason.strip(), now=now, key=key)
        for seen in look(actor=actor, version=version, lines=lines, now=now)
    ]


def _granted(actor: Actor, version: ProgrammeVersion, seen: Look, *, reason: str, now: datetime, key: str) -> Result:
    line, organisation = seen.line, seen.organisation
    own_key = f"{key[:70]}-{line.row}"
    made = Application.objects.filter(organisation=organisation, key=own_key).exists() if organisation else False
    if organisation is None or not (seen.ready or made):
        return Result(line, organisation, error=seen.error or NotQualified())
    try:
        case = services.grant_unasked(
            actor=actor,
            organisation=organisation,
            wanted=_wanted(version, line),
            now=now,
            key=own_key,
            reason=reason,
        )
    except PortalError as error:
        return Result(line, organisation, error=error)
    return Result(line, organisation, application=case)
