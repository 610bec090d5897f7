"""Say a submission in v0.0.40 to v0.0.45 (Slurm 23.11 to 26.05). Pure.

One body is right on all of them [seen on 23.11.11, 24.11.7 and 26.05.3]. These versions ignore fields they do not know
with no more than a warning, so a job that asks for cards the old way (``gres``) runs without any: names here are those
every one of them knows, and a warning of that kind refuses the job (`submitting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.slurm import codec
from scheduler.jobs.ports import Spec

__all__ = ["VERSIONS", "Modern"]

VERSIONS = tuple(f"v0.0.{number}" for number in range(40, 46))


@dataclass(frozen=True, slots=True)
class Modern:
    """The family of v0.0.40 and later."""

    version: str
    keeps_exit_codes: bool = True
    makes_whole: bool = True

    every_run: Mapping[str, str] = field(
        default_factory=lambda: {"show_duplicates": "true", "disable_truncate_usage_time": "true"}
    )

    def since(self, moment: int) -> str:
        """Return epoch seconds as v0.0.40 takes them, which refuses the bare number [seen on 24.11.5]."""
        return f"uts{moment}"

    def bound(self, count: int | None) -> Any:
        """Return a limit as an association takes it; None takes it off."""
        return {"set": True, "infinite": count is None, "number": count or 0}

    def submission(self, spec: Spec, *, marker: str, place: codec.Place) -> dict[str, Any]:
        """Return the body that places `spec` held, under `marker` as its name."""
        variables = codec.environment(spec, marker=marker, directory=place.directory)
        job: dict[str, Any] = {
            "script": spec.script,
            "name": marker,
            "comment": codec.asked(spec),
            "account": spec.account,
            "partition": spec.partition,
            "nodes": "1",
            "tasks": 1,
            "cpus_per_task": spec.cpus,
            "memory_per_node": _set(spec.memory_mb),
            "time_limit": _set(codec.minutes(spec.time_limit_s)),
            "hold": True,
            "requeue": spec.requeue,
            "dependency": codec.dependencies(spec),
            "flags": ["KILL_INVALID_DEPENDENCY"],
            "current_working_directory": place.directory,
            "standard_output": place.output,
            "standard_error": place.output,
            "open_mode": "append",
            "environment": [f"{name}={value}" for name, value in variables.items()],
        }
        if spec.cards:
            job["tres_per_node"] = (
                f"gres/gpu:{spec.card_type}:{spec.cards}" if spec.card_type else f"gres/gpu:{spec.cards}"
            )
        if spec.array:
            job["array"] = spec.array
        if place.qos:
            job["qos"] = place.qos
        return {"job": job}


def _set(number: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": number}
