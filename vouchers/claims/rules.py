"""States of claims, what a claim must hold to be filed, payment windows and the audit draw. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Reason, Refused, noop
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = [
    "ACTIVE",
    "BEIJING",
    "MAX_LINES",
    "TRANSITIONS",
    "UNDECIDED",
    "AmountRaised",
    "ClaimAction",
    "ClaimRefused",
    "ClaimState",
    "DuplicateInvoice",
    "ForeignVoucher",
    "Involved",
    "Item",
    "NoteMissing",
    "SamePerson",
    "Support",
    "drawn",
    "filing_reasons",
    "invoice_key",
    "lot",
    "window",
]

_ = noop

BEIJING: Final = ZoneInfo("Asia/Shanghai")
MAX_LINES: Final = 500
MAX_INVOICE: Final = 40
SPAN: Final = {"month": 1, "quarter": 3, "year": 12}


class ClaimState(StrEnum):
    """Where a claim stands. A cut claim is a passed one whose approved amount is below the claimed."""

    PROPOSED = "proposed"
    """A top-up that follows from another programme's payment: a person confirms or drops it."""
    DRAFT = "draft"
    SUPPLEMENT = "supplement"
    CHECKING = "checking"
    AUDIT = "audit"
    APPROVAL = "approval"
    PAYABLE = "payable"
    BATCHED = "batched"
    SETTLED = "settled"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class ClaimAction(StrEnum):
    FILE = "file"
    RETURN = "return"
    PASS = "pass"  # noqa: S105  no secret
    SAMPLE = "sample"
    """Passed the check, and drawn for a third party's audit."""
    FIND = "find"
    APPROVE = "approve"
    RECHECK = "recheck"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    CONFIRM = "confirm"
    BATCH = "batch"
    UNBATCH = "unbatch"
    SETTLE = "settle"


S, A = ClaimState, ClaimAction

TRANSITIONS: Final[Mapping[tuple[ClaimState, ClaimAction], ClaimState]] = MappingProxyType(
    {
        (S.PROPOSED, A.CONFIRM): S.APPROVAL,
        (S.PROPOSED, A.REFUSE): S.REFUSED,
        (S.DRAFT, A.FILE): S.CHECKING,
        (S.DRAFT, A.WITHDRAW): S.WITHDRAWN,
        (S.SUPPLEMENT, A.FILE): S.CHECKING,
        (S.SUPPLEMENT, A.WITHDRAW): S.WITHDRAWN,
        (S.CHECKING, A.RETURN): S.SUPPLEMENT,
        (S.CHECKING, A.PASS): S.APPROVAL,
        (S.CHECKING, A.SAMPLE): S.AUDIT,
        (S.CHECKING, A.REFUSE): S.REFUSED,
        (S.CHECKING, A.WITHDRAW): S.WITHDRAWN,
        (S.AUDIT, A.FIND): S.APPROVAL,
        (S.APPROVAL, A.APPROVE): S.PAYABLE,
        (S.APPROVAL, A.RECHECK): S.CHECKING,
        (S.APPROVAL, A.REFUSE): S.REFUSED,
        (S.PAYABLE, A.BATCH): S.BATCHED,
        (S.BATCHED, A.UNBATCH): S.PAYABLE,
        (S.BATCHED, A.SETTLE): S.SETTLED,
    }
)
"""Source: 武汉市资金管理办法 2025 §13 (claim, third-party audit, payment in batches); 上海市科技创新券 (quarterly payment)."""

ACTIVE: Final = (S.CHECKING, S.SUPPLEMENT, S.AUDIT, S.APPROVAL, S.PAYABLE, S.BATCHED, S.SETTLED)
"""A claim in one of these holds its invoices and its charges: nobody else can claim them."""
UNDECIDED: Final = (S.SUPPLEMENT, S.CHECKING, S.AUDIT, S.APPROVAL)


class ClaimRefused(Refused):
    code = "claim.refused"
    message = _("申领未能提交，请逐条改正。")


class DuplicateInvoice(Conflict):
    code = "claim.duplicate_invoice"
    message = _("发票 %(invoice)s 已用于另一份申领，不能重复申领。如属误填请更正发票号码；两份申领都已转主管部门核查。")


class ForeignVoucher(NotFound):
    code = "claim.foreign_voucher"
    message = _("没有找到这张券，或它不属于本单位。请核对券号，只能申领本单位的券。")


class SamePerson(Forbidden):
    code = "claim.same_person"
    message = _("同一份申领的提交、核查、审计和审批须由不同的人办理。请由其他同事办理。")


class Involved(Forbidden):
    code = "claim.involved"
    message = _("您是申领单位、收款单位或服务单位的成员，不能办理这份申领。请由其他同事办理。")


class AmountRaised(Invalid):
    code = "claim.amount_raised"
    message = _("核定金额须大于零，且不超过 %(limit)s。不予支付请用“不予通过”。")


class NoteMissing(Invalid):
    code = "claim.note"
    message = _("请写明原因，申领单位会看到。")


def invoice_key(number: str) -> str:
    """Return the number under which an invoice is known once: digits and letters only, wide forms and case folded."""
    return re.sub(r"[^0-9A-Z]", "", unicodedata.normalize("NFKC", number).upper())


@dataclass(frozen=True, slots=True)
class Item:
    """One line as filed. `base` is what was invoiced, `amount` what is claimed of it; `payable` the most it may be."""

    amount: Money
    base: Money
    invoice: str
    day: date | None
    payable: Money | None = None


@dataclass(frozen=True, slots=True)
class Support:
    """What a claim rests on: `share` of each bill, the amount still `available`, and until when it may be claimed."""

    share: Fraction | None = None
    available: Money | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    needs_invoice: bool = False
    is_frozen: bool = False
    """The voucher is looked into, or over: nothing new is claimed of it."""


def filing_reasons(
    *, total: Money, items: Sequence[Item], support: Support, missing: Sequence[str], now: datetime
) -> list[Reason]:
    """Return every ground on which a claim cannot be filed; empty when it can.

    The lines must add up to the claim to the fen (武汉市资金管理办法 2025 §13: claim by statement and usage). `missing` are
    the documents still to be brought.
    """
    reasons = [*_line_reasons(items, support=support, today=now.astimezone(BEIJING).date())]
    found = Money(sum(item.amount.fen for item in items))
    if not items:
        reasons.append(Reason("claim.no_lines", _("请至少填写一行明细。"), field="lines"))
    elif found != total:
        reasons.append(
            Reason(
                "claim.sum",
                _("明细合计 %(found)s 与申领金额 %(total)s 不符，相差 %(gap)s。"),
                _("请核对每行金额，使合计与申领金额相等。"),
                field="amount",
                params={"found": str(found), "total": str(total), "gap": str(Money(abs((total - found).fen)))},
            )
        )
    if support.share is not None:
        most = Money(sum(item.base.fen for item in items)).share(support.share)
        if found > most:
            reasons.append(
                Reason(
                    "claim.share",
                    _("按规定比例，这些费用最多可申领 %(most)s，现申领 %(found)s。"),
                    _("请按比例减少申领金额。"),
                    field="amount",
                    params={"most": str(most), "found": str(found)},
                )
            )
    if support.available is not None and total > support.available:
        reasons.append(
            Reason(
                "claim.available",
                _("可申领余额 %(available)s，现申领 %(total)s。"),
                _("请把申领金额减到余额以内。"),
                field="amount",
                params={"available": str(support.available), "total": str(total)},
            )
        )
    reasons += _voucher_reasons(support, now=now)
    reasons += [
        Reason(
            "claim.document", _("缺少材料：%(document)s。"), _("请上传后再提交。"), "evidence", {"document": document}
        )
        for document in missing
    ]
    return reasons


def _voucher_reasons(support: Support, *, now: datetime) -> list[Reason]:
    reasons: list[Reason] = []
    if (support.ends is not None and now >= support.ends) or (support.starts is not None and now < support.starts):
        reasons.append(
            Reason("claim.expired", _("该券已过申领期限或尚未生效。"), _("请选择有效期内的券。"), field="voucher")
        )
    if support.is_frozen:
        reasons.append(
            Reason(
                "claim.frozen",
                _("该券正在核查、已过期或已追回，不能申领。"),
                _("请选择其他券，或待核查结束后再提交。"),
                field="voucher",
            )
        )
    return reasons


def _line_reasons(items: Sequence[Item], *, support: Support, today: date) -> list[Reason]:
    reasons: list[Reason] = []
    for number, item in enumerate(items, 1):
        at = {"row": number}
        if item.amount.fen <= 0:
            reasons.append(Reason("claim.line_amount", _("第 %(row)s 行：金额须大于零。"), "", "lines", at))
        if item.base < item.amount:
            reasons.append(
                Reason("claim.line_base", _("第 %(row)s 行：申领金额超过发票金额。"), "", "lines", at),
            )
        if item.day is not None and item.day > today:
            reasons.append(Reason("claim.line_day", _("第 %(row)s 行：日期在将来。"), "", "lines", at))
        key = invoice_key(item.invoice)
        if support.needs_invoice and not item.invoice.strip():
            reasons.append(Reason("claim.line_invoice", _("第 %(row)s 行：请填写发票号码。"), "", "lines", at))
        elif item.invoice.strip() and not 0 < len(key) <= MAX_INVOICE:
            reasons.append(
                Reason(
                    "claim.line_invoice_key",
                    _("第 %(row)s 行：发票号码须含数字或字母，至多 40 个。"),
                    _("请照发票上的号码填写。"),
                    "lines",
                    at,
                )
            )
        if item.payable is not None and item.amount != item.payable:
            params = {**at, "payable": str(item.payable)}
            reasons.append(
                Reason("claim.line_payable", _("第 %(row)s 行：该笔费用的券款是 %(payable)s。"), "", "lines", params)
            )
    if len(items) > MAX_LINES:
        reasons.append(Reason("claim.too_many", _("明细不能超过 %(most)s 行。"), "", "lines", {"most": MAX_LINES}))
    return reasons


def window(at: datetime, cadence: str) -> Period | None:
    """Return the month, quarter or year in Beijing time that `at` lies in; None where claims do not wait for one."""
    months = SPAN.get(cadence)
    if months is None:
        return None
    day = at.astimezone(BEIJING).date()
    first = (day.month - 1) // months * months
    year, month = divmod(first + months, 12)
    start = datetime.combine(date(day.year, first + 1, 1), time(), BEIJING)
    return Period(start, datetime.combine(date(day.year + year, month + 1, 1), time(), BEIJING))


def lot(seed: str, number: str) -> str:
    """Return a claim's lot: SHA-256 of the seed followed by the claim's number, in hexadecimal."""
    return hashlib.sha256(f"{seed}{number}".encode()).hexdigest()


def drawn(seed: str, number: str, rate: Fraction) -> bool:
    """Say whether a claim is drawn for audit. Anybody can recompute it from the recorded seed.

    Drawn when the lot, read as a fraction of 2^256, lies below `rate`; 0 draws none, 1 draws all.
    """
    return int(lot(seed, number), 16) * rate.denominator < rate.numerator * 2**256
