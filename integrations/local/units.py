"""Where the runs of a job lie in the spool, and how each stands. Read by portal, runner and shim alike.

A job that is no array has its first run in its own directory, a task of an array in ``task-N/``; the run after a lost
one is in ``run-2/`` beneath the first, and so on. A run that was interrupted and may be repeated *is* requeued from the
moment its end is written: nothing else has to happen, so nobody can be killed between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.local import spool

__all__ = ["MAX_ARRAY", "MAX_RUNS", "Seen", "Unit", "last", "runs", "slots", "tasks_of", "together"]

MAX_ARRAY = 1001
"""Slurm's default MaxArraySize: the highest task number is one less."""
MAX_RUNS = 5
"""How often one job or task is run again at most, so that what kills its host does not do so for ever."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One run: of the job in directory `job`, of `task` or None, the `no`-th from 1."""

    job: Path
    task: int | None = None
    no: int = 1

    @property
    def base(self) -> Path:
        """The directory its output is in, whichever run."""
        return self.job if self.task is None else self.job / f"task-{self.task}"

    @property
    def folder(self) -> Path:
        return self.base if self.no == 1 else self.base / f"run-{self.no}"

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it stopped: the job whole, or this task."""
        return (self.job / "cancel").exists() or (self.base / "cancel").exists()

    @property
    def slot(self) -> str:
        """What it is called whichever run: ``marker`` or ``marker/task``."""
        return self.job.name if self.task is None else f"{self.job.name}/{self.task}"

    @property
    def following(self) -> Unit:
        return Unit(self.job, self.task, self.no + 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """One run as its files tell. `submitted_at` is the job's for the first, the end of the one before for the next."""

    unit: Unit
    submitted_at: float
    end: Mapping[str, Any] | None
    started: Mapping[str, Any] | None
    claim: Mapping[str, Any] | None
    grant: Mapping[str, Any] | None


def tasks_of(array: str) -> list[int]:
    """Return the task numbers of ``0-9%2``, ``1,3,7``, ``0-8:4``. Raises ValueError for what is no such list."""
    numbers: set[int] = set()
    for part in array.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, final = span.partition("-")
        if not (first.isdigit() and (final or first).isdigit() and (step or "1").isdigit()):
            raise ValueError(f"array {array!r}")
        if int(final or first) >= MAX_ARRAY or int(final or first) < int(first) or not int(step or 1):
            raise ValueError(f"array {array!r}")
        numbers.update(range(int(first), int(final or first) + 1, int(step or 1)))
    return sorted(numbers)


def together(array: str) -> int | None:
    """Return how many tasks may run at a time, None for any number. Raises ValueError."""
    most = array.partition("%")[2]
    if "%" in array and not (most.isdigit() and int(most)):
        raise ValueError(f"array {array!r}")
    return int(most) if most else None


def slots(spec: Mapping[str, Any]) -> list[int | None]:
    """Return the tasks of a placed job; ``[None]`` for one that is no array."""
    return list(tasks_of(spec["array"])) if spec.get("array") else [None]


def requeues(spec: Mapping[str, Any], unit: Unit, end: Mapping[str, Any]) -> bool:
    """Say whether a run that ended so is followed by another one."""
    return bool(spec.get("requeue")) and end["state"] == "interrupted" and unit.no < MAX_RUNS


def runs(job: Path, spec: Mapping[str, Any], task: int | None) -> Iterator[Seen]:
    """Yield every run of a job or task, oldest first; the last may not have begun."""
    unit, submitted_at = Unit(job, task), float(spec["submitted_at"])
    while True:
        folder = unit.folder
        # In this order: whoever writes does so in the opposite one, so nothing is seen half.
        end, started = spool.read(folder / "exit.json"), spool.read(folder / "started.json")
        claim, grant = spool.read(folder / "claim.json"), spool.read(folder / "grant.json")
        yield Seen(unit, submitted_at, end, started, claim, grant)
        if end is None or not requeues(spec, unit, end):
            return
        unit, submitted_at = unit.following, float(end["at"])


def last(job: Path, spec: Mapping[str, Any], task: int | None) -> Seen:
    """Return the newest run of a job or task."""
    *_, newest = runs(job, spec, task)
    return newest
