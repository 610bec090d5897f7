"""Say a submission in v0.0.38 (Slurm 22.05 to 23.11). Pure.

Only the fields named here are ever sent; nothing a user typed becomes a key. ``argv``, ``batch_features`` and a null
script crash slurmrestd 22.05.8, ``test_only`` submits for real, ``time_limit: 0`` means for ever, ``requeue: false``
means true: none of them can leave this module (tag slurm-22-05-8-1, plugins/openapi/v0.0.38).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.slurm import codec
from scheduler.jobs.ports import Spec

__all__ = ["Legacy"]


@dataclass(frozen=True, slots=True)
class Legacy:
    """The family of v0.0.38."""

    version: str = codec.VERSION
    keeps_exit_codes: bool = False
    makes_whole: bool = False
    every_run: Mapping[str, str] = field(default_factory=dict)

    def since(self, moment: int) -> str:
        """Return epoch seconds as ``update_time`` takes them."""
        return str(moment)

    def bound(self, count: int | None) -> Any:
        """Return a limit as an association takes it; -1 takes it off."""
        return -1 if count is None else count

    def submission(self, spec: Spec, *, marker: str, place: codec.Place) -> dict[str, Any]:
        """Return the body that places `spec` held, under `marker`.

        The marker is the job's *name*, because accounting keeps the name and not always the comment.
        """
        job: dict[str, Any] = {
            "name": marker,
            "comment": codec.asked(spec),
            "account": spec.account,
            "partition": spec.partition,
            "nodes": "1",
            "tasks": 1,
            "cpus_per_task": spec.cpus,
            "memory_per_node": spec.memory_mb,
            "time_limit": codec.minutes(spec.time_limit_s),
            "hold": True,
            "dependency": codec.dependencies(spec),
            "kill_on_invalid_dependency": True,
            "current_working_directory": place.directory,
            "standard_output": place.output,
            "standard_error": place.output,
            "open_mode": "append",
            "environment": codec.environment(spec, marker=marker, directory=place.directory),
        }
        job["requeue" if spec.requeue else "no_requeue"] = True
        if spec.cards:
            job["gres"] = f"gpu:{spec.card_type}:{spec.cards}" if spec.card_type else f"gpu:{spec.cards}"
        if spec.array:
            job["array"] = spec.array
        if place.qos:
            job["qos"] = place.qos
        return {"job": job, "script": spec.script}
