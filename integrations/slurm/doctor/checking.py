"""A check: one thing that must hold, what shows it, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from integrations.slurm.doctor.snapshot import Snapshot

__all__ = ["CHECKS", "Check", "Finding", "Level", "Verdict", "check", "grade"]


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNSEEN = "unseen"
    """The check could not be made; `seen` says why. Never counted as passed."""


Verdict = tuple[Level, str]
Judge = Callable[[Snapshot], Verdict]


@dataclass(frozen=True, slots=True)
class Check:
    """`title`, `need` and `fix` are Chinese messages of the catalogue."""

    code: str
    title: str
    need: str
    fix: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `seen` is evidence in the cluster's own words."""

    check: Check
    level: Level
    seen: str


CHECKS: dict[str, Check] = {}


def check(code: str, *, title: str, need: str, fix: str) -> Callable[[Judge], Judge]:
    """Enter a judge among the checks, in the order of definition."""

    def enter(judge: Judge) -> Judge:
        if code in CHECKS:
            raise ValueError(code)
        CHECKS[code] = Check(code, title, need, fix, judge)
        return judge

    return enter


def grade(*, holds: bool, seen: str, otherwise: Level = Level.FAULT) -> Verdict:
    return (Level.OK if holds else otherwise), seen
