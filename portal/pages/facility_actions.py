"""Words for what is done to large facilities, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["FACILITY_ACTIONS"]

FACILITY_ACTIONS: Final[Mapping[str, Promise]] = {
    "facility.created": pgettext_lazy("record", "登记大科学装置"),
    "facility.changed": pgettext_lazy("record", "修改装置资料"),
    "facility.shown": pgettext_lazy("record", "公开装置"),
    "facility.hidden": pgettext_lazy("record", "停止公开装置"),
    "facility.courses_set": pgettext_lazy("record", "设定课题类别"),
    "facility.shares_set": pgettext_lazy("record", "设定机时份额"),
    "facility.partner_set": pgettext_lazy("record", "设定合作方份额"),
    "facility.beamline_entered": pgettext_lazy("record", "登记线站"),
    "facility.beamline_changed": pgettext_lazy("record", "修改线站"),
    "facility.device_entered": pgettext_lazy("record", "登记装置部件"),
    "facility.device_changed": pgettext_lazy("record", "修改装置部件"),
    "facility.device_fitted": pgettext_lazy("record", "设定部件适用线站"),
    "facility.cycle_created": pgettext_lazy("record", "登记运行周期"),
    "facility.plan_set": pgettext_lazy("record", "修改运行计划"),
    "facility.market_followed": pgettext_lazy("record", "按未分配班次开放或收回企业机时"),
    "beam_quote.offered": pgettext_lazy("record", "报机时价格"),
    "beam_quote.accepted": pgettext_lazy("record", "接受机时报价，合同成立"),
    "beam_quote.declined": pgettext_lazy("record", "谢绝机时报价"),
    "beam_quote.withdrawn": pgettext_lazy("record", "撤回机时报价"),
    "beam_quote.lessened": pgettext_lazy("record", "部分机时不再交付，释放其费用"),
    "beam_quote.settled": pgettext_lazy("record", "按交付的机时结算"),
    "beam_quote.freed": pgettext_lazy("record", "机时没有交付，释放全部费用"),
    "beam_quote.corrected": pgettext_lazy("record", "按更正后的供束记录核对已结算的机时费"),
    "beam_quote.expired": pgettext_lazy("record", "机时报价过期"),
    "facility.cycle_closed": pgettext_lazy("record", "周期结账"),
}
