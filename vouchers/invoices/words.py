"""Words for codes on papers, in the active language: units, rails, what a line is for, tax rates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext

from portal.kernel.errors import noop

__all__ = ["WHYS", "rail", "rate", "unit", "what", "why"]

_ = noop

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hour": _("小时"),
        "card_hour": _("卡时"),
        "core_hour": _("核时"),
        "sample": _("样品"),
        "test": _("次测试"),
        "day": _("天"),
        "value_day": _("天（按原值）"),
        "milestone": _("个里程碑"),
        "shift": _("班次"),
        "order": _("单"),
        "node_day": _("节点·天"),
        "tb_day": _("TB·天"),
        "gb_day": _("GB·天"),
        "value": _("元金额"),
        "token": _("词元"),
        "million_tokens": _("百万词元"),
        "call": _("次"),
        "record": _("条"),
        "mb": _("兆字节"),
        "item": _("件"),
        "project": _("项"),
    }
)
WHATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "use": _("服务费"),
        "item": _("服务项目"),
        "surcharge": _("附加技术服务"),
        "fee": _("取消费"),
        "waived": _("超出约定价，不收取"),
        "minimum": _("最低收费补足"),
        "refund": _("退款"),
        "written_off": _("自付核销"),
    }
)
WHYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chargeback": _("付款单位向支付机构提出争议，款项已被扣回"),
        "taken_back": _("到账记错，已更正"),
        "changed": _("到账金额或应付金额已变化"),
    }
)
RATES: Final[Mapping[str, str]] = MappingProxyType({"6": "6%", "13": "13%", "3": "3%", "1": "1%", "exempt": _("免税")})


def unit(code: str) -> str:
    """Return what one unit is called; an unknown one is left as it is."""
    return gettext(UNITS[code]) if code in UNITS else code


def what(code: str) -> str:
    """Return what a line is for."""
    return gettext(WHATS[code])


def why(code: str) -> str:
    """Return why a receipt was cancelled."""
    return gettext(WHYS[code])


def rate(code: str) -> str:
    """Return a tax rate as it is printed."""
    return gettext(RATES[code])


def rail(code: str) -> str:
    """Return how money came: the name of the rail, or that of a bank transfer."""
    return gettext("银行转账") if code == "bank" else gettext("在线支付（%(rail)s）") % {"rail": code}
