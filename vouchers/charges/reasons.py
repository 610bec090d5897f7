"""Why money goes back or is given up, as data: code, words, what it is for. Pure; statistics count the codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Invalid, noop

__all__ = ["OTHER", "REFUND_REASONS", "WRITE_OFF_REASONS", "NoSuchReason", "known"]

_ = noop

OTHER: Final = "other"

REFUND_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_served": _("服务没有提供"),
        "served_in_part": _("只提供了一部分"),
        "quality": _("结果不符合约定"),
        "equipment": _("设备故障"),
        "miscounted": _("计量或计费有误"),
        "paid_twice": _("重复付款"),
        OTHER: _("其他"),
    }
)
WRITE_OFF_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "insolvent": _("付款单位破产或已清算"),
        "dissolved": _("付款单位已注销或吊销"),
        "ruled": _("法院裁定终结执行"),
        "settled_otherwise": _("服务单位同意不再收取"),
        OTHER: _("其他"),
    }
)
"""Of what finance gives up: insolvency, dissolution, a court's end of enforcement (民事诉讼法 2023, art. 268), the provider's consent."""


class NoSuchReason(Invalid):
    code = "charge.reason_code"
    message = _("没有“%(value)s”这个原因代码。可用：%(known)s。")


def known(code: str, reasons: Mapping[str, str]) -> str:
    """Return a code that is listed. Raises NoSuchReason, naming those that are."""
    if code not in reasons:
        raise NoSuchReason(field="reason_code", value=code, known="、".join(reasons))
    return code
