"""Requests for tax invoices: who the buyer is, which numbers there are, states, and what may be asked for. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.organisations.rules import BadCreditCode, check_credit_code

__all__ = [
    "ISSUABLE",
    "LIVE",
    "TRANSITIONS",
    "BadBuyer",
    "BadFapiao",
    "Buyer",
    "Colour",
    "Covers",
    "DocumentKind",
    "FapiaoAction",
    "FapiaoAmount",
    "FapiaoKind",
    "FapiaoNumberTaken",
    "FapiaoState",
    "NothingToInvoice",
    "Printed",
    "RedStays",
    "WhyCancelled",
    "buyer_faults",
    "check_buyer",
    "number_faults",
    "number_key",
    "red_due",
]

_ = noop


class DocumentKind(StrEnum):
    """An `invoice` says what was delivered and who pays what; a `receipt` that the own share has arrived; a
    `credit_note` what was given back, referring to the invoice it corrects; a `write_off` what of the own share is not
    asked for any more. A `cancellation` takes back a receipt whose money did not stay, and says why.
    """

    INVOICE = "invoice"
    RECEIPT = "receipt"
    CREDIT_NOTE = "credit_note"
    CANCELLATION = "cancellation"
    WRITE_OFF = "write_off"


class WhyCancelled(StrEnum):
    """Why a receipt no longer says what has arrived."""

    CHARGEBACK = "chargeback"
    """The payer objected with the gateway, which took the money back."""
    TAKEN_BACK = "taken_back"
    """The money was booked for the wrong payment."""
    CHANGED = "changed"
    """What arrived, or what pays it, is another sum by now."""


class Covers(StrEnum):
    """What a tax invoice bills: the `own` share, or also what vouchers pay whose programmes say so (`whole`)."""

    OWN = "own"
    WHOLE = "whole"


class Colour(StrEnum):
    """`blue` bills, `red` (红字) takes back what a blue one billed."""

    BLUE = "blue"
    RED = "red"


class FapiaoKind(StrEnum):
    """`normal` 数电普票, `special` 数电专票 (its tax can be deducted by the buyer)."""

    NORMAL = "normal"
    SPECIAL = "special"


class FapiaoState(StrEnum):
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    ISSUED = "issued"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    """Not to be issued any more; one that was printed by then is registered all the same."""


class FapiaoAction(StrEnum):
    ACCEPT = "accept"
    ISSUE = "issue"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


S, A = FapiaoState, FapiaoAction

TRANSITIONS: Final[Mapping[tuple[FapiaoState, FapiaoAction], FapiaoState]] = MappingProxyType(
    {
        (S.REQUESTED, A.ACCEPT): S.ACCEPTED,
        (S.REQUESTED, A.ISSUE): S.ISSUED,
        (S.REQUESTED, A.DECLINE): S.DECLINED,
        (S.REQUESTED, A.WITHDRAW): S.WITHDRAWN,
        (S.ACCEPTED, A.ISSUE): S.ISSUED,
        (S.ACCEPTED, A.DECLINE): S.DECLINED,
        (S.WITHDRAWN, A.ISSUE): S.ISSUED,
    }
)
LIVE: Final = frozenset({S.REQUESTED, S.ACCEPTED, S.ISSUED})
"""A blue one in one of these stands for its part of the charge: no second is asked for."""
ISSUABLE: Final = frozenset(state for state, action in TRANSITIONS if action is A.ISSUE)
"""One in one of these can be registered as issued."""


class BadBuyer(Refused):
    code = "fapiao.bad_buyer"
    message = _("开票信息有误，没有提交。")


class BadFapiao(Refused):
    code = "fapiao.bad_number"
    message = _("发票信息有误，没有登记。")


class NothingToInvoice(Conflict):
    code = "fapiao.nothing"
    message = _("这笔费用没有可以开票的自付金额，或已经申请过发票。券抵扣的部分不向企业开票，除非政策另有规定。")


class FapiaoNumberTaken(Conflict):
    """The same number stands for another request: it is never used twice."""

    code = "fapiao.number_taken"
    message = _("发票号码 %(value)s 已登记在另一份开票申请上。请核对号码。")


class FapiaoAmount(Invalid):
    code = "fapiao.amount"
    message = _("价税合计应为 %(expected)s，填写的是 %(given)s。请核对所开发票。")


class RedStays(Conflict):
    code = "fapiao.red_stays"
    message = _("红字发票随退款、核销或重开产生，不能不予开具或撤回。请在开票系统开具后登记。")


@dataclass(frozen=True, slots=True)
class Buyer:
    """Whom a tax invoice names: 抬头, 统一社会信用代码; for a special one also address, phone, bank and account."""

    title: str
    credit_code: str
    kind: FapiaoKind = FapiaoKind.NORMAL
    address: str = ""
    phone: str = ""
    bank: str = ""
    account: str = ""
    email: str = ""


PHONE: Final = re.compile(r"[0-9+()\- ]{7,30}")
ACCOUNT: Final = re.compile(r"[0-9]{8,30}")
EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]{2,}")
MOST: Final = MappingProxyType(
    {"title": 100, "credit_code": 18, "address": 200, "phone": 30, "bank": 100, "account": 30, "email": 120}
)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def check_buyer(buyer: Buyer, *, payer_code: str) -> Buyer:
    """Return the buyer's facts in one form. Raises BadBuyer with everything that is wrong.

    `payer_code` is the paying organisation's: a tax invoice names who bought and paid (发票管理办法 §§18, 21), so no other
    may be asked for.
    """
    clean = Buyer(
        title=_folded(buyer.title),
        credit_code=_folded(buyer.credit_code).upper().replace(" ", ""),
        kind=buyer.kind,
        address=_folded(buyer.address),
        phone=_folded(buyer.phone),
        bank=_folded(buyer.bank),
        account=_folded(buyer.account).replace(" ", "").replace("-", ""),
        email=_folded(buyer.email),
    )
    if reasons := buyer_faults(clean, payer_code=payer_code):
        raise BadBuyer(reasons)
    return clean


def buyer_faults(buyer: Buyer, *, payer_code: str) -> list[Reason]:
    """Return everything wrong with a buyer's facts, each with its field."""
    faults = [
        Reason("fapiao.too_long", _("内容过长，最多 %(most)s 个字。"), _("请缩短后再提交。"), name, {"most": most})
        for name, most in MOST.items()
        if len(getattr(buyer, name)) > most
    ]
    if not buyer.title:
        faults.append(Reason("fapiao.title", _("请填写发票抬头。"), _("与营业执照上的单位名称一致。"), "title"))
    faults += _code_faults(buyer.credit_code, payer_code)
    if buyer.kind is FapiaoKind.SPECIAL:
        names = {
            "address": _("专票须填写单位地址。"),
            "phone": _("专票须填写单位电话。"),
            "bank": _("专票须填写开户银行。"),
            "account": _("专票须填写银行账号。"),
        }
        faults += [
            Reason(f"fapiao.{name}_missing", text, _("请补充，或改开普票。"), name)
            for name, text in names.items()
            if not getattr(buyer, name)
        ]
    shapes = (("phone", PHONE), ("account", ACCOUNT), ("email", EMAIL))
    wrong = {
        "phone": (_("电话只能含数字、空格、+、- 和括号。"), _("例如 0571-88880000。")),
        "account": (_("银行账号须为 8 到 30 位数字。"), _("请对照开户许可证核对。")),
        "email": (_("电子邮箱的格式不对。"), _("例如 caiwu@example.com。")),
    }
    faults += [
        Reason(f"fapiao.{name}", *wrong[name], name)
        for name, shape in shapes
        if getattr(buyer, name) and not shape.fullmatch(getattr(buyer, name))
    ]
    return faults


def _code_faults(code: str, payer_code: str) -> list[Reason]:
    try:
        known = check_credit_code(code)
    except BadCreditCode as error:
        return [Reason("fapiao.credit_code", error.message, "", "credit_code", dict(error.params))]
    if known != payer_code:
        return [
            Reason(
                "fapiao.not_payer",
                _("发票只能开给付款单位，其统一社会信用代码是 %(code)s。"),
                _("请填写付款单位自己的代码。"),
                "credit_code",
                {"code": payer_code},
            )
        ]
    return []


@dataclass(frozen=True, slots=True)
class Printed:
    """What is printed on an issued tax invoice: 20 digits (数电发票), or a code of 10 or 12 digits and a number of 8.

    `amount` is 价税合计 in fen, of a red one without its sign. `issued_on` is a date in Beijing.
    """

    number: str
    issued_on: date
    amount: int
    code: str = ""


def digits(text: str) -> str:
    """Return a number as typed without spaces and in narrow forms."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def number_key(printed: Printed) -> str:
    """Return the one form under which a tax invoice is known."""
    return digits(printed.code) + digits(printed.number)


def number_faults(printed: Printed, *, today: date) -> list[Reason]:
    """Return everything wrong with an issued invoice's number and date. `today` is Beijing's.

    Source of the structure of the 20 digits: 国家税务总局公告2024年第11号 (1–2 year, 3–4 region, 5 channel, 6–20 serial).
    """
    number, code = digits(printed.number), digits(printed.code)
    faults = []
    if code:
        if not re.fullmatch(r"[0-9]{10}|[0-9]{12}", code, re.ASCII):
            text = _("发票代码须为 10 或 12 位数字。")
            faults.append(Reason("fapiao.code", text, _("数电发票没有发票代码，请留空。"), "code"))
        if not re.fullmatch(r"[0-9]{8}", number, re.ASCII):
            text = _("有发票代码的发票，号码须为 8 位数字。")
            faults.append(Reason("fapiao.number", text, _("请对照票面核对。"), "number"))
    elif not re.fullmatch(r"[0-9]{20}", number, re.ASCII):
        text = _("数电发票号码须为 20 位数字，填写的是 %(length)s 位。")
        remedy = _("请对照票面核对；旧版发票请同时填写发票代码。")
        faults.append(Reason("fapiao.number", text, remedy, "number", {"length": len(number)}))
    elif int(number[:2]) != printed.issued_on.year % 100:
        text = _("号码前两位是开票年份，与开票日期的年份不符。")
        faults.append(Reason("fapiao.number_year", text, _("请核对号码和开票日期。"), "number"))
    if printed.issued_on > today:
        text = _("开票日期不能晚于今天。")
        faults.append(Reason("fapiao.future", text, _("请核对开票日期。"), "issued_on"))
    return faults


def red_due(*, blue: int, owed: int, red: int) -> int:
    """Return what must still be taken back in red: a blue invoice of `blue` fen stands for `owed` that stays paid.

    `red` is what red ones take back already. Never negative; the reds together never exceed the blue.
    """
    return max(0, min(blue, blue - owed) - red)
