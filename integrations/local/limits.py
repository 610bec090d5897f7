"""Whether an account's limits let a job start now. Used by the runner; the portal's half is ``accounts.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.local import spool

__all__ = ["Use", "hindrance", "load"]


@dataclass(frozen=True, slots=True)
class Use:
    """What one running job holds and how many seconds it may still do so."""

    account: str
    cpus: int
    cards: int
    left_s: float


def load(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return every account's limits by account, for the runner."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in (folder / "limits").glob("[a-zA-Z]*.json"):
        if (value := spool.read(path)) is not None:
            found[path.stem] = value
    return found


def hindrance(spec: Mapping[str, Any], limits: Mapping[str, Any] | None, running: Iterable[Use]) -> str:
    """Return why `spec` may not start beside what its account runs, in Slurm's words, or ""."""
    if limits is None:
        return ""
    own = [use for use in running if use.account == spec["account"]]
    minutes = spec["time_limit_s"] / 60
    if limits["submitted"] == 0:
        return "AssocGrpSubmitJobsLimit"
    for bound, reason, wanted, used in (
        ("cards", "AssocGrpGRES", spec["cards"], sum(use.cards for use in own)),
        ("cpus", "AssocGrpCpuLimit", spec["cpus"], sum(use.cpus for use in own)),
        (
            "running_card_minutes",
            "AssocGrpGRESRunMinutes",
            spec["cards"] * minutes,
            sum(use.cards * use.left_s for use in own) / 60,
        ),
        (
            "running_cpu_minutes",
            "AssocGrpCPURunMinutesLimit",
            spec["cpus"] * minutes,
            sum(use.cpus * use.left_s for use in own) / 60,
        ),
    ):
        if limits[bound] is not None and wanted and used + wanted > limits[bound]:
            return reason
    return ""
