"""Task numbers of an array in one written form, and one state for all its tasks. Pure.

Canonical: numbers ascending, each once, neighbours joined, ``0-9,12%2`` with at most two tasks at once. Schedulers read
more forms (steps, any order), but the portal sends only this one, so that equal arrays are equal texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from portal.kernel.errors import Invalid, noop
from scheduler.jobs.ports import FINAL, ClusterState

__all__ = ["MAX_SIZE", "BadArray", "aggregate", "at_once", "canonical", "tasks", "written"]

_ = noop

MAX_SIZE: Final = 1001
"""Slurm's default ``MaxArraySize``: the greatest task number is one less (slurm.conf(5))."""

_PART = re.compile(r"(\d{1,7})(?:-(\d{1,7})(?::([1-9]\d{0,6}))?)?", re.ASCII)
_LIMIT = re.compile(r"[1-9]\d{0,6}", re.ASCII)


class BadArray(Invalid):
    code = "job.array"
    message = _("任务编号无法识别或超出范围：%(text)s。请写成 0-9 或 1,3,7，编号不大于 %(most)s。")


def canonical(text: str, *, max_size: int = MAX_SIZE) -> str:
    """Return `text` in canonical form, "" for an empty one. Steps (``0-8:2``) are written out.

    Raises BadArray for anything else, and for task numbers of `max_size` or more.
    """
    squeezed = "".join(text.split())
    if not squeezed:
        return ""
    body, percent, limit = squeezed.partition("%")
    bad = BadArray(field="array", text=text[:80], most=max_size - 1)
    if percent and not _LIMIT.fullmatch(limit):
        raise bad
    numbers: set[int] = set()
    named = 0
    for part in body.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise bad
        first, last, step = (int(group) if group else None for group in match.groups())
        assert first is not None
        last = first if last is None else last
        if last < first or last >= max_size:
            raise bad
        part_of = range(first, last + 1, step or 1)
        named += len(part_of)
        if named > 2 * max_size:  # each part of a long text could name every task again
            raise bad
        numbers.update(part_of)
    whole = written(numbers)
    return f"{whole}%{int(limit)}" if percent and int(limit) < len(numbers) else whole


def written(numbers: Iterable[int]) -> str:
    """Return task numbers as ``0-9,12``: ascending, each once, neighbours joined."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def tasks(array: str) -> list[int]:
    """Return the task numbers of a canonical `array`, ascending; [] for ""."""
    found: list[int] = []
    for part in array.partition("%")[0].split(",") if array else ():
        first, _dash, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def at_once(array: str) -> int:
    """Return how many tasks of a canonical `array` may run together; 1 for ""."""
    limit = array.partition("%")[2]
    return int(limit) if limit else max(1, len(tasks(array)))


_UNDER_WAY = (
    ClusterState.RUNNING,
    ClusterState.STARTING,
    ClusterState.FINISHING,
    ClusterState.SUSPENDED,
    ClusterState.QUEUED,
)
_ENDINGS = (
    ClusterState.FAILED,
    ClusterState.OUT_OF_MEMORY,
    ClusterState.TIMED_OUT,
    ClusterState.EXPIRED,
    ClusterState.LAUNCH_FAILED,
    ClusterState.INTERRUPTED,
    ClusterState.CANCELLED,
    ClusterState.SUCCEEDED,
)
"""What decides first: the user's own errors before those of the cluster, success last."""


def aggregate(states: Collection[ClusterState]) -> ClusterState:
    """Return one state for an array from the present state of each of its tasks.

    While a task has not ended, the array has not: what holds resources decides. One unknown task leaves the array
    unknown unless another is under way, so that nothing is settled on half a knowledge.
    """
    for state in _UNDER_WAY:
        if state in states:
            return state
    if not states or not all(state in FINAL for state in states):
        return ClusterState.UNKNOWN
    return next(state for state in _ENDINGS if state in states)
