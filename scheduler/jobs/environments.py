"""What a user may put into a job's environment. Pure.

Names follow an allow-list pattern; what steers the loader, the shell or the scheduler is refused by name, and so is what
looks like a secret: the environment of a job is readable to the cluster's operators, secrets travel as files
(compute.md §3.9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from portal.kernel.errors import Reason, noop

__all__ = ["MOST", "refusals"]

_ = noop

NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)
MOST: Final = 50
MOST_BYTES: Final = 32 * 1024
"""All names and values together: Slurm refuses jobs whose environment is much larger."""
RESERVED: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "TMPDIR", "MAIL"),
        *("BASH_ENV", "ENV", "IFS", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "GLOBIGNORE"),
        *("PYTHONSTARTUP", "PYTHONHOME", "PERL5OPT", "PERL5LIB", "RUBYOPT", "NODE_OPTIONS", "GCONV_PATH", "LOCPATH"),
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
        *("ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "JOB_ID"),
    }
)
FAMILIES: Final = ("LD_", "SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "BASH_FUNC_", "PMI_", "PMIX_", "MUNGE_")
SECRET: Final = re.compile(r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$")


def refusals(environment: Mapping[str, str]) -> Sequence[Reason]:
    """Return every ground against `environment`, each naming the variable."""
    reasons = [reason for name in environment for reason in _against(name, environment[name])]
    if len(environment) > MOST:
        reasons.append(
            Reason(
                "job.environment_count",
                _("环境变量最多 %(most)s 个，您填写了 %(count)s 个。"),
                _("请把其余内容写进脚本或文件。"),
                field="environment",
                params={"most": MOST, "count": len(environment)},
            )
        )
    if (
        sum(len(name.encode()) + len(value.encode(errors="replace")) for name, value in environment.items())
        > MOST_BYTES
    ):
        reasons.append(
            Reason(
                "job.environment_size",
                _("环境变量总共超过 %(most)s KB。"),
                _("请把较长的内容写进文件。"),
                field="environment",
                params={"most": MOST_BYTES // 1024},
            )
        )
    return reasons


def _against(name: str, value: str) -> list[Reason]:
    def said(code: str, message: str, remedy: str) -> Reason:
        return Reason(code, message, remedy, field="environment", params={"name": name[:80]})

    if not NAME.fullmatch(name):
        return [
            said(
                "job.environment_name",
                _("环境变量名“%(name)s”不合规定。"),
                _("名称只能用大写字母、数字和下划线，不以数字开头，64 个字符以内。"),
            )
        ]
    found = []
    if name in RESERVED or name.startswith(FAMILIES):
        found.append(
            said(
                "job.environment_reserved",
                _("环境变量“%(name)s”由集群设置，不能指定。"),
                _("请删除它；需要时在脚本里设置。"),
            )
        )
    elif SECRET.search(name):
        found.append(
            said(
                "job.environment_secret",
                _("环境变量“%(name)s”看起来是密码或密钥；作业的环境变量对集群管理员可见。"),
                _("请把密钥作为文件上传，在脚本里读取。"),
            )
        )
    if any(ord(character) < 32 or ord(character) == 127 or 0xD800 <= ord(character) < 0xE000 for character in value):
        found.append(
            said(
                "job.environment_value",
                _("环境变量“%(name)s”的值含有换行或控制字符。"),
                _("请改成一行普通文字。"),
            )
        )
    return found
