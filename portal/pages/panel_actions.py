"""Words for judging proposals for beam time, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["JUDGING"]

JUDGING: Final[Mapping[str, Promise]] = {
    "beam_proposal.assessed": pgettext_lazy("record", "作出机时申请的审查结论"),
    "beam_proposal.decided": pgettext_lazy("record", "决定机时申请"),
    "panel.opened": pgettext_lazy("record", "设立机时评审组"),
    "panel.targets_set": pgettext_lazy("record", "设定评审组的平衡要求"),
    "panel.seated": pgettext_lazy("record", "聘请评审人"),
    "panel.unseated": pgettext_lazy("record", "解聘评审人"),
    "grading.asked": pgettext_lazy("record", "请评审人评分"),
    "grading.taken_back": pgettext_lazy("record", "撤回评分请求"),
    "grading.graded": pgettext_lazy("record", "评分"),
    "grading.recused": pgettext_lazy("record", "评审人回避"),
    "ranking.drafted": pgettext_lazy("record", "草拟机时排序"),
    "ranking.arranged": pgettext_lazy("record", "调整机时排序"),
    "ranking.proposed": pgettext_lazy("record", "提出机时排序"),
    "ranking.sent_back": pgettext_lazy("record", "退回机时排序"),
    "ranking.discarded": pgettext_lazy("record", "撤销机时排序草案"),
    "ranking.decided": pgettext_lazy("record", "批准机时排序"),
    "appeal.made": pgettext_lazy("record", "对机时决定提出申诉"),
    "appeal.answered": pgettext_lazy("record", "答复机时申诉"),
}
