"""States of a recovery, what may be recovered, and for how long a party is barred. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.money import Money
from vouchers.wallets.rules import months_after

__all__ = [
    "TRANSITIONS",
    "BankReferenceTaken",
    "Involved",
    "NothingToRecover",
    "Party",
    "RecoveryAction",
    "RecoveryState",
    "SamePerson",
    "SetOffPending",
    "TextMissing",
    "TooMuch",
    "barred_until",
    "follows",
]

_ = noop


class Party(StrEnum):
    """Who committed the breach and pays back."""

    APPLICANT = "applicant"
    PROVIDER = "provider"
    AGENCY = "agency"


class RecoveryState(StrEnum):
    PROPOSED = "proposed"
    """The rules say that money is owed back: a person opens or drops it."""
    OPEN = "open"
    HEARD = "heard"
    DECIDED = "decided"
    RECOVERING = "recovering"
    RECOVERED = "recovered"
    WRITTEN_OFF = "written_off"
    DROPPED = "dropped"


class RecoveryAction(StrEnum):
    OPEN = "open"
    HEAR = "hear"
    DECIDE = "decide"
    RETURN = "return"
    CONFIRM = "confirm"
    COMPLETE = "complete"
    WRITE_OFF = "write_off"
    DROP = "drop"


S, A = RecoveryState, RecoveryAction

TRANSITIONS: Final[Mapping[tuple[RecoveryState, RecoveryAction], RecoveryState]] = MappingProxyType(
    {
        (S.PROPOSED, A.OPEN): S.OPEN,
        (S.PROPOSED, A.DROP): S.DROPPED,
        (S.OPEN, A.HEAR): S.HEARD,
        (S.OPEN, A.DROP): S.DROPPED,
        (S.HEARD, A.HEAR): S.HEARD,
        (S.HEARD, A.DECIDE): S.DECIDED,
        (S.HEARD, A.DROP): S.DROPPED,
        (S.DECIDED, A.RETURN): S.HEARD,
        (S.DECIDED, A.CONFIRM): S.RECOVERING,
        (S.RECOVERING, A.COMPLETE): S.RECOVERED,
        (S.RECOVERING, A.WRITE_OFF): S.WRITTEN_OFF,
    }
)
"""Source: 武汉市资金管理办法 2025 (recover, bar, liability); a party is heard before it is decided against
(Administrative Penalty Law 2021, Articles 44 and 45)."""


class TextMissing(Invalid):
    code = "recovery.text"
    message = _("请填写这一项，会进入案卷。")


class TooMuch(Invalid):
    code = "recovery.too_much"
    message = _("追缴金额须不小于零，且不超过 %(limit)s。")


class NothingToRecover(Conflict):
    code = "recovery.nothing"
    message = _("没有可追回的金额：券未使用或没有付款，按决定也不收回余额。")


class SamePerson(Forbidden):
    code = "recovery.same_person"
    message = _("追回决定须由两位不同的人作出和确认。请由其他同事办理。")


class Involved(Forbidden):
    code = "recovery.involved"
    message = _("您是被追回单位的成员，不能办理这个案件。请由其他同事办理。")


class SetOffPending(Conflict):
    code = "recovery.set_off_pending"
    message = _("结算批次正在抵扣这笔欠款。请等该批次付款，或先作废该批次。")


class BankReferenceTaken(Conflict):
    code = "recovery.bank_reference_taken"
    message = _("该银行流水号已登记过。请核对，同一笔来款只登记一次。")


def barred_until(decided: date, *, years: int) -> date | None:
    """Return the last day on which a party barred at `decided` may not apply; None = not barred.

    The day of decision is not counted; a period in years ends on the corresponding day (Civil Code, Articles 201-202).
    """
    return months_after(decided, 12 * years) if years else None


def follows(receivable: Money, *, rate: Fraction, paid: Money) -> Money:
    """Return what a derived award owes back when its base pays back `receivable`: the same rate, at most what was paid.

    Source: 汉阳区 2026, a top-up of 20 % of the city's actual payment: what the city takes back was not paid.
    """
    return min(receivable.share(rate), paid)
