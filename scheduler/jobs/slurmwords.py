"""How Slurm writes times, memory, cards, arrays, dependencies and option lines. Pure; every function is total.

Source: sbatch(1) of Slurm 22.05. Each reader returns what the text means, or raises `Unread` with what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import noop
from scheduler.jobs import arrays

__all__ = [
    "FLAGS",
    "SHORT",
    "Option",
    "Unread",
    "array",
    "cards",
    "dependencies",
    "environment",
    "memory_mb",
    "options",
    "time_s",
    "whole",
]

_ = noop

MOST: Final = 10**7
"""No count of anything a job asks for is above this."""


class Unread(ValueError):
    """`message` is a translatable Chinese template filled from `params`."""

    def __init__(self, message: str, **params: Any) -> None:
        super().__init__(message)
        self.message, self.params = message, params


SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "A": "account",
        "B": "extra-node-info",
        "C": "constraint",
        "D": "chdir",
        "F": "nodefile",
        "G": "gpus",
        "H": "hold",
        "I": "immediate",
        "J": "job-name",
        "L": "licenses",
        "M": "clusters",
        "N": "nodes",
        "O": "overcommit",
        "Q": "quiet",
        "S": "core-spec",
        "W": "wait",
        "a": "array",
        "b": "begin",
        "c": "cpus-per-task",
        "d": "dependency",
        "e": "error",
        "i": "input",
        "k": "no-kill",
        "m": "distribution",
        "n": "ntasks",
        "o": "output",
        "p": "partition",
        "q": "qos",
        "s": "oversubscribe",
        "t": "time",
        "v": "verbose",
        "w": "nodelist",
        "x": "exclude",
    }
)
"""Short options by letter."""
FLAGS: Final = frozenset(
    {
        "contiguous",
        "disable-stdout-job-summary",
        "get-user-env",
        "hold",
        "ignore-pbs",
        "immediate",
        "no-kill",
        "no-requeue",
        "overcommit",
        "parsable",
        "quiet",
        "reboot",
        "requeue",
        "spread-job",
        "test-only",
        "use-min-nodes",
        "verbose",
        "wait",
        "wrap",
        "oversubscribe",
        "exclusive",
    }
)
"""Options that may stand without a value; others take the next word."""


TAKE: Final = frozenset(SHORT.values()) | {
    *("gres", "mem", "mem-per-cpu", "mem-per-gpu", "gpus-per-node", "gpus-per-task", "ntasks-per-node", "export"),
    *("mail-user", "mail-type", "output", "error", "chdir"),
}
"""Options that always take the next word, even one that begins with a dash."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a directive line, as written. `name` is the long name, or the letter where it is unknown."""

    name: str
    value: str
    written: str


def words(text: str) -> list[str]:
    """Split a directive line as sbatch does: quotes and backslashes bind, ``#`` begins a remark. Never raises."""
    found: list[str] = []
    word, quote, inside, at = "", "", False, 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'":
            quote, inside = char, True
        elif char == "\\" and at + 1 < len(text):
            at += 1
            word, inside = word + text[at], True
        elif char.isspace():
            if inside:
                found.append(word)
            word, inside = "", False
        elif char == "#" and not inside:
            break
        else:
            word, inside = word + char, True
        at += 1
    return [*found, word] if inside else found


def options(text: str) -> list[Option]:
    """Return the options of one directive line, without its ``#SBATCH``. Never raises."""
    found: list[Option] = []
    left = words(text)
    while left:
        written = left.pop(0)
        if written.startswith("--"):
            name, equals, value = written[2:].partition("=")
        elif written.startswith("-") and len(written) > 1:
            name = SHORT.get(written[1], written[1])
            value, equals = written[2:].removeprefix("="), written[2:]
        else:
            found.append(Option("", "", written))
            continue
        if not equals and name not in FLAGS and left and (name in TAKE or not left[0].startswith("-")):
            value = left.pop(0)
            written = f"{written} {value}"
        found.append(Option(name, value, written))
    return found


def whole(text: str, *, least: int = 0) -> int:
    """Read a whole number. Raises Unread."""
    if not re.fullmatch(r"[0-9]{1,8}", text.strip()) or not least <= int(text) <= MOST:
        raise Unread(_("“%(value)s”不是 %(least)s 以上的整数。"), value=text[:40], least=least)
    return int(text)


TIMES: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,6})-(?P<dh>[0-9]{1,6})(?::(?P<dm>[0-9]{1,6})(?::(?P<ds>[0-9]{1,6}))?)?"
    r"|(?P<h>[0-9]{1,6}):(?P<hm>[0-9]{1,6}):(?P<hs>[0-9]{1,6})"
    r"|(?P<m>[0-9]{1,7})(?::(?P<ms>[0-9]{1,6}))?)"
)
"""``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours`` with minutes and seconds."""


def time_s(text: str) -> int:
    """Read a time limit and return it in seconds, a whole minute: Slurm rounds seconds up. Raises Unread.

    0 and words for "unlimited" are refused: without an end there is no price.
    """
    value = text.strip()
    if value.lower() in {"0", "-1", "infinite", "unlimited"} or re.fullmatch(r"0+([-:]0+)*", value):
        raise Unread(_("时限“%(value)s”表示不限时，不能提交。请写明时限。"), value=value[:40])
    found = TIMES.fullmatch(value)
    if found is None:
        raise Unread(_("看不懂时限“%(value)s”。可写 90、1:30:00 或 2-12:00:00。"), value=value[:40])
    part = {name: int(number or 0) for name, number in found.groupdict().items()}
    seconds = (
        part["d"] * 86400
        + (part["dh"] + part["h"]) * 3600
        + (part["dm"] + part["hm"] + part["m"]) * 60
        + part["ds"]
        + part["hs"]
        + part["ms"]
    )
    if seconds > 10**8:
        raise Unread(_("时限“%(value)s”太长。"), value=value[:40])
    return -(-seconds // 60) * 60


def memory_mb(text: str) -> int:
    """Read an amount of memory and return whole MB: K, M, G, T, without one M. Raises Unread."""
    found = re.fullmatch(r"([0-9]{1,9})([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise Unread(_("看不懂内存“%(value)s”。可写 16G 或 16000M。"), value=text[:40])
    amount, unit = int(found[1]), found[2].upper()
    mb = -(-amount // 1024) if unit == "K" else amount * {"": 1, "M": 1, "G": 1024, "T": 1024**2}[unit]
    if not 0 < mb <= MOST:
        raise Unread(_("内存须写明数值；“%(value)s”表示整个节点或太大。"), value=text[:40])
    return mb


def cards(text: str, *, gres: bool) -> tuple[int, str]:
    """Read ``gpu:a100:8`` (`gres`) or ``a100:8`` and return the number of cards and their type, "" unsaid. Raises Unread."""
    kinds = [kind for kind in text.strip().split(",") if kind]
    parts = kinds[0].split(":") if len(kinds) == 1 else []
    if gres and parts:
        if parts[0] == "none":
            return 0, ""
        parts = parts[1:] or ["1"] if parts[0] == "gpu" else []
    if not 1 <= len(parts) <= 2 or not re.fullmatch(r"[\w.+-]{0,40}", parts[0]):
        raise Unread(_("看不懂加速卡“%(value)s”。可写 gpu:8 或 gpu:a100:8。"), value=text[:40])
    if len(parts) == 1 and not parts[0].isdigit():
        return 1, parts[0]
    return whole(parts[-1]), parts[0] if len(parts) == 2 else ""


def array(text: str) -> str:
    """Read task numbers and return them in the portal's one form. Raises Unread."""
    try:
        found = arrays.canonical(text)
    except arrays.BadArray:
        found = ""
    if not found:
        raise Unread(_("看不懂任务编号“%(value)s”。可写 0-9 或 1,3,7，编号不能为负，也不能太大。"), value=text[:40])
    return found


KINDS: Final = MappingProxyType({"after": "any", "afterany": "any", "afternotok": "notok", "afterok": "ok"})


def dependencies(text: str) -> Sequence[tuple[str, str]]:
    """Read ``afterok:J…:J…,afterany:J…`` and return (kind, number of a job of the portal). Raises Unread.

    A scheduler's own job number means nothing to the portal: the number may be anybody's, and is used again.
    """
    found: list[tuple[str, str]] = []
    for part in text.strip().split(","):
        kind, *numbers = part.split(":")
        if kind not in KINDS or kind == "after" or not numbers:
            raise Unread(_("不支持依赖“%(value)s”。可写 afterok、afternotok 或 afterany。"), value=part[:40])
        for number in numbers:
            if not re.fullmatch(r"J[0-9A-Z-]{4,23}", number):
                raise Unread(
                    _("“%(value)s”不是本平台的作业号。依赖须写本平台作业号，如 afterok:J…。"), value=number[:40]
                )
            found.append((KINDS[kind], number))
    return found


def environment(text: str) -> Mapping[str, str]:
    """Read ``ALL,NAME=value`` and return what it sets. Raises Unread for a name without a value: there is no shell here."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            found[name] = value
        elif name.upper() not in {"ALL", "NONE", "NIL", ""} or equals:
            raise Unread(_("环境变量“%(value)s”没有写值：经网页提交没有登录环境可继承。"), value=part[:40])
    return found
