"""What became of a job as a whole, of its tasks together: for whoever waits for it and for the portal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integrations.local import spool, units

__all__ = ["WORST", "ended_as", "hindrance", "together"]

WORST = (
    "out_of_memory",
    "timed_out",
    "launch_failed",
    "interrupted",
    "failed",
    "cancelled",
    "succeeded",
)
"""An array that has ended is what the first of these says that any of its tasks is."""


def together(states: Sequence[str]) -> str:
    """Return the state of an ended array from those of its tasks."""
    return min(states, key=WORST.index)


def ended_as(job: Path) -> str | None:
    """Return how a job ended, None while any of it may still run. A job that is not there ended as ``gone``."""
    spec = spool.read(job / "spec.json")
    if spec is None:
        return "gone"
    states = []
    for task in units.slots(spec):
        end = units.last(job, spec, task).end
        if end is None:
            return None
        states.append(end["state"])
    return together(states)


def hindrance(jobs: Path, spec: Mapping[str, Any]) -> str:
    """Return why dependencies keep a job waiting, "" when they all hold, ``DependencyNeverSatisfied`` for good."""
    waits = ""
    for after in spec.get("after", ()):
        state = ended_as(jobs / after["marker"])
        if state is None:
            waits = "Dependency"
        elif (
            state == "gone"
            or (after["kind"] == "ok" and state != "succeeded")
            or (after["kind"] == "notok" and state == "succeeded")
        ):
            return "DependencyNeverSatisfied"
    return waits
