"""What a bank account must be like, how it is masked, and its states. Pure.

Sources: 人民币银行结算账户管理办法 (中国人民银行令〔2003〕第 5 号), art. 3 and 24 (an account is in the depositor's own name);
支付系统行名行号管理办法 (a clearing number has twelve digits, the last one checks: ISO 7064 Mod 11,10); ISO 13616 (IBAN);
ISO/IEC 7812-1 (the check digit of cards).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from stdnum import luhn
from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_11_10

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, Refused, noop

__all__ = [
    "BANKS",
    "OPEN",
    "RAIL_NUMBER",
    "TRANSITIONS",
    "BadAccount",
    "Details",
    "NoSuchPayoutRail",
    "OwnAccount",
    "PayeeAccountAction",
    "PayeeAccountState",
    "PendingAccount",
    "ProofMissing",
    "ReasonMissing",
    "SameAsNow",
    "SamePerson",
    "checked",
    "masked",
]

_ = noop


class PayeeAccountState(StrEnum):
    PROPOSED = "proposed"
    CHECKED = "checked"
    VERIFIED = "verified"
    """Two more persons have seen it; it comes into force when its cooling-off period is over."""
    IN_FORCE = "in_force"
    REPLACED = "replaced"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class PayeeAccountAction(StrEnum):
    CHECK = "check"
    VERIFY = "verify"
    ENFORCE = "enforce"
    REPLACE = "replace"
    REJECT = "reject"
    WITHDRAW = "withdraw"


S, A = PayeeAccountState, PayeeAccountAction

TRANSITIONS: Final[Mapping[tuple[PayeeAccountState, PayeeAccountAction], PayeeAccountState]] = MappingProxyType(
    {
        (S.PROPOSED, A.CHECK): S.CHECKED,
        (S.PROPOSED, A.REJECT): S.REJECTED,
        (S.PROPOSED, A.WITHDRAW): S.WITHDRAWN,
        (S.CHECKED, A.VERIFY): S.VERIFIED,
        (S.CHECKED, A.REJECT): S.REJECTED,
        (S.CHECKED, A.WITHDRAW): S.WITHDRAWN,
        (S.VERIFIED, A.ENFORCE): S.IN_FORCE,
        (S.VERIFIED, A.REJECT): S.REJECTED,
        (S.VERIFIED, A.WITHDRAW): S.WITHDRAWN,
        (S.IN_FORCE, A.REPLACE): S.REPLACED,
    }
)
OPEN: Final = (S.PROPOSED.value, S.CHECKED.value, S.VERIFIED.value)
"""On the way: a payee has at most one such account."""

BANKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "102": "工商银行",
        "103": "农业银行",
        "104": "中国银行",
        "105": "建设银行",
        "301": "交通银行",
        "302": "中信银行",
        "303": "光大银行",
        "304": "华夏银行",
        "305": "民生银行",
        "306": "广发银行",
        "307": "平安银行",
        "308": "招商银行",
        "309": "兴业银行",
        "310": "浦东发展银行",
        "316": "浙商银行",
        "403": "邮政储蓄银行",
    }
)
"""The first three digits of a clearing number name the bank; these are known here, others are taken as they come."""
OTHER_WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"102": ("工行",), "103": ("农行",), "104": ("中行",), "105": ("建行",), "301": ("交行",), "310": ("浦发银行",)}
    | {"308": ("招行",), "403": ("邮储银行",)}
)
CNAPS: Final = re.compile(r"[0-9]{12}")
NUMBER: Final = re.compile(r"[0-9]{8,32}")
RAIL_NUMBER: Final = re.compile(r"acct_[A-Za-z0-9]{4,27}")
"""An account with a payment gateway; those we speak to name accounts like this."""
IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
CARD: Final = re.compile(r"62[0-9]{14,17}")
"""Cards, those of organisations (单位结算卡) among them, carry a check digit; account books of banks do not."""


class BadAccount(Refused):
    """Every ground at once, each with the field it is about."""

    code = "payee.account"
    message = _("收款账户填写有误，原因如下。")


class PendingAccount(Conflict):
    code = "payee.pending"
    message = _("本单位已有一个收款账户正在核验。请等它生效，或先撤回，再登记新的账户。")


class SameAsNow(Conflict):
    code = "payee.same"
    message = _("这就是现在使用的收款账户，没有变化。")


class ProofMissing(Invalid):
    code = "payee.proof"
    message = _("请上传开户许可证、基本存款账户信息或银行回执，作为账户证明。")


class ReasonMissing(Invalid):
    code = "payee.reason"
    message = _("请写明退回原因，收款单位会看到。")


class SamePerson(Forbidden):
    code = "payee.same_person"
    message = _("登记、核对、核验收款账户须由三位不同的人办理。您已办理过其中一步，请由另一位同事办理。")


class OwnAccount(Forbidden):
    code = "payee.own_account"
    message = _("您是收款单位的成员，不能替财务核验本单位的账户。请由其他同事办理。")


@dataclass(frozen=True, slots=True)
class Details:
    """A bank account as it is entered: whose, where, which. `note` says why the holder is not the payee itself.

    With `rail` it is an account with that payment gateway: `number` is its id there, and there is no clearing number.
    """

    holder: str
    bank: str
    cnaps: str
    number: str
    note: str = ""
    rail: str = ""


def _folded(text: str) -> str:
    """Return a name as names are compared: width folded, without spaces."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).casefold()


def _digits(text: str) -> str:
    """Return a number without the spaces and hyphens people group it by, full-width digits made plain."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text)).upper()


def checked(details: Details, *, payee: str) -> Details:
    """Return the account in its canonical form. Raises BadAccount with every ground. `payee` is the registered name."""
    plain = Details(
        holder=" ".join(unicodedata.normalize("NFC", details.holder).split()),
        bank=" ".join(unicodedata.normalize("NFC", details.bank).split()),
        cnaps="" if details.rail else _digits(details.cnaps),
        number=details.number.strip() if details.rail else _digits(details.number),
        note=details.note.strip()[:300],
        rail=details.rail,
    )
    numbers = _rail_number(plain.number) if details.rail else [*_clearing(plain), *_number(plain.number)]
    reasons = [*_names(plain, payee), *numbers]
    if reasons:
        raise BadAccount(reasons)
    return plain


def _names(given: Details, payee: str) -> list[Reason]:
    found = []
    if not given.holder or len(given.holder) > 120:
        found.append(
            Reason("payee.holder", _("户名为空或超过 120 个字。"), _("请按开户证明填写账户户名。"), field="holder")
        )
    elif _folded(given.holder) != _folded(payee) and not given.note:
        found.append(
            Reason(
                "payee.other_holder",
                _("户名“%(holder)s”与单位登记名称“%(payee)s”不同。"),
                _("请改为本单位的账户；确属上级单位统一收款的，请在“说明”中写明原因，并在证明中附上依据。"),
                field="holder",
                params={"holder": given.holder, "payee": payee},
            )
        )
    if not given.bank or len(given.bank) > 120:
        found.append(
            Reason("payee.bank", _("开户行为空或超过 120 个字。"), _("请填写到支行，与开户证明一致。"), field="bank")
        )
    return found


def _clearing(given: Details) -> list[Reason]:
    if not CNAPS.fullmatch(given.cnaps):
        return [
            Reason(
                "payee.cnaps_length",
                _("联行号应为 12 位数字。"),
                _("请向开户行查询支付系统行号（CNAPS）；SWIFT 代码不能代替。"),
                field="cnaps",
            )
        ]
    try:
        mod_11_10.validate(given.cnaps)
    except ValidationError:
        return [
            Reason(
                "payee.cnaps_check",
                _("联行号 %(cnaps)s 的校验位不符，至少有一位填错。"),
                _("请对照开户证明或向开户行核对。"),
                field="cnaps",
                params={"cnaps": given.cnaps},
            )
        ]
    named = BANKS.get(given.cnaps[:3], "")
    others = [
        code for code, name in BANKS.items() if any(word in given.bank for word in (name, *OTHER_WORDS.get(code, ())))
    ]
    if named and others and given.cnaps[:3] not in others:
        return [
            Reason(
                "payee.cnaps_bank",
                _("联行号 %(cnaps)s 属于%(named)s，与开户行“%(bank)s”不一致。"),
                _("请核对开户行和联行号。"),
                field="cnaps",
                params={"cnaps": given.cnaps, "named": named, "bank": given.bank},
            )
        ]
    return []


def _number(number: str) -> list[Reason]:
    if IBAN.fullmatch(number):
        return [
            Reason(
                "payee.iban",
                _("这是国际银行账号（IBAN），不是境内银行账号。"),
                _("本平台只向境内人民币账户付款。请填写境内银行的对公账号，只含数字。"),
                field="number",
            )
        ]
    if not NUMBER.fullmatch(number):
        return [
            Reason(
                "payee.number",
                _("账号应为 8 至 32 位数字。"),
                _("请对照开户证明填写；空格和短横线会自动去掉，字母和其他符号不能有。"),
                field="number",
            )
        ]
    if CARD.fullmatch(number) and not luhn.is_valid(number):
        return [
            Reason(
                "payee.card",
                _("这是以 62 开头的银行卡号，校验位不符，至少有一位填错。"),
                _("请对照卡面或开户证明核对。"),
                field="number",
            )
        ]
    return []


def _rail_number(number: str) -> list[Reason]:
    if RAIL_NUMBER.fullmatch(number):
        return []
    return [
        Reason(
            "payee.rail_number",
            _("支付机构的账户编号应以 acct_ 开头，后面是字母和数字。"),
            _("请从支付机构的后台复制账户编号，不要填写邮箱或银行账号。"),
            field="number",
        )
    ]


class NoSuchPayoutRail(Invalid):
    code = "payee.rail"
    message = _("本平台没有开通向这家支付机构的账户付款。请登记银行账户。")


def masked(number: str) -> str:
    """Return an account number as it is shown to who need not know it: the last four digits."""
    return f"{'*' * 4} {number[-4:]}"
