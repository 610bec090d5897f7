"""Look at a statement before it is taken, and take it: every row once, whatever file it comes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, noop
from portal.tables.values import BadTable, Limits, Problem
from vouchers.banking import rules, spelling, statements
from vouchers.banking.layouts import BY_CODE
from vouchers.banking.lines import LineValue
from vouchers.banking.models import BankAccount, StatementImport, StatementLine
from vouchers.evidence import rules as evidence_rules
from vouchers.evidence import services as files

__all__ = ["LIMITS", "Preview", "Row", "import_file", "main_account", "preview"]

_ = noop

LIMITS = Limits(problems=20_000)
"""10 MB and 20,000 rows a file; every fault is told."""
KEPT = 2_000
"""Most faulty rows kept with an import as they stood."""


@dataclass(frozen=True, slots=True)
class Row:
    """What taking the file would do with one row: ``new``, ``known``, ``faulty``, or ``conflict`` with what is known."""

    number: int
    verdict: str
    line: LineValue | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What taking a statement would do. With `faults` or `gaps` it is taken only if that is asked for."""

    statement: statements.Statement
    rows: tuple[Row, ...]
    gaps: tuple[Problem, ...]
    known_import: StatementImport | None = None

    def count(self, *verdicts: str) -> int:
        return sum(row.verdict in verdicts for row in self.rows)

    @property
    def new(self) -> int:
        return self.count("new")

    @property
    def known(self) -> int:
        return self.count("known")

    @property
    def faults(self) -> int:
        return self.count("faulty", "conflict")

    @property
    def is_clean(self) -> bool:
        return not self.faults and not self.gaps

    @property
    def incoming_fen(self) -> int:
        return sum(line.amount_fen for line in self._new() if line.amount_fen > 0)

    @property
    def outgoing_fen(self) -> int:
        return -sum(line.amount_fen for line in self._new() if line.amount_fen < 0)

    def _new(self) -> list[LineValue]:
        return [row.line for row in self.rows if row.verdict == "new" and row.line is not None]


def main_account(*, now: datetime) -> BankAccount:
    """Return the account enterprises transfer to, as the settings name it; written down the first time."""
    told = settings.BANK_ACCOUNT
    values = {"holder": told["payee"], "bank": told["bank"], "number": told["number"], "created_at": now}
    return BankAccount.objects.get_or_create(code="main", defaults=values)[0]


def preview(*, account: BankAccount, upload: files.Upload, layout: str = "") -> Preview:
    """Say row by row what taking a file would do; writes nothing. Raises BadTable, NoSuchLayout."""
    if layout and layout not in BY_CODE:
        raise rules.NoSuchLayout(field="layout")
    name = evidence_rules.clean_name(upload.name)
    found = statements.read(upload.content, name, layout=layout, limits=LIMITS)
    _refuse_foreign(account, found.facts)
    known = {
        reference: (day, fen)
        for reference, day, fen in StatementLine.objects.filter(
            account=account, reference__in=[line.reference for line in found.lines]
        ).values_list("reference", "booked_on", "amount_fen")
    }
    rows = [_judged(line, known) for line in found.lines]
    by_row: dict[int, list[Reason]] = {}
    for problem in found.problems:
        by_row.setdefault(problem.row, []).append(problem.reason)
    rows += [Row(number, "faulty", None, tuple(reasons)) for number, reasons in by_row.items()]
    digest = evidence_rules.digest(upload.content)
    return Preview(
        statement=found,
        rows=tuple(sorted(rows, key=lambda row: row.number)),
        gaps=(*_gap_before(account, found), *found.gaps),
        known_import=StatementImport.objects.filter(account=account, sha256=digest).first(),
    )


def _refuse_foreign(account: BankAccount, facts: statements.Facts) -> None:
    """Raises BadTable, with every ground, for a statement of another account or currency."""
    reasons = []
    said, ours = spelling.digits(facts.account), spelling.digits(account.number)
    masked = "*" in facts.account
    if said and (said[-4:] != ours[-4:] if masked else said != ours):
        reasons.append(
            Reason(
                "banking.other_account",
                _("这是账号 %(said)s 的对账单，不是所选账户（%(ours)s）的。"),
                _("请选择对应的银行账户，或在网银选择正确的账号后重新导出。"),
                field="file",
                params={"said": facts.account[:60], "ours": account.number},
            )
        )
    if facts.currency:
        reasons.append(
            Reason(
                "banking.other_currency",
                _("对账单的币种是“%(currency)s”，本账户只记人民币。"),
                _("请导出人民币账户的对账单；外币请在结汇后导入。"),
                field="file",
                params={"currency": facts.currency},
            )
        )
    if reasons:
        raise BadTable(reasons)


def _judged(line: LineValue, known: dict[str, tuple[date, int]]) -> Row:
    """Judge a line by what is known of its reference, in the ledger of lines or further up in the same file."""
    before = known.get(line.reference)
    if before is None:
        known[line.reference] = (line.booked_on, line.amount_fen)
        return Row(line.row, "new", line)
    if before == (line.booked_on, line.amount_fen):
        return Row(line.row, "known", line)
    reason = Reason(
        "banking.conflict",
        _(
            "第 %(row)s 行：流水号“%(reference)s”已有记录，日期或金额不同（已有 %(day)s，%(known)s 元；这次 %(fen)s 元）。"
        ),
        _("已导入的流水不会被覆盖：请与银行核对，以银行重新出具的对账单为准。"),
        field="file",
        params={
            "row": line.row,
            "reference": line.reference,
            "day": before[0].isoformat(),
            "known": f"{before[1] / 100:.2f}",
            "fen": f"{line.amount_fen / 100:.2f}",
        },
    )
    return Row(line.row, "conflict", line, (reason,))


def _gap_before(account: BankAccount, found: statements.Statement) -> Sequence[Problem]:
    """Say whether the balance before the first line is the one after the last line known before it."""
    first = found.lines[0] if found.lines else None
    if first is None or first.balance_fen is None:
        return ()
    last = (
        StatementLine.objects.filter(account=account, booked_on__lt=first.booked_on)
        .order_by("-booked_on", "-pk")
        .values_list("balance_fen", flat=True)
        .first()
    )
    opening = first.balance_fen - first.amount_fen
    if last is None or last == opening:
        return ()
    return (
        Problem(
            first.row,
            "balance",
            Reason(
                "banking.gap_before",
                _("对账单开始时的余额是 %(opening)s，此前导入的最后余额是 %(last)s，中间可能缺少流水。"),
                _("请把缺少的日期也导入；确认无误的，可勾选后继续导入。"),
                field="file",
                params={"opening": f"{opening / 100:.2f}", "last": f"{last / 100:.2f}"},
            ),
        ),
    )


@transaction.atomic
def import_file(
    *,
    actor: Actor,
    account: BankAccount,
    upload: files.Upload,
    now: datetime,
    accept: bool = False,
    layout: str = "",
    wake: Callable[[int], None] | None = None,
) -> StatementImport:
    """Take a statement: its new lines are kept, known ones change nothing, the file itself is kept beside them.

    A file that has faulty rows or gaps is taken only with `accept`; its faultless rows then count, the others are kept as
    they stood, to be mended and sent again. The same file again answers with the first import. `wake` is told the import's
    id once it is committed: automatic matching follows. Raises BadTable, BadStatement, NoSuchLayout, Forbidden.
    """
    actor.require(Permission.BANK_MATCH)
    BankAccount.objects.select_for_update(no_key=True).order_by("pk").get(pk=account.pk)
    found = preview(account=account, upload=upload, layout=layout)
    if found.known_import is not None:
        return found.known_import
    if not found.is_clean and not accept:
        reasons = [reason for row in found.rows for reason in row.reasons]
        raise rules.BadStatement([*reasons, *(gap.reason for gap in found.gaps)][:50])
    made = _kept(found, account=account, upload=upload, actor=actor, now=now)
    files.store(actor=actor, subject=f"bank_import:{made.pk}", purpose="statement", upload=upload, now=now)
    audit.record(
        action="bank.imported",
        subject=f"bank_import:{made.pk}",
        actor=actor,
        now=now,
        data={"name": made.name, "sha256": made.sha256, "new": made.lines_new, "faulty": made.lines_faulty},
    )
    if wake is not None:
        transaction.on_commit(lambda: wake(made.pk))
    return made


def _kept(
    found: Preview, *, account: BankAccount, upload: files.Upload, actor: Actor, now: datetime
) -> StatementImport:
    lines, facts = found.statement.lines, found.statement.facts
    days = [line.booked_on for line in lines]
    first, last = (lines[0], lines[-1]) if lines else (None, None)
    derived = first.balance_fen - first.amount_fen if first and first.balance_fen is not None else None
    faulty = [row for row in found.rows if row.verdict in {"faulty", "conflict"}]
    made = StatementImport.objects.create(
        account=account,
        name=evidence_rules.clean_name(upload.name),
        sha256=evidence_rules.digest(upload.content),
        size=len(upload.content),
        layout=found.statement.layout,
        encoding=found.statement.encoding,
        starts_on=min(days, default=None),
        ends_on=max(days, default=None),
        opening_fen=facts.opening_fen if facts.opening_fen is not None else derived,
        closing_fen=facts.closing_fen if facts.closing_fen is not None else last.balance_fen if last else None,
        lines_new=found.new,
        lines_known=found.known,
        lines_faulty=len(faulty),
        gaps=len(found.gaps),
        faults=[_fault(row, found) for row in faulty[:KEPT]],
        imported_by_id=actor.person,
        imported_at=now,
        finished_at=None if found.new else now,
    )
    new = {row.number for row in found.rows if row.verdict == "new"}
    StatementLine.objects.bulk_create((_line(line, made) for line in lines if line.row in new), batch_size=2000)
    return made


def _line(line: LineValue, made: StatementImport) -> StatementLine:
    return StatementLine(
        account_id=made.account_id,
        upload=made,
        row=line.row,
        reference=line.reference,
        booked_on=line.booked_on,
        value_on=line.value_on,
        amount_fen=line.amount_fen,
        name=line.name,
        name_key=rules.name_key(line.name),
        counter_account=spelling.digits(line.account)[:60],
        counter_bank=line.bank,
        memo=line.memo,
        balance_fen=line.balance_fen,
    )


def _fault(row: Row, found: Preview) -> dict[str, Any]:
    """Return a faulty row as it stood, with what was wrong: its codes and values; the words are made for the reader."""
    return {
        "row": row.number,
        "verdict": row.verdict,
        "cells": list(found.statement.raw.get(row.number, ())),
        "reasons": [
            {"code": reason.code, "message": reason.message, "remedy": reason.remedy, "params": _plain(reason.params)}
            for reason in row.reasons
        ],
    }


def _plain(params: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, int | str | list) else str(value) for name, value in params.items()}
