"""States of payment orders, their lines and discrepancies, and how often payees are settled. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused, noop
from portal.kernel.period import Period

__all__ = [
    "CASE_TRANSITIONS",
    "LINE_TRANSITIONS",
    "NOT_PAID",
    "ORDER_TRANSITIONS",
    "AnswerOutcome",
    "CaseOfAnother",
    "DiscrepancyAction",
    "DiscrepancyKind",
    "DiscrepancyState",
    "HeldElsewhere",
    "NotToBePaid",
    "NothingToOrder",
    "OrderAnswered",
    "OrderLineAction",
    "OrderLineState",
    "OrderOfAnother",
    "OrderRefused",
    "OwnFormat",
    "PaidPerhaps",
    "PaymentOrderAction",
    "PaymentOrderState",
    "PresetFormat",
    "SettlementCadence",
    "TextMissing",
    "UnknownFormat",
    "last_period",
]

_ = noop

BEIJING: Final = ZoneInfo("Asia/Shanghai")


class PaymentOrderState(StrEnum):
    EXPORTED = "exported"
    ANSWERED = "answered"
    CANCELLED = "cancelled"


class PaymentOrderAction(StrEnum):
    ANSWER = "answer"
    CANCEL = "cancel"


class OrderLineState(StrEnum):
    OPEN = "open"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    """It was paid, and came back."""
    CANCELLED = "cancelled"
    PAID_LATE = "paid_late"
    """Failed or taken back by what was known first; the bank had paid it all the same."""


class OrderLineAction(StrEnum):
    PAY = "pay"
    BOUNCE = "bounce"
    FAIL = "fail"
    CANCEL = "cancel"
    PAY_LATE = "pay_late"


class DiscrepancyState(StrEnum):
    OPEN = "open"
    EXPLAINED = "explained"
    CORRECTED = "corrected"
    """A correction is proposed; closing it, by a second person, carries it out."""
    CLOSED = "closed"


class DiscrepancyAction(StrEnum):
    EXPLAIN = "explain"
    CORRECT = "correct"
    RETURN = "return"
    CLOSE = "close"


class DiscrepancyKind(StrEnum):
    WRONG_AMOUNT = "wrong_amount"
    UNKNOWN_LINE = "unknown_line"
    CONTRADICTS = "contradicts"
    """The bank says of a line that has ended the opposite of what it said before."""
    BOUNCED = "bounced"
    """The statement shows that a line that was paid came back."""


class AnswerOutcome(StrEnum):
    """What the bank says of a line."""

    PAID = "paid"
    FAILED = "failed"


class SettlementCadence(StrEnum):
    ON_DEMAND = "on_demand"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


PO, PA = PaymentOrderState, PaymentOrderAction

ORDER_TRANSITIONS: Final[Mapping[tuple[PaymentOrderState, PaymentOrderAction], PaymentOrderState]] = MappingProxyType(
    {(PO.EXPORTED, PA.ANSWER): PO.ANSWERED, (PO.EXPORTED, PA.CANCEL): PO.CANCELLED}
)

L, M = OrderLineState, OrderLineAction

LINE_TRANSITIONS: Final[Mapping[tuple[OrderLineState, OrderLineAction], OrderLineState]] = MappingProxyType(
    {
        (L.OPEN, M.PAY): L.PAID,
        (L.OPEN, M.FAIL): L.FAILED,
        (L.OPEN, M.CANCEL): L.CANCELLED,
        (L.FAILED, M.PAY_LATE): L.PAID_LATE,
        (L.CANCELLED, M.PAY_LATE): L.PAID_LATE,
        (L.PAID, M.BOUNCE): L.RETURNED,
    }
)
NOT_PAID: Final = (L.FAILED.value, L.CANCELLED.value)
"""Ended without money, as far as is known."""

D, C = DiscrepancyState, DiscrepancyAction

CASE_TRANSITIONS: Final[Mapping[tuple[DiscrepancyState, DiscrepancyAction], DiscrepancyState]] = MappingProxyType(
    {
        (D.OPEN, C.EXPLAIN): D.EXPLAINED,
        (D.OPEN, C.CORRECT): D.CORRECTED,
        (D.EXPLAINED, C.RETURN): D.OPEN,
        (D.CORRECTED, C.RETURN): D.OPEN,
        (D.EXPLAINED, C.CLOSE): D.CLOSED,
        (D.CORRECTED, C.CLOSE): D.CLOSED,
    }
)


def last_period(cadence: SettlementCadence, now: datetime) -> Period | None:
    """Return the week, month or quarter in Beijing time that ended last before `now`; None on demand. Half-open, UTC."""
    if cadence is SettlementCadence.ON_DEMAND:
        return None
    day = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    if cadence is SettlementCadence.WEEKLY:
        end = day - timedelta(days=day.weekday())
        return Period(end - timedelta(days=7), end)
    months = 1 if cadence is SettlementCadence.MONTHLY else 3
    end = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    start_month = (end.month - 1 - months) % 12 + 1
    start = end.replace(month=start_month, year=end.year - (1 if start_month > end.month else 0))
    return Period(start, end)


class NothingToOrder(Invalid):
    code = "payment_order.nothing"
    message = _("请选择至少一个待付款的批次。")


class OrderRefused(Refused):
    code = "payment_order.refused"
    message = _("付款指令没有生成，原因如下。批次没有变化。")


class OrderAnswered(Conflict):
    code = "payment_order.answered"
    message = _("银行已对这份付款指令的部分明细作出答复，不能再撤销。")


class OrderOfAnother(Forbidden):
    code = "payment_order.same_person"
    message = _("导出付款指令的人不能撤销它。请由另一位同事确认文件没有送交银行后撤销。")


class PresetFormat(Conflict):
    code = "settlement.preset_format"
    message = _("这是随系统提供的格式，不能改写。请另取编码。")


class OwnFormat(Forbidden):
    code = "settlement.own_format"
    message = _("这个文件格式由您定义，须由另一位同事用它导出。")


class UnknownFormat(NotFound):
    code = "payment_order.format"
    message = _("没有这种文件格式。请从列表中选择，或先登记该格式。")


class TextMissing(Invalid):
    code = "settlement.text"
    message = _("请填写这一项，会进入记录。")


class CaseOfAnother(Forbidden):
    code = "discrepancy.same_person"
    message = _("说明或更正差异的人不能自己结案。请由另一位同事核对后结案。")


class PaidPerhaps(Conflict):
    """Nothing of it may be paid before two persons have found out whether it is paid already."""

    code = "settlement.paid_perhaps"
    message = _("银行另有答复说这些明细已经付过款（差异 %(numbers)s）。请先查明并结案，再办理，以免重复付款。")


class HeldElsewhere(Conflict):
    code = "discrepancy.held_elsewhere"
    message = _(
        "这些明细又列入了批次 %(numbers)s，结案前须先让它们停下：未送出的请作废批次，已送出的请撤销付款指令后作废，或等银行答复。"
    )


class NotToBePaid(Conflict):
    code = "discrepancy.not_open"
    message = _("对应的付款明细已有结果，不能再更正为其他结果。请改用“说明”，写明银行实际的处理。")
