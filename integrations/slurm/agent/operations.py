"""What the agent does when asked, and nothing else. Every word is checked here, whoever checked it before."""

from __future__ import annotations

import base64
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.slurm.agent import beneath
from integrations.slurm.doctor import host

__all__ = ["OPERATIONS", "Declined", "Failed", "Settings"]

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin"
TIMEOUT_S = 20
OUTPUT = 256 * 1024

_USER = re.compile(r"[a-z][a-z0-9_-]{2,31}")
_MARKER = re.compile(r"[a-z][a-z0-9]{5,39}")
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_CARD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,23}")
_OVER = re.compile(r"already complet|invalid job id", re.IGNORECASE)
"""What scancel says of a job or task that has ended."""
_START = re.compile(r"to start at (\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d) using (\d+) processors? on nodes? (\S+)")


class Declined(Exception):
    """The request is not one this agent serves; nothing was done."""


class Failed(Exception):
    """The cluster's tools did not do it; the text is theirs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator allows: read once at the start, except the list of users."""

    job_root: str
    enrolled: Path
    qos_prefix: str
    slurm_conf: str = ""
    jwks: str = ""

    def users(self) -> set[str]:
        """Read the list anew; the signer's format (``name`` or ``name:uid``, # comments)."""
        try:
            lines = self.enrolled.read_text(encoding="utf-8").splitlines()
        except OSError:
            return set()
        return {line.partition("#")[0].partition(":")[0].strip() for line in lines} - {""}


Params = Mapping[str, Any]
Operation = Callable[[Settings, Params], dict[str, Any]]


def _fields(params: Params, **kinds: type) -> None:
    if set(params) != set(kinds):
        raise Declined(f"fields: {', '.join(sorted(kinds))}")
    for name, kind in kinds.items():
        if type(params[name]) is not kind:
            raise Declined(f"{name}: not {kind.__name__}")


def _word(params: Params, name: str, form: re.Pattern[str], *, empty: bool = False) -> str:
    value = str(params[name])
    if not form.fullmatch(value) and not (empty and not value):
        raise Declined(f"{name}: {value[:40]!r}")
    return value


def _number(params: Params, name: str, low: int, high: int) -> int:
    value = int(params[name])
    if not low <= value <= high:
        raise Declined(f"{name}: {low} to {high}")
    return value


def _user(settings: Settings, params: Params) -> str:
    """Return the enrolled, ordinary user of this machine the request is for."""
    name = _word(params, "user", _USER)
    if name not in settings.users():
        raise Declined(f"{name} is not enrolled")
    try:
        if pwd.getpwnam(name).pw_uid < 1000:
            raise Declined(f"{name} is a system account")
    except KeyError:
        raise Declined(f"{name} is no user here") from None
    return name


def _run(settings: Settings, argv: Sequence[str], *, user: str = "", text: str = "") -> tuple[int, str, str]:
    """Run one of Slurm's commands: words, never a shell; a bare environment in UTC; killed with all it started."""
    environment = {"PATH": PATH, "LC_ALL": "C", "TZ": "UTC0"}
    environment |= {"SLURM_CONF": settings.slurm_conf} if settings.slurm_conf else {}
    drop: dict[str, Any] = {}
    if user and os.getuid() == 0:
        entry = pwd.getpwnam(user)
        drop = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        with subprocess.Popen(  # noqa: S603 - a fixed program, checked words, no shell
            argv, env=environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True, **drop,
        ) as process:  # fmt: skip
            try:
                out, words = process.communicate(text, timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Failed(f"{argv[0]}: no answer in {TIMEOUT_S} s") from None
    except OSError as error:
        raise Failed(f"{argv[0]}: {error.strerror}") from error
    return process.returncode, out[:OUTPUT], words[:OUTPUT].strip()


def ping(settings: Settings, params: Params) -> dict[str, Any]:
    """Say which Slurm this is, and whether a pyslurm could be loaded, in a child that may die of it."""
    _fields(params)
    status, out, words = _run(settings, ["scontrol", "--version"])
    if status:
        raise Failed(words)
    return {"release": out.split()[-1] if out.split() else "", "pyslurm": _pyslurm(), "now": time.time()}


def _pyslurm() -> str:
    """Libslurm ends its process where slurm.conf is missing or wrong: never here, always in a child."""
    import sys

    program = "import pyslurm; print(getattr(pyslurm, '__version__', '?'))"
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()[:20] if done.returncode == 0 else ""


def config(settings: Settings, params: Params) -> dict[str, Any]:
    """Print what the doctor reads: settings of both daemons, and every QOS."""
    _fields(params)
    answers = {}
    for name, argv in {
        "config": ("scontrol", "show", "config"),
        "accounting": ("sacctmgr", "show", "configuration"),
        "qos": ("sacctmgr", "-nP", "show", "qos", "format=name,flags,grptresmins"),
    }.items():
        status, out, words = _run(settings, argv)
        answers[name] = out if status == 0 else ""
        answers[f"{name}_error"] = words if status else ""
    return answers


def look(settings: Settings, params: Params) -> dict[str, Any]:
    """Print what the doctor sees of this machine."""
    _fields(params, users=list)
    users = [str(name) for name in params["users"][:1000]]
    if not all(_USER.fullmatch(name) for name in users):
        raise Declined("users")
    return host.look(job_root=settings.job_root, users=users, jwks=settings.jwks)


def estimate(settings: Settings, params: Params) -> dict[str, Any]:
    """Ask as the user when such a job would start (`sbatch --test-only`); nothing is placed."""
    kinds = {"user": str, "account": str, "partition": str, "qos": str, "card_type": str}
    _fields(params, **kinds, cpus=int, memory_mb=int, cards=int, minutes=int)
    user = _user(settings, params)
    argv = [
        "sbatch", "--test-only", "--no-requeue", "--export=NONE", "--chdir=/", "--output=/dev/null",
        f"--account={_word(params, 'account', _WORD)}",
        f"--partition={_word(params, 'partition', _WORD)}",
        f"--cpus-per-task={_number(params, 'cpus', 1, 100_000)}", "--nodes=1-1", "--ntasks=1",
        f"--mem={_number(params, 'memory_mb', 1, 100_000_000)}M",
        f"--time={_number(params, 'minutes', 1, 525_600)}",
    ]  # fmt: skip
    if qos := _word(params, "qos", _WORD, empty=True):
        argv.append(f"--qos={qos}")
    if cards := _number(params, "cards", 0, 10_000):
        kind = _word(params, "card_type", _CARD, empty=True)
        argv.append(f"--gres=gpu:{kind}:{cards}" if kind else f"--gres=gpu:{cards}")
    status, _out, words = _run(settings, argv, user=user, text="#!/bin/sh\nexit 0\n")
    match = _START.search(words)
    if match is None:
        if "ontact" in words or "imed out" in words:  # "Unable to contact slurm controller"
            raise Failed(words[:300])
        return {"fits": False, "starts_at": None, "nodes": "", "words": words[:300], "status": status}
    from calendar import timegm

    moment = [int(match[number]) for number in range(1, 7)]
    starts_at = timegm((*moment, 0, 0, 0))
    return {"fits": True, "starts_at": starts_at, "nodes": match[8], "words": words[:300], "status": status}


def cancel_task(settings: Settings, params: Params) -> dict[str, Any]:
    """Stop one task of an array as its user, who can stop no job of another; REST v0.0.38 stops the whole of a waiting one."""
    _fields(params, user=str, job_id=int, task=int)
    user = _user(settings, params)
    name = f"{_number(params, 'job_id', 1, 2**31)}_{_number(params, 'task', 0, 10_000_000)}"
    status, out, words = _run(settings, ["scancel", name], user=user)
    if status and not _OVER.search(words):
        raise Failed((words or out)[:300])
    return {"cancelled": name}


def qos_limits(settings: Settings, params: Params) -> dict[str, Any]:
    """Bound what a QOS of ours may use in all (GrpTRESMins), which REST v0.0.38 cannot write; return what was read back.

    `minutes` is resource to minutes, -1 takes a bound away.
    """
    _fields(params, qos=str, minutes=dict)
    name = _word(params, "qos", _WORD)
    if not settings.qos_prefix or not name.startswith(settings.qos_prefix):
        raise Declined(f"qos: not ours ({settings.qos_prefix}…)")
    bounds = []
    for resource, minutes in params["minutes"].items():
        if resource not in {"cpu", "gres/gpu", "billing"} or type(minutes) is not int or not -1 <= minutes <= 10**9:
            raise Declined("minutes")
        bounds.append(f"{resource}={minutes}")
    if not bounds:
        raise Declined("minutes")
    if _qos(settings, name) is None:
        raise Declined(f"qos: no {name}")
    limits = f"GrpTRESMins={','.join(sorted(bounds))}"
    status, out, words = _run(
        settings, ["sacctmgr", "-i", "modify", "qos", "where", f"name={name}", "set", limits, "Flags+=NoDecay"]
    )
    if status and "Nothing modified" not in out + words:
        raise Failed((words or out)[:300])
    return {"qos": name, "read_back": _qos(settings, name)}


def _qos(settings: Settings, name: str) -> dict[str, Any] | None:
    status, out, words = _run(settings, ["sacctmgr", "-nP", "show", "qos", name, "format=name,flags,grptresmins"])
    if status:
        raise Failed(words[:300])
    for line in out.splitlines():
        found, flags, minutes = [*line.split("|"), "", "", ""][:3]
        if found == name:
            pairs = (word.partition("=") for word in minutes.split(",") if word)
            return {"flags": flags.split(","), "minutes": {one: int(value) for one, _equals, value in pairs}}
    return None


def _home(settings: Settings, params: Params) -> tuple[str, tuple[str, str]]:
    user = _user(settings, params)
    return user, (user, _word(params, "marker", _MARKER))


def prepare(settings: Settings, params: Params) -> dict[str, Any]:
    """Make the directory of the job to be, as its user."""
    _fields(params, user=str, marker=str)
    user, home = _home(settings, params)
    return beneath.as_user(user, beneath.prepare, settings.job_root, home)


def put(settings: Settings, params: Params) -> dict[str, Any]:
    """Write a piece (base64, ≤ 1 MiB) of a file of the job to be, as its user."""
    _fields(params, user=str, marker=str, path=str, offset=int, data=str)
    user, home = _home(settings, params)
    try:
        data = base64.b64decode(params["data"], validate=True)
    except ValueError:
        raise Declined("data: not base64") from None
    return beneath.as_user(user, beneath.put, settings.job_root, home, params["path"], params["offset"], data)


def files(settings: Settings, params: Params) -> dict[str, Any]:
    """List the job's plain files, as its user."""
    _fields(params, user=str, marker=str)
    user, home = _home(settings, params)
    return beneath.as_user(user, beneath.listing, settings.job_root, home)


def read(settings: Settings, params: Params) -> dict[str, Any]:
    """Read a piece of a file of the job, as its user."""
    _fields(params, user=str, marker=str, path=str, offset=int, limit=int)
    user, home = _home(settings, params)
    place = (params["path"], params["offset"], params["limit"])
    return beneath.as_user(user, beneath.read, settings.job_root, home, *place)


def remove(settings: Settings, params: Params) -> dict[str, Any]:
    """Remove a file of the job, as its user. One that is not there is removed."""
    _fields(params, user=str, marker=str, path=str)
    user, home = _home(settings, params)
    return beneath.as_user(user, beneath.remove, settings.job_root, home, params["path"])


def log(settings: Settings, params: Params) -> dict[str, Any]:
    """Read a piece of the job's output as its user: ``USER/MARKER.log``, or ``MARKER_TASK.log`` (`task` -1: none)."""
    _fields(params, user=str, marker=str, task=int, offset=int, limit=int)
    user, home = _home(settings, params)
    task = _number(params, "task", -1, 10_000_000)
    place = (f"{home[1]}.log" if task < 0 else f"{home[1]}_{task}.log", params["offset"], params["limit"])
    return beneath.as_user(user, beneath.read, settings.job_root, home[:1], *place)


OPERATIONS: Mapping[str, Operation] = {
    "ping": ping,
    "config": config,
    "host": look,
    "estimate": estimate,
    "cancel-task": cancel_task,
    "qos-limits": qos_limits,
    "prepare": prepare,
    "put": put,
    "files": files,
    "read": read,
    "remove": remove,
    "log": log,
}
"""The allow-list: what is not here does not exist."""
