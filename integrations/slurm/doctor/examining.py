"""Make every check there is, and sum up what they found."""

from __future__ import annotations

from collections.abc import Iterable

from integrations.slurm.doctor import host_checks, live_checks, setting_checks
from integrations.slurm.doctor.checking import CHECKS, Finding, Level
from integrations.slurm.doctor.snapshot import Snapshot, Unseen

__all__ = ["GROUPS", "examine", "exit_status"]

GROUPS = (host_checks, live_checks, setting_checks)
"""The modules whose checks are made: they enter themselves as they are imported."""


def examine(snapshot: Snapshot) -> list[Finding]:
    """Make every check. What a check needs and nobody saw, or cannot be read, makes it `unseen`, never ok."""
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
