"""Words for purchases: how each stands, what it is, whether a tax invoice was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from vouchers.purchases.rules import Bought, Papers, Standing

__all__ = ["BOUGHT", "PAPERS", "PLAIN", "STANDINGS", "TONES"]

STANDINGS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        Standing.DUE.value: _("待付款"),
        Standing.OWED_BACK.value: _("待退还"),
        Standing.RUNNING.value: _("进行中"),
        Standing.SETTLED.value: _("已结清"),
        Standing.FREE.value: _("未收费"),
    }
)
TONES: Final[Mapping[str, str]] = MappingProxyType(
    {Standing.DUE.value: "wait", Standing.OWED_BACK.value: "go", Standing.SETTLED.value: "ok"}
)
BOUGHT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        Bought.BOOKING.value: _("预约"),
        Bought.JOB.value: _("作业"),
        Bought.ORDER.value: _("订单"),
        Bought.SAMPLE.value: _("送样检测"),
        Bought.MILESTONE.value: _("技术服务"),
        Bought.BEAM.value: _("装置机时"),
    }
)
PAPERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        Papers.NONE.value: _("未申请"),
        Papers.ASKED.value: _("已申请"),
        Papers.ISSUED.value: _("已开具"),
    }
)
PLAIN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"bought": BOUGHT, "papers": PAPERS})
