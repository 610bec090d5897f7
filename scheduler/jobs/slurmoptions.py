"""What each option of sbatch means to a job of the portal, and why some mean nothing. Pure.

Source: sbatch(1) of Slurm 22.05.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from portal.kernel.errors import noop
from scheduler.jobs import slurmwords
from scheduler.jobs.slurmwords import Option, Unread

__all__ = ["meaning"]

_ = noop

PORTAL: Final = _("由平台管理，脚本中不用写。")
UNSUPPORTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("mail-user", "mail-type"), _("平台自己通知作业的开始和结束，不经集群发邮件。")),
    **dict.fromkeys(("output", "error", "open-mode"), _("输出由平台保存，在作业页查看和下载。")),
    **dict.fromkeys(("account", "qos", "uid", "gid", "wckey", "reservation", "clusters"), PORTAL),
    **dict.fromkeys(("chdir", "input", "export-file", "get-user-env"), _("作业在平台分配的目录中运行。")),
    "wrap": _("命令请直接写在脚本里。"),
    **dict.fromkeys(("hold", "begin", "deadline", "immediate"), _("平台提交后即排队，不支持另定开始时间。")),
    **dict.fromkeys(("nodelist", "exclude", "constraint", "nodefile", "exclusive"), _("不能指定节点，请选择分区。")),
    **dict.fromkeys(("parsable", "quiet", "verbose", "test-only", "wait"), _("只对命令行有意义。")),
}
"""Options the portal does not send, and why."""
UNKNOWN: Final = _("平台不支持这个选项。")


def meaning(option: Option) -> tuple[dict[str, Any], str | None]:
    """Return what an option says, and why it is not supported where it is not. Raises Unread."""
    value = option.value.strip()
    match option.name:
        case "partition":
            if not value or "," in value:
                raise Unread(_("请写一个分区的名称。"))
            return {"partition": value}, None
        case "job-name":
            if not value:
                raise Unread(_("作业名称为空。"))
            return {"title": value[:120]}, None
        case "time":
            return {"time_limit_s": slurmwords.time_s(value)}, None
        case "mem":
            return {"memory": (slurmwords.memory_mb(value), "")}, None
        case "mem-per-cpu":
            return {"memory": (slurmwords.memory_mb(value), "cpu")}, None
        case "mem-per-gpu":
            return {"memory": (slurmwords.memory_mb(value), "card")}, None
        case "gres" | "gpus" | "gpus-per-node" | "gpus-per-task":
            if option.name == "gres" and value and not value.startswith(("gpu", "none")):
                return {}, UNKNOWN
            number, kind = slurmwords.cards(value, gres=option.name == "gres")
            per_task = option.name == "gpus-per-task"
            return {"cards": number, "cards_per_task": per_task, "card_type": kind}, None
        case "cpus-per-task":
            return {"cpus_per_task": slurmwords.whole(value, least=1)}, None
        case "ntasks" | "ntasks-per-node":
            return {"ntasks": slurmwords.whole(value, least=1)}, None
        case "nodes":
            return {}, None if re.fullmatch(r"1(-1)?", value) else _("作业在一个节点上运行。")
        case "array":
            return {"array": slurmwords.array(value)}, None
        case "dependency":
            return ({}, PORTAL) if value == "singleton" else ({"after": tuple(slurmwords.dependencies(value))}, None)
        case "export":
            return {"environment": dict(slurmwords.environment(value))}, None
        case "requeue" | "no-requeue":
            return {"requeue": option.name == "requeue"}, None
    return {}, UNSUPPORTED.get(option.name, UNKNOWN)
