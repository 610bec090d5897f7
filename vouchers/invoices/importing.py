"""Numbers of issued tax invoices as a table out of the provider's tax software: looked at first, then registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError, Reason, Refused, noop
from portal.kernel.money import BadAmount, Money
from portal.tables.reading import read_table
from portal.tables.values import Column, Kind, Row
from vouchers.invoices import access, issuing, rules
from vouchers.invoices.models import Fapiao

__all__ = ["COLUMNS", "Found", "Registered", "check", "register"]

_ = noop

COLUMNS: Final = (
    Column("request", _("申请单号"), names=("业务单据号", "单据编号", "request"), max_length=24),
    Column("number", _("发票号码"), names=("数电发票号码", "数电票号码", "invoice number"), max_length=40),
    Column("code", _("发票代码"), names=("invoice code",), required=False, max_length=40),
    Column("issued_on", _("开票日期"), Kind.DAY, names=("开票时间", "date")),
    Column("amount", _("价税合计"), names=("价税合计（元）", "金额（元）", "amount"), max_length=40),
)
"""What the table must hold. A red one's amount may carry its sign."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row: what it would register, or every ground against it. `is_same`: it is registered so already."""

    row: int
    request: str
    fapiao: Fapiao | None
    printed: rules.Printed | None
    reasons: tuple[Reason, ...] = ()
    is_same: bool = False

    @property
    def is_ready(self) -> bool:
        return not self.reasons and not self.is_same


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one row: registered, the same as before, or refused and why."""

    found: Found
    error: PortalError | None = None


def check(*, actor: Actor, content: bytes, name: str, now: datetime) -> list[Found]:
    """Return row by row what a table would register; nothing is written. Raises BadTable, Forbidden.

    Faulty rows do not keep the others from being registered. As many queries however many rows.
    """
    actor.require(Permission.INVOICE_ISSUE)
    table = read_table(content, name, COLUMNS)
    wanted = {str(row.values["request"] or "").strip().upper() for row in (*table.rows, *table.faulty)}
    known = {one.number: one for one in access.served(actor).filter(number__in=wanted)}
    by_row: dict[int, list[Reason]] = {}
    for problem in table.problems:
        by_row.setdefault(problem.row, []).append(problem.reason)
    coming = {one.pk for one in known.values() if one.colour == rules.Colour.RED.value}
    rows = sorted((*table.rows, *table.faulty), key=lambda row: row.number)
    read = [_read(row, known, by_row.get(row.number, [])) for row in rows]
    beside = issuing.around([(one.fapiao, one.printed) for one in read if one.fapiao and one.printed])
    return _without_twins([_judge(one, beside, coming=coming, now=now) for one in read])


def _read(row: Row, known: Mapping[str, Fapiao], faults: Sequence[Reason]) -> Found:
    request = str(row.values["request"] or "").strip().upper()
    fapiao = known.get(request)
    reasons = list(faults)
    if fapiao is None:
        text, remedy = _("没有申请单 %(number)s，或不是本单位的。"), _("请用导出的清单填写，不要改动申请单号。")
        reasons.append(Reason("fapiao.unknown", text, remedy, "request", {"number": request or "—"}))
    printed = None if fapiao is None or reasons else _printed(row, fapiao, reasons)
    return Found(row.number, request, fapiao, printed, tuple(reasons))


def _judge(found: Found, beside: issuing.Around, *, coming: Collection[int], now: datetime) -> Found:
    fapiao, printed = found.fapiao, found.printed
    if fapiao is None or printed is None or found.reasons:
        return found
    if fapiao.printed_key and fapiao.printed_key == rules.number_key(printed):
        if fapiao.amount_fen == printed.amount:
            return replace(found, is_same=True)
        text, remedy = _("这个号码已登记为 %(known)s，表中是 %(given)s。"), _("请核对票面金额；登记错的，请红冲重开。")
        params = {"known": str(Money(fapiao.amount_fen)), "given": str(Money(printed.amount))}
        return replace(found, reasons=(Reason("fapiao.other_sum", text, remedy, "amount", params),))
    reasons = []
    if rules.FapiaoState(fapiao.state) not in rules.ISSUABLE:
        text = _("申请单 %(number)s 已办结，不能再登记另一个号码。")
        reasons.append(Reason("fapiao.ended", text, _("请核对申请单号。"), "request", {"number": found.request}))
    reasons += issuing.faults_of(fapiao, printed, now=now, known=beside, coming=coming)
    return replace(found, reasons=tuple(reasons))


def _printed(row: Row, fapiao: Fapiao, reasons: list[Reason]) -> rules.Printed | None:
    try:
        amount = Money.from_yuan(str(row.values["amount"]).strip().lstrip("'¥￥"))
    except BadAmount as error:
        reasons.append(Reason(error.code, error.message, "", "amount", dict(error.params)))
        return None
    if amount.fen < 0 and fapiao.colour == rules.Colour.BLUE.value:
        text, remedy = _("申请单 %(number)s 是蓝字发票，价税合计不能是负数。"), _("红字发票请写红字的申请单号。")
        reasons.append(Reason("fapiao.blue_below_zero", text, remedy, "amount", {"number": fapiao.number}))
        return None
    return rules.Printed(
        number=str(row.values["number"]),
        code=str(row.values.get("code") or ""),
        issued_on=row.values["issued_on"],
        amount=abs(amount.fen),
    )


def _without_twins(found: Sequence[Found]) -> list[Found]:
    """Mark rows that name one request or one invoice number twice: which of them is meant nobody can know."""
    requests = Counter(one.request for one in found)
    keys = Counter(rules.number_key(one.printed) for one in found if one.printed)
    text, remedy = _("同一申请单或发票号码在表中出现了不止一次。"), _("请只保留正确的一行。")
    twin = Reason("fapiao.twice", text, remedy, "number")
    return [
        Found(one.row, one.request, one.fapiao, one.printed, (*one.reasons, twin))
        if requests[one.request] > 1 or (one.printed and keys[rules.number_key(one.printed)] > 1)
        else one
        for one in found
    ]


def register(*, actor: Actor, rows: Sequence[Found], now: datetime) -> list[Registered]:
    """Register the rows that are ready, each by itself, red ones first; one that is refused by now says why. Idempotent.

    Returned in the order of the table.
    """
    done = []
    for one in sorted(rows, key=lambda one: one.fapiao is None or one.fapiao.colour != rules.Colour.RED.value):
        if one.fapiao is None or one.printed is None or not one.is_ready:
            done.append(Registered(one, Refused(one.reasons) if one.reasons else None))
            continue
        try:
            issuing.issue(actor=actor, fapiao=one.fapiao, printed=one.printed, now=now)
        except PortalError as error:
            done.append(Registered(one, error))
        else:
            done.append(Registered(one))
    return sorted(done, key=lambda one: one.found.row)
