"""States and references of bank-transfer payments. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from stdnum import luhn

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.money import Money

__all__ = [
    "TRANSITIONS",
    "BankReferenceMissing",
    "CannotTakeBack",
    "Collect",
    "NothingOwedBack",
    "OwnPayment",
    "PaymentAction",
    "PaymentState",
    "advance_short",
    "bank_reference",
    "reference",
    "reference_is_valid",
]

_ = noop

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRTUWXY"
"""No characters that look alike in a bank's statement."""


class PaymentState(StrEnum):
    DUE = "due"
    DECLARED = "declared"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    """Refunded in full before anything was paid."""
    WRITTEN_OFF = "written_off"
    """It will not come: given up by two persons."""


class Collect(StrEnum):
    """When an own share is asked for: after the service was measured, or before it may begin."""

    AFTER = "after"
    BEFORE = "before"


class PaymentAction(StrEnum):
    DECLARE = "declare"
    CONFIRM = "confirm"
    RETURN = "return"
    CANCEL = "cancel"
    REOPEN = "reopen"
    """It is due again: a gateway has taken back what had arrived (a payer's objection), it was another payment's, or what
    was paid in advance went to a charge that is more than it."""
    WRITE_OFF = "write_off"


S, A = PaymentState, PaymentAction

TRANSITIONS: Final[Mapping[tuple[PaymentState, PaymentAction], PaymentState]] = MappingProxyType(
    {
        (S.DUE, A.DECLARE): S.DECLARED,
        (S.DUE, A.CONFIRM): S.CONFIRMED,
        (S.DUE, A.CANCEL): S.CANCELLED,
        (S.DUE, A.WRITE_OFF): S.WRITTEN_OFF,
        (S.DECLARED, A.CONFIRM): S.CONFIRMED,
        (S.DECLARED, A.RETURN): S.DUE,
        (S.CONFIRMED, A.REOPEN): S.DUE,
    }
)


def advance_short(*, paid: Money, needed: Money) -> Reason:
    """Return the ground against a change that costs more than was paid in advance."""
    return Reason(
        "payment.advance_short",
        _("已预付 %(paid)s，变更后的自付部分为 %(needed)s，预付款不够。"),
        _("请选择费用不更高的时段；或取消后重新预约，预付款按取消规则退还。"),
        field="price",
        params={"paid": str(paid), "needed": str(needed)},
    )


class NothingOwedBack(Conflict):
    code = "payment.nothing_owed_back"
    message = _("这笔付款没有待退还的金额。请刷新页面查看最新状态。")


class BankReferenceMissing(Invalid):
    code = "payment.bank_reference"
    message = _("请填写银行流水号，便于财务核对。")


class CannotTakeBack(Conflict):
    code = "payment.cannot_take_back"
    message = _("这笔来款已被使用或退还，不能冲正。请改为办理退款。")


class OwnPayment(Forbidden):
    code = "payment.own"
    message = _("付款单位自己的人员不能确认到账。请由财务人员办理。")


def bank_reference(text: str) -> str:
    """Return a bank's number in one form, so that a second confirmation by the same statement line is seen as one.

    Full-width letters, lower case and inner spaces are how people copy it, not part of it.
    """
    return "".join(unicodedata.normalize("NFKC", text).upper().split())[:60]


def reference(serial: int) -> str:
    """Return the 10-character payment reference of `serial`: nine characters and a Luhn check character."""
    body = ""
    for _position in range(9):
        serial, digit = divmod(serial, len(ALPHABET))
        body = ALPHABET[digit] + body
    return body + luhn.calc_check_digit(body, alphabet=ALPHABET)


def reference_is_valid(text: str) -> bool:
    """Say whether `text` is a well-formed reference (a typing error is caught before any look-up)."""
    return len(text) == 10 and luhn.is_valid(text, alphabet=ALPHABET)
