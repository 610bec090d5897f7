"""When the own share of a booking is paid, how long a hold waits for the money, and what is refused for want of it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from portal.kernel.errors import Invalid, Reason, noop

__all__ = [
    "HOLD_BOUNDS_S",
    "HOLD_S",
    "NOT_PAID",
    "NO_SERIES",
    "NO_TRANSFER",
    "TRANSFER_BOUNDS_S",
    "UNPAID",
    "BadPayTerms",
    "hold_until",
]

_ = noop


HOLD_S: Final = 600
"""How long a booking waits for money paid online unless its lab says otherwise."""
HOLD_BOUNDS_S: Final = (300, 7200)
TRANSFER_BOUNDS_S: Final = (3600, 10 * 86400)
"""How long it may wait for a bank transfer: an hour to ten days, never beyond its start."""

NOT_PAID: Final = Reason(
    "booking.not_paid",
    _("这次预约须预付自付部分，款项还没有到账，不能提交。"),
    _("请在保留到期前付款；到账后预约自动提交，无须再操作。"),
    field="payment",
)
UNPAID: Final = Reason(
    "booking.unpaid",
    _("这次预约的预付款已被银行或支付机构收回，不能确认。"),
    _("请付款单位在“付款”中重新付款；到账后即可确认。"),
)
NO_SERIES: Final = Reason(
    "booking.prepaid_series",
    _("该仪器须预付，不能成系列预约：每次预约都要单独付款。"),
    _("请逐次预约并付款，或使用足以支付全部费用的券。"),
    field="instrument",
)
NO_TRANSFER: Final = Reason(
    "booking.no_transfer",
    _("该仪器的预付款不接受对公转账。"),
    _("请选择在线支付。"),
    field="by_transfer",
)


class BadPayTerms(Invalid):
    code = "terms.payment"
    message = _(
        "在线付款的保留时间须为 5 分钟到 2 小时；等待对公转账的时间须为 1 小时到 10 天，填 0 为不接受转账预付。"
    )


def hold_until(*, now: datetime, starts_at: datetime, seconds: int) -> datetime:
    """Return until when a booking made at `now` waits for its money, exclusive: never beyond its start."""
    return min(now + timedelta(seconds=seconds), starts_at)
