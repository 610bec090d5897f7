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
    "facility.device_fitted": pgettext_lazy("record", "设定部件适用线站"),
    "facility.cycle_created": pgettext_lazy("record", "登记运行周期"),
    "facility.plan_set": pgettext_lazy("record", "修改运行计划"),
    "facility.market_followed": pgettext_lazy("record", "按未分配班次开放或收回企业机时"),
    "facility.cycle_closed": pgettext_lazy("record", "周期结账"),
}
