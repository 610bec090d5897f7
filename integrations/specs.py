"""What no adapter sends on, whatever the domain checked before: the last look before a foreign wire."""

from __future__ import annotations

import re

from scheduler.jobs.ports import RejectedBy, Spec

__all__ = ["MARKER", "environment_is_safe", "refusal"]

MARKER = re.compile(r"[a-z][a-z0-9]{5,39}")
"""Lower case, because Slurm's accounting lower-cases the names it is asked for; short, because names are cut."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_OWNED = ("LD_", "SLURM_", "SBATCH_", "BASH_", "PYTHON", "CUDA_VISIBLE_DEVICES", "PATH", "HOME", "IFS", "ENV")
MAX_SCRIPT_BYTES = 1 << 20


def environment_is_safe(name: str, value: str) -> bool:
    """Say whether a user may set `name`: upper case, and nothing that redirects a loader, a shell or a scheduler."""
    return bool(_NAME.fullmatch(name)) and not name.startswith(_OWNED) and "\0" not in value


def refusal(spec: Spec, marker: str) -> RejectedBy | None:
    """Return why `spec` must not be sent, or None. Raises ValueError for a marker no adapter could look up again."""
    if not MARKER.fullmatch(marker):
        raise ValueError(f"not a marker: {marker!r}")
    if not spec.script.startswith("#!"):
        return RejectedBy("script", "no interpreter line")
    if "\0" in spec.script or "\r" in spec.script or len(spec.script.encode()) > MAX_SCRIPT_BYTES:
        return RejectedBy("script", "NUL, CR or more than 1 MiB")
    if spec.cpus < 1 or spec.memory_mb < 1 or spec.cards < 0:
        return RejectedBy("resources", f"{spec.cpus} cpus, {spec.memory_mb} MB, {spec.cards} cards")
    if spec.time_limit_s < 1:
        return RejectedBy("time_limit", f"{spec.time_limit_s} s")
    unsafe = [name for name, value in spec.environment.items() if not environment_is_safe(name, value)]
    if unsafe:
        return RejectedBy("other", f"environment: {', '.join(sorted(unsafe))}")
    return None
