"""Words for visits and lost beam, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["VISITS"]

VISITS: Final[Mapping[str, Promise]] = {
    "visit.confirmed": pgettext_lazy("record", "确认到访人员"),
    "visit.participant_left": pgettext_lazy("record", "离开课题组，不再到访"),
    "visit.form_approved": pgettext_lazy("record", "批准样品单或安全审查"),
    "visit.late_accepted": pgettext_lazy("record", "同意逾期的样品单或安全审查"),
    "visit.trained": pgettext_lazy("record", "登记安全培训"),
    "visit.ready": pgettext_lazy("record", "确认准备就绪"),
    "visit.not_ready": pgettext_lazy("record", "撤销准备就绪"),
    "visit.checked_in": pgettext_lazy("record", "课题组签到"),
    "visit.started": pgettext_lazy("record", "开始供束"),
    "visit.finished": pgettext_lazy("record", "结束机时并计时"),
    "visit.cancelled": pgettext_lazy("record", "装置取消机时"),
    "visit.missed": pgettext_lazy("record", "登记课题组未到场"),
    "visit.reported": pgettext_lazy("record", "提交实验报告"),
    "beam.loss_logged": pgettext_lazy("record", "登记失束"),
    "beam.loss_voided": pgettext_lazy("record", "撤销失束登记"),
    "compensation.asked": pgettext_lazy("record", "说明失束的影响"),
    "compensation.granted": pgettext_lazy("record", "补偿机时"),
    "compensation.declined": pgettext_lazy("record", "决定不补偿机时"),
    "proposal.closed": pgettext_lazy("record", "课题结题"),
}
