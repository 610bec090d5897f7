"""What the runner tells the portal once a second: who waits why and until when, what is used where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from integrations.local import forecast
from integrations.local.holdings import Capacity, Held, Job
from integrations.local.units import Unit

__all__ = ["Standing", "drawn"]


class Standing(Protocol):
    """What is told of: the runner, as far as this needs it."""

    capacity: Capacity
    held: dict[str, Held]
    open: dict[str, Job]
    reasons: dict[str, str]
    waiting: list[tuple[int, Unit]]


def drawn(runner: Standing, *, now: float) -> dict[str, Any]:
    """Return ``board.json``: `reasons` and `starts` (seconds of the epoch) by slot, `partitions` by name."""
    expected = forecast.starts(
        forecast.Share(runner.capacity.cpus, runner.capacity.cards, runner.capacity.memory_mb, 0),
        [
            forecast.Share(held.cpus, len(held.cards), held.memory_mb, max(0.0, held.until - now))
            for held in runner.held.values()
        ],
        {
            unit.slot: _share(runner.open[unit.job.name].spec)
            for _at, unit in runner.waiting
            if unit.job.name in runner.open
            and unit.slot not in runner.held
            and runner.reasons.get(unit.slot, "") in ("Resources", "Priority", "")
        },
    )
    return {
        "at": now,
        "reasons": runner.reasons,
        "starts": {slot: now + seconds for slot, seconds in expected.items()},
        "partitions": _partitions(runner),
    }


def _share(spec: Mapping[str, Any]) -> forecast.Share:
    return forecast.Share(spec["cpus"], spec["cards"], spec["memory_mb"], spec["time_limit_s"])


def _partitions(runner: Standing) -> dict[str, dict[str, int]]:
    used: dict[str, Counter[str]] = {name: Counter() for name in runner.capacity.partitions}
    for job in runner.open.values():
        counts = used.setdefault(job.spec["partition"], Counter())
        for unit in job.current.values():
            held = runner.held.get(unit.slot)
            counts.update({"running": 1, "cpus": held.cpus, "cards": len(held.cards)} if held else {"waiting": 1})
    names = ("running", "waiting", "cpus", "cards")
    return {name: {key: counts[key] for key in names} for name, counts in used.items()}
