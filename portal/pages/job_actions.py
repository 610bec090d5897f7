"""Words of the audit trail for jobs, from submission to cancelling, and for their files and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["JOB_ACTIONS"]

JOB_ACTIONS: Final[Mapping[str, Promise]] = MappingProxyType(
    {
        "jobfile.uploaded": pgettext_lazy("record", "上传作业文件"),
        "jobfile.discarded": pgettext_lazy("record", "删除作业文件"),
        "jobsecret.kept": pgettext_lazy("record", "保存作业密钥"),
        "jobsecret.erased": pgettext_lazy("record", "销毁作业密钥"),
        "job.secret_removed": pgettext_lazy("record", "从集群删除密钥副本"),
        "job.files_attached": pgettext_lazy("record", "作业附带文件"),
        "job.submitted": pgettext_lazy("record", "提交作业"),
        "job.task_cancel_asked": pgettext_lazy("record", "请求取消一个任务"),
        "job.cancel_asked": pgettext_lazy("record", "请求取消作业"),
        "job.cancelled": pgettext_lazy("record", "取消作业"),
    }
)
