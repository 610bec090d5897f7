"""Words of the audit trail for what happens at and after a use: sessions, disputes, conduct."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from portal.pages.cluster_words import CLUSTER_ACTIONS

__all__ = ["USE"]

USE: Final[Mapping[str, Promise]] = MappingProxyType(
    {
        **CLUSTER_ACTIONS,
        "job.log_refused": pgettext_lazy("record", "拒绝读取作业日志"),
        "session.started": pgettext_lazy("record", "开始使用"),
        "session.finished": pgettext_lazy("record", "结束使用"),
        "session.read": pgettext_lazy("record", "登记计时"),
        "session.settled": pgettext_lazy("record", "按约定的计时结算"),
        "terms.payment_set": pgettext_lazy("record", "设定付款条件"),
        "terms.charge_set": pgettext_lazy("record", "设定计时与异议期"),
        "dispute.opened": pgettext_lazy("record", "对计时提出异议"),
        "dispute.answered": pgettext_lazy("record", "答复异议"),
        "dispute.appealed": pgettext_lazy("record", "请主管部门裁定异议"),
        "dispute.withdrawn": pgettext_lazy("record", "撤回异议"),
        "dispute.settled": pgettext_lazy("record", "异议了结"),
        "charge.withheld": pgettext_lazy("record", "暂缓支付"),
        "charge.let_go": pgettext_lazy("record", "恢复支付"),
        "conduct.rule_set": pgettext_lazy("record", "设定违约规则"),
        "conduct.counted": pgettext_lazy("record", "计入违约"),
        "conduct.appealed": pgettext_lazy("record", "申诉违约"),
        "conduct.upheld": pgettext_lazy("record", "维持违约记分"),
        "conduct.lifted": pgettext_lazy("record", "撤销违约记分"),
    }
)
