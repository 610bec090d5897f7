"""States of statement lines and of matches, and why a match is refused. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, Refused, noop

__all__ = [
    "ACTIVE",
    "INCOMING",
    "LINE_TRANSITIONS",
    "MATCH_TRANSITIONS",
    "OUTGOING",
    "LineAction",
    "LineState",
    "MatchAction",
    "MatchState",
    "PartKind",
    "is_fresh",
    "is_near",
    "name_key",
    "spellings",
]

_ = noop


class LineState(StrEnum):
    OPEN = "open"
    """Nobody knows yet what it is; the ledger does not hold it."""
    PROPOSED = "proposed"
    """A match waits for a second person."""
    MATCHED = "matched"
    PARKED = "parked"
    """Booked as unapplied cash of the line itself: its payer is not known."""
    RETURNED = "returned"
    """Was parked, and went back to its sender."""


class LineAction(StrEnum):
    PROPOSE = "propose"
    DROP = "drop"
    KEEP = "keep"
    MATCH = "match"
    PARK = "park"
    UNDO = "undo"
    UNDO_PARKED = "undo_parked"
    RETURN = "return"


_L, _A = LineState, LineAction
LINE_TRANSITIONS: Final[Mapping[tuple[LineState, LineAction], LineState]] = MappingProxyType(
    {
        (_L.OPEN, _A.PROPOSE): _L.PROPOSED,
        (_L.PARKED, _A.PROPOSE): _L.PROPOSED,
        (_L.PROPOSED, _A.DROP): _L.OPEN,
        (_L.PROPOSED, _A.KEEP): _L.PARKED,
        (_L.OPEN, _A.MATCH): _L.MATCHED,
        (_L.PARKED, _A.MATCH): _L.MATCHED,
        (_L.PROPOSED, _A.MATCH): _L.MATCHED,
        (_L.OPEN, _A.PARK): _L.PARKED,
        (_L.MATCHED, _A.UNDO): _L.OPEN,
        (_L.MATCHED, _A.UNDO_PARKED): _L.PARKED,
        (_L.PARKED, _A.RETURN): _L.RETURNED,
        (_L.RETURNED, _A.UNDO_PARKED): _L.PARKED,
    }
)


class MatchState(StrEnum):
    PROPOSED = "proposed"
    BOOKED = "booked"
    REFUSED = "refused"
    REVERSING = "reversing"
    """Somebody says that it is wrong; a second person decides."""
    REVERSED = "reversed"


class MatchAction(StrEnum):
    BOOK = "book"
    REFUSE = "refuse"
    DOUBT = "doubt"
    STAND = "stand"
    REVERSE = "reverse"


_M, _B = MatchState, MatchAction
MATCH_TRANSITIONS: Final[Mapping[tuple[MatchState, MatchAction], MatchState]] = MappingProxyType(
    {
        (_M.PROPOSED, _B.BOOK): _M.BOOKED,
        (_M.PROPOSED, _B.REFUSE): _M.REFUSED,
        (_M.BOOKED, _B.DOUBT): _M.REVERSING,
        (_M.REVERSING, _B.STAND): _M.BOOKED,
        (_M.REVERSING, _B.REVERSE): _M.REVERSED,
    }
)
ACTIVE: Final = (MatchState.PROPOSED, MatchState.BOOKED, MatchState.REVERSING)
"""At most one such match a line."""


class PartKind(StrEnum):
    """What a part of a line is."""

    PAYMENT = "payment"
    """Money for a payment; what is above it becomes unapplied cash of its payer."""
    MANUAL = "manual"
    """Money finance had confirmed by hand under the same bank reference: nothing is booked again."""
    PAYOUT = "payout"
    """A gateway paid out what it held for us."""
    REFUND = "refund"
    """A refund that was owed back to a payer."""
    PAID_BACK = "paid_back"
    """A refund finance had recorded by hand under the same bank reference: nothing is booked again."""
    SETTLEMENT = "settlement"
    """A settlement batch."""
    FEE = "fee"
    """What the bank takes for itself."""
    RETURN = "return"
    """Money of an unknown payer, back to its sender."""
    EXCESS = "excess"
    """Unapplied money of a known payer, back to it: what it paid too much, twice or too late."""

    BOUNCE = "bounce"
    """A payment to a payee that its bank sent back after it was paid (退票)."""
    REPAYMENT = "repayment"
    """A payee pays back what it owes of settlements: paid late beside a batch, or refunded after it."""
    RECOVERED = "recovered"
    """Money of a recovery that finance had recorded by hand under the same bank reference: nothing is booked again."""


INCOMING: Final = frozenset(
    {
        PartKind.PAYMENT,
        PartKind.MANUAL,
        PartKind.PAYOUT,
        PartKind.BOUNCE,
        PartKind.REPAYMENT,
        PartKind.RECOVERED,
    }
)
OUTGOING: Final = frozenset(set(PartKind) - INCOMING)


class SumDiffers(Invalid):
    code = "banking.sum_differs"
    message = _(
        "各部分之和 %(sum)s 与流水金额 %(amount)s 相差 %(difference)s。请改到一分不差；多收的部分也要写明归入哪一笔。"
    )


class WrongSide(Invalid):
    code = "banking.wrong_side"
    message = _(
        "收入的流水只能核销付款、支付机构划款、退票、还款或追缴款，支出的流水只能核销退款、结算、手续费或退回。"
    )


class NothingChosen(Invalid):
    code = "banking.nothing_chosen"
    message = _("请选择这笔流水对应的款项。")


class NoSuchTarget(Invalid):
    code = "banking.no_such_target"
    message = _("没有找到“%(value)s”。请填写完整的付款号、附言码、批次号、追缴号、流水编号或单位名称。")


class TargetDiffers(Conflict):
    code = "banking.target_differs"
    message = _("该款项是 %(target)s，这部分写的是 %(amount)s，二者须一致。请核对后再提交。")


class NoSuchPayout(Conflict):
    """A bank line never books a payout itself: the gateway's report does, and the line shows that it arrived."""

    code = "banking.no_such_payout"
    message = _("支付机构的账单里没有尚未核对的 %(amount)s 划款。请先在“对账”中取账单，再匹配这条流水。")


class Claimed(Conflict):
    """Somebody has said by hand what the bank reference is for."""

    code = "banking.reference_claimed"
    message = _("银行流水号 %(value)s 已人工登记为 %(target)s，一条流水不能再说明另一笔款项。请核对银行回单。")


class NotClaimed(Conflict):
    code = "banking.not_claimed"
    message = _("这条登记已经撤销。请刷新页面查看最新状态。")


class ClaimNotDoubted(Conflict):
    code = "banking.claim_not_doubted"
    message = _("还没有人提出撤销这条登记。请先由一位同事写明原因提出，再由另一位同事复核。")


class SameReference(Invalid):
    code = "banking.same_reference"
    message = _("正确的流水号与登记的相同。不知道正确的流水号时请留空。")


class ClaimShown(Conflict):
    """The line of the reference is matched with what was claimed: that match is undone first."""

    code = "banking.claim_shown"
    message = _("银行流水 %(value)s 已按这条登记核销。请先在流水页面提出冲正，再撤销登记。")


class Shown(Conflict):
    """A case is to be closed as not paid, and the statement shows the money going out."""

    code = "banking.line_shown"
    message = _("对账单上有流水 %(value)s（%(amount)s），钱已付出，不能按未付结案。请退回后改为更正。")


class LineTooSmall(Conflict):
    """A person says that a line shows a batch, and the line is known to show less."""

    code = "banking.line_too_small"
    message = _("银行流水 %(value)s 尚未说明的金额是 %(left)s，不够批次 %(number)s 的 %(amount)s。请核对流水号。")


class Twice(Invalid):
    code = "banking.part_twice"
    message = _("同一款项列了两次。请合并或删去一条。")


class AlreadyProposed(Conflict):
    code = "banking.already_proposed"
    message = _("这条流水已有一份核销方案在等待复核，请先通过或退回它。")


class SamePerson(Forbidden):
    code = "banking.same_person"
    message = _("这一步须由另一位同事办理，不能与提出的人相同。")


class ReasonMissing(Invalid):
    code = "banking.reason_missing"
    message = _("请写明原因。")


class Booked(Conflict):
    """The bank reference belongs to a statement line that is booked already."""

    code = "banking.reference_booked"
    message = _("银行流水号 %(value)s 已随对账单入账（核销）。如核销有误，请在流水页面提出冲正。")


class CannotUndo(Refused):
    code = "banking.cannot_undo"
    message = _("这次核销不能冲正，原因如下。")


class BadStatement(Refused):
    code = "banking.bad_statement"
    message = _("对账单没有导入，原因如下。")


class NoSuchAccount(Invalid):
    code = "banking.no_such_account"
    message = _("没有这个银行账户。")


class NoSuchLayout(Invalid):
    code = "banking.no_such_layout"
    message = _("没有这种对账单格式。请选择列出的格式，或留空自动识别。")


NEAR: Final = timedelta(days=60)
"""How far what was recorded and its line of the statement may lie apart, and still be taken for one without a person."""
FRESH: Final = timedelta(days=366)
"""How long after a payment was asked for a transfer with its reference is taken for it without a person."""


def is_near(day: date, other: date) -> bool:
    """Say whether two days are near enough for one and the same movement of money."""
    return abs(day - other) <= NEAR


def is_fresh(day: date, asked_on: date) -> bool:
    """Say whether money of a day may be for what was asked for on another: not before it, nor a year after."""
    return -timedelta(days=1) <= day - asked_on <= FRESH


def name_key(name: str) -> str:
    """Return an organisation's name as it is compared: width and case folded, without spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum())[:120]


def spellings(name: str) -> set[str]:
    """Return how a bank or we may write the same name: brackets and letters of either width."""
    plain = unicodedata.normalize("NFKC", name)
    return {name, plain, plain.replace("(", "（").replace(")", "）"), plain.replace(" ", "")} - {""}
