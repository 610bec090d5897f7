"""Read what only Slurm's own commands tell, from the agent, this machine, or a file somebody brings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from integrations.slurm.doctor.snapshot import Qos, parse_conf

__all__ = ["CONFIG", "DBD", "QOS", "qos_from", "run", "split_dbd"]

CONFIG = ("scontrol", "show", "config")
DBD = ("sacctmgr", "show", "configuration")
QOS = ("sacctmgr", "-nP", "show", "qos", "format=name,flags,grptresmins")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin"


class NotRun(Exception):
    """A command is not here or failed; the text says which and why."""


def run(argv: Sequence[str], *, slurm_conf: str = "", timeout_s: float = 20) -> str:
    """Run one of Slurm's commands, no shell, a bare environment. Raises NotRun."""
    program = shutil.which(argv[0], path=PATH)
    if program is None:
        raise NotRun(f"no {argv[0]} on this host")
    slurm_conf = slurm_conf or os.environ.get("SLURM_CONF", "")
    environment = {"PATH": PATH, "LC_ALL": "C"} | ({"SLURM_CONF": slurm_conf} if slurm_conf else {})
    try:
        done = subprocess.run(  # noqa: S603 - a fixed list of words, no shell
            [program, *argv[1:]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
            cwd="/",
        )
    except subprocess.CalledProcessError as error:
        raise NotRun(f"{argv[0]}: {error.stderr.strip()[:200]}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise NotRun(f"{argv[0]}: {type(error).__name__}") from error
    return done.stdout


def split_dbd(text: str) -> dict[str, str]:
    """Return slurmdbd's own half of `sacctmgr show configuration`; the first half is the client's slurm.conf."""
    _before, marker, after = text.partition("SlurmDBD configuration:")
    if not marker:
        raise NotRun("sacctmgr: slurmdbd did not answer")
    return parse_conf(after)


def qos_from(text: str) -> list[Qos]:
    found = []
    for line in text.splitlines():
        name, flags, minutes = [*line.split("|"), "", "", ""][:3]
        if name:
            found.append(Qos(name, frozenset(flags.lower().split(",")) - {""}, has_minutes=bool(minutes)))
    return found


def read_file(path: Path) -> Mapping[str, str]:
    """Read slurm.conf or a saved ``scontrol show config``. Raises NotRun."""
    try:
        return parse_conf(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise NotRun(f"{path}: {error.strerror}") from error
