"""A check: one thing that must hold, what shows it, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from integrations.slurm.doctor.snapshot import Snapshot, Unseen

__all__ = ["CHECKS", "Check", "Finding", "Level", "Verdict", "check", "examine", "exit_status"]


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


def examine(snapshot: Snapshot) -> list[Finding]:
    """Make every check. What a check needs and nobody saw, or cannot be read, makes it `unseen`, never ok."""
    from integrations.slurm.doctor import host_checks, live_checks, setting_checks  # noqa: F401 - they enter themselves

    findings = []
    for one in CHECKS.values():
        try:
            level, seen = one.judge(snapshot)
        except Unseen as error:
            level, seen = Level.UNSEEN, str(error)
        except (ValueError, KeyError, TypeError) as error:
            level, seen = Level.UNSEEN, f"{type(error).__name__}: {error}"
        findings.append(Finding(one, level, seen))
    return findings


def exit_status(findings: Iterable[Finding]) -> int:
    """Return 2 when anything is at fault, 1 when anything is a warning or was not seen, else 0."""
    levels = {finding.level for finding in findings}
    return 2 if Level.FAULT in levels else int(bool(levels & {Level.WARNING, Level.UNSEEN}))
