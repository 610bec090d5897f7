"""Words for schedules of beam time and the offers made from them, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["SCHEDULING"]

SCHEDULING: Final[Mapping[str, Promise]] = {
    "schedule.ordered": pgettext_lazy("record", "生成排班草案"),
    "schedule.resolved": pgettext_lazy("record", "围绕固定的安排重新排班"),
    "schedule.discarded": pgettext_lazy("record", "放弃排班草案"),
    "schedule.put": pgettext_lazy("record", "在草案中安排课题"),
    "schedule.taken_out": pgettext_lazy("record", "从草案中取下课题"),
    "schedule.fixed": pgettext_lazy("record", "固定草案中的安排"),
    "schedule.unfixed": pgettext_lazy("record", "解开草案中的安排"),
    "schedule.adopted": pgettext_lazy("record", "采用排班草案，机时发给课题组"),
    "beam_allocation.returned": pgettext_lazy("record", "退回未能安排的机时"),
    "visit.offered": pgettext_lazy("record", "向课题组发出机时"),
    "visit.accepted": pgettext_lazy("record", "课题组接受机时"),
    "visit.declined": pgettext_lazy("record", "课题组谢绝机时"),
    "visit.lapsed": pgettext_lazy("record", "机时逾期未答复，转给候补"),
    "visit.moved": pgettext_lazy("record", "机时改期，重新征求课题组同意"),
}
