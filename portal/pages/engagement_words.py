"""Words for technical services, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["ENGAGEMENTS"]

ENGAGEMENTS: Final[Mapping[str, Promise]] = {
    "engagement.requested": pgettext_lazy("record", "提出技术服务需求"),
    "engagement.quoted": pgettext_lazy("record", "报价"),
    "engagement.changed": pgettext_lazy("record", "提出变更方案"),
    "engagement.refused": pgettext_lazy("record", "不接受报价"),
    "engagement.accepted": pgettext_lazy("record", "接受报价，费用冻结"),
    "engagement.declined": pgettext_lazy("record", "答复：不能承接"),
    "engagement.cancelled": pgettext_lazy("record", "撤回需求"),
    "engagement.delivered": pgettext_lazy("record", "交付里程碑"),
    "engagement.returned": pgettext_lazy("record", "退回交付"),
    "engagement.milestone_accepted": pgettext_lazy("record", "里程碑验收并结算"),
    "engagement.deemed": pgettext_lazy("record", "验收期满未答复，视为验收并结算"),
    "engagement.disputed": pgettext_lazy("record", "申请裁定里程碑"),
    "engagement.ruled": pgettext_lazy("record", "裁定认可里程碑，按裁定结算"),
    "engagement.quashed": pgettext_lazy("record", "裁定不认可里程碑，冻结退回"),
    "engagement.completed": pgettext_lazy("record", "全部里程碑已验收"),
    "engagement.stopped": pgettext_lazy("record", "提前终止，未交付部分的冻结退回"),
    "engagement.closed": pgettext_lazy("record", "评价后完结"),
}
