"""Words for what is done to calls for beam time, proposals and their teams."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from portal.kernel.errors import noop
from portal.pages.schedule_actions import SCHEDULING

__all__ = ["BEAM_SUBJECTS", "PROPOSAL_ACTIONS"]

_ = noop

BEAM_SUBJECTS: Mapping[str, tuple[str, str]] = {
    "beam_proposal": (_("机时申请"), "proposal"),
    "call": (_("机时征集"), "call"),
    "beam_visit": (_("到访"), "visit"),
    "schedule_draft": (_("排班草案"), ""),
}
"""What records are about, and the page that shows it."""

PROPOSAL_ACTIONS: Mapping[str, Promise] = {
    "call.written": pgettext_lazy("record", "起草机时征集"),
    "call.changed": pgettext_lazy("record", "修改机时征集"),
    "call.published": pgettext_lazy("record", "发布机时征集"),
    "beam_proposal.begun": pgettext_lazy("record", "新建机时申请"),
    "beam_proposal.saved": pgettext_lazy("record", "保存机时申请"),
    "beam_proposal.file_kept": pgettext_lazy("record", "上传申请文件"),
    "beam_proposal.file_removed": pgettext_lazy("record", "移除申请文件"),
    "beam_proposal.sent": pgettext_lazy("record", "提交机时申请"),
    "beam_proposal.imported": pgettext_lazy("record", "由用户办公室导入机时申请"),
    "beam_proposal.admitted": pgettext_lazy("record", "通过形式审查"),
    "beam_proposal.returned": pgettext_lazy("record", "退回修改"),
    "beam_proposal.withdrawn": pgettext_lazy("record", "撤回机时申请"),
    "beam_proposal.continued": pgettext_lazy("record", "申请下一运行周期的机时"),
    "beam_proposal.lapsed": pgettext_lazy("record", "周期结束未获机时，申请失效"),
    "beam_team.invited": pgettext_lazy("record", "邀请课题组成员"),
    "beam_team.joined": pgettext_lazy("record", "加入课题组"),
    "beam_team.declined": pgettext_lazy("record", "谢绝加入课题组"),
    "beam_team.removed": pgettext_lazy("record", "移出课题组成员"),
    "beam_team.led": pgettext_lazy("record", "更换课题负责人"),
    **SCHEDULING,
}
